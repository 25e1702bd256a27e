"""One decision again: what the log holds of it, and what the model of that day makes of the same inputs today."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from refit.errors import ContractError, DataError
from refit.loop.mover import prediction_row
from refit.loop.release import bundle_folder
from refit.loop.wiring import World
from refit.scoring.bundle import Bundle, load
from refit.store.rows import PredictionRow
from refit.store.segments import segments

TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Replayed:
    """A stored decision beside what its model says now: a float, or one for each class."""

    row: PredictionRow
    moved: bool  # False while it is still in a spool
    replayed: float | dict[str, float]
    equal: bool

    def to_json(self, *, show_inputs: bool = False) -> dict[str, Any]:
        """Return it as plain data; the inputs are a person's record, so only where they are asked for."""
        fields = {name: value for name, value in asdict(self.row).items() if name not in {"created_at", "inputs"}}
        fields |= {"id": str(self.row.id), "at": self.row.at.isoformat()}
        fields |= {"stored_in": "ledger" if self.moved else "spool", "replayed": self.replayed, "equal": self.equal}
        return fields | ({"inputs": dict(self.row.inputs)} if show_inputs else {})


def replay(world: World, prediction_id: str) -> Replayed:
    """Score a stored decision again, with the bundle that made it.

    Raises:
        ContractError: That is no id.
        DataError: No log holds it, or the bundle on the disk is not what it was.
        ReleaseError: Its bundle is not in the ledger.
    """
    wanted = _id(prediction_id)
    row = world.ledger.prediction(wanted)
    moved = row is not None
    if row is None:
        # A prediction leaves the spool after it has come to the ledger, so who looks there second may miss it once.
        row = _spooled(world.settings.folder / "spool", wanted) or world.ledger.prediction(wanted)
    if row is None:
        raise DataError(
            f"no decision {wanted} in the log; it may have been swept, or be in the spool of another machine"
        )
    replayed = _scored(load(bundle_folder(world, row.version)), row.inputs)
    stored = row.probability if row.probabilities is None else row.probabilities
    return Replayed(row, moved, replayed, _equal(stored, replayed))


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ContractError("that is no id of a decision; it stands in the answer as `id`") from None


def _spooled(folder: Path, wanted: UUID) -> PredictionRow | None:
    """Return a prediction that no mover has taken to Postgres yet."""
    for usecase in folder.glob("*/"):
        for segment in segments(usecase):
            for entry in segment.search(str(wanted)):
                row = prediction_row(entry)
                if row.id == wanted:
                    return row
    return None


def _scored(bundle: Bundle, inputs: Mapping[str, Any]) -> float | dict[str, float]:
    """Return what the bundle answers to inputs."""
    answered = bundle.predict([inputs])[0]
    if bundle.usecase.classes is None:
        return float(answered)
    return dict(zip(bundle.usecase.classes, map(float, answered), strict=True))


def _equal(stored: object, replayed: float | dict[str, float]) -> bool:
    if isinstance(replayed, float):
        return isinstance(stored, float) and abs(stored - replayed) <= TOLERANCE
    if isinstance(stored, Mapping):
        return stored.keys() == replayed.keys() and all(
            abs(stored[name] - p) <= TOLERANCE for name, p in replayed.items()
        )
    return False
