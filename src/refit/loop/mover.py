"""The decision log on its way: from the spool of the machine that serves to Postgres, each prediction once."""

import math
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import orjson
import structlog

from refit.errors import DataError, OutageError, RefitError
from refit.loop.wiring import World
from refit.settings import Settings
from refit.store.rows import PredictionRow
from refit.store.segments import Part, Segment, quarantine, segments, sole_mover, sweep_leftovers

PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0
AT_ONCE: Final = 2_000
"""So many entries are written in one transaction: as text for Postgres they take several times the room."""
LAST_SECONDS: Final = 30.0
"""How long the end of the service may wait for the last step."""

log = structlog.get_logger()


class Predictions(Protocol):
    """Where predictions go: the ledger."""

    def keep_predictions(self, rows: Sequence[PredictionRow]) -> int:
        """Keep predictions, each once by its id; return how many are new."""
        ...


@dataclass(frozen=True, slots=True)
class Moved:
    """What one round did; `n_known` were in Postgres before, `n_quarantined` lines could not be read as predictions."""

    n_moved: int = 0
    n_known: int = 0
    n_quarantined: int = 0

    def __add__(self, other: "Moved") -> "Moved":
        return Moved(
            self.n_moved + other.n_moved, self.n_known + other.n_known, self.n_quarantined + other.n_quarantined
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def spool_folder(settings: Settings, usecase: str) -> Path:
    """Return where the service of that use case keeps what is not in Postgres yet."""
    return settings.folder / "spool" / usecase


def move_by_hand(world: World, usecase: str) -> Moved:
    """Move what the spool of a use case holds, where no `refit serve` runs that does.

    Raises:
        OutageError: Postgres or the disk refuses, or another process moves this spool; nothing is lost.
    """
    folder = spool_folder(world.settings, usecase)
    with sole_mover(folder):
        return move(world.ledger, folder)


def move(ledger: Predictions, folder: Path) -> Moved:
    """Move everything that stands in the spool now, and delete the segments whose writers are gone.

    Killed anywhere, the next round moves the rest; what was moved but not noted is known by its id. A segment that
    cannot be read or deleted stays, and keeps none of the others waiting.

    Raises:
        OutageError: Postgres does not answer, or the disk refused one of the segments.
    """
    sweep_leftovers(folder)
    done = Moved()
    trouble: OutageError | None = None
    for segment in segments(folder):
        try:
            abandoned = segment.abandoned()  # asked first: then nothing is added to what is read next
            part = segment.read()
        except FileNotFoundError:
            continue
        except (RefitError, OSError) as error:
            trouble = trouble or _outage(segment, error)
            continue
        unfit = list(part.broken)
        for start in range(0, len(part.entries), AT_ONCE):
            done += _moved(ledger, part.entries[start : start + AT_ONCE], unfit)
        try:
            _settle(folder, segment, part, unfit, abandoned=abandoned)
        except (RefitError, OSError) as error:
            trouble = trouble or _outage(segment, error)
        done += Moved(n_quarantined=len(unfit))
    if trouble is not None:
        raise trouble
    return done


class Mover:
    """Moves, on a thread of its own, as long as the service runs, and once more at its end."""

    def __init__(self, ledger: Predictions, folder: Path, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._ledger = ledger
        self._folder = folder
        self._pause_seconds = pause_seconds
        self._failures = 0
        self._trouble = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mover", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier process left behind is moved first."""
        self._thread.start()

    def close(self) -> None:
        """Move what is left, if Postgres will have it, and end."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        while True:
            self._carefully(self._hold)
            if self._ending.is_set():
                return
            self._ending.wait(self._pause())

    def _hold(self) -> None:
        """Be the one mover of this folder from here to the end."""
        with sole_mover(self._folder):
            last = False
            while not last:
                last = self._ending.is_set()
                self._carefully(lambda: move(self._ledger, self._folder))
                self._ending.wait(self._pause())

    def _pause(self) -> float:
        return float(min(self._pause_seconds * 2**self._failures, LONGEST_PAUSE_SECONDS))

    def _carefully(self, step: Callable[[], object]) -> None:
        try:
            step()
        except RefitError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - a thread's entrance: whatever is wrong, the log is kept and tried again
            self._failed(type(error).__name__)  # its message may hold values
        else:
            if self._trouble:
                log.info("decision_log.moving_again")
            self._failures, self._trouble = 0, ""

    def _failed(self, why: str) -> None:
        if why != self._trouble:
            log.warning("decision_log.waiting", why=why, then="what was answered stays in the spool; it is tried again")
        self._failures, self._trouble = min(self._failures + 1, 16), why


@contextmanager
def moving(ledger: Predictions, folder: Path) -> Generator[None, None, None]:
    """Have the decision log moved until the end, and at the end."""
    mover = Mover(ledger, folder)
    mover.start()
    try:
        yield
    finally:
        mover.close()


def prediction_row(entry: object) -> PredictionRow:
    """Return what an entry of the spool says.

    Raises:
        DataError: It is no prediction; names the key, never the value.
    """
    if not isinstance(entry, dict):
        raise DataError("an entry is no JSON object")
    probability, probabilities = _number(entry, "probability"), entry.get("probabilities")
    if (probability is None) is (probabilities is None):
        raise DataError("an entry needs either probability or probabilities")
    latency = _number(entry, "latency_ms")
    if latency is None:
        raise DataError("latency_ms: absent")
    return PredictionRow(
        id=_parsed(entry, "id", UUID),
        usecase=_text(entry, "usecase"),
        version=_text(entry, "version"),
        at=_parsed(entry, "at", _moment),
        request_id=_text(entry, "request_id"),
        inputs=_of_kind(entry, "inputs", dict),
        probability=probability,
        probabilities=probabilities,
        threshold=_number(entry, "threshold"),
        decision=_text(entry, "decision"),
        reasons=None if entry.get("reasons") is None else tuple(_of_kind(entry, "reasons", list)),
        latency_ms=latency,
    )


def _outage(segment: Segment, error: RefitError | OSError) -> OutageError:
    why = f"{segment.path}: {error.strerror}" if isinstance(error, OSError) else str(error)
    return OutageError(f"{why}; the rest of the decision log is moved meanwhile")


def _moved(ledger: Predictions, entries: Sequence[Any], unfit: list[bytes]) -> Moved:
    """Keep what entries say; those that are no prediction, or find no room in Postgres, are added to `unfit`."""
    rows = []
    for entry in entries:
        try:
            rows.append(prediction_row(entry))
        except DataError:
            unfit.append(orjson.dumps([entry]))
    n_new, refused = _keep(ledger, rows)
    unfit += [orjson.dumps([_entry(row)]) for row in refused]
    return Moved(n_new, len(rows) - len(refused) - n_new)


def _keep(ledger: Predictions, rows: list[PredictionRow]) -> tuple[int, list[PredictionRow]]:
    """Keep predictions; return how many are new, and those that Postgres has no room for."""
    if not rows:
        return 0, []
    try:
        return ledger.keep_predictions(rows), []
    except DataError:
        if len(rows) == 1:
            return 0, rows
        middle = len(rows) // 2
        (n_first, first), (n_second, second) = _keep(ledger, rows[:middle]), _keep(ledger, rows[middle:])
        return n_first + n_second, first + second


def _settle(folder: Path, segment: Segment, part: Part, unfit: list[bytes], *, abandoned: bool) -> None:
    """Note what was moved; only now may it leave the disk."""
    if unfit:
        quarantine(folder, segment, part.begins_at, unfit)
        log.error("decision_log.quarantined", segment=segment.name, n=len(unfit), folder=str(folder))
    if not abandoned:
        if part.ends_at > part.begins_at:
            segment.note(part.ends_at, part.total)
        return
    if part.torn:
        log.warning("decision_log.torn", segment=segment.name, n_bytes=part.torn, why="no answer went out for it")
    segment.delete()


def _entry(row: PredictionRow) -> dict[str, Any]:
    fields = asdict(row)
    del fields["created_at"]
    return fields


def _of_kind(entry: dict[str, Any], key: str, kind: type) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind):
        raise DataError(f"{key}: absent, or of the wrong type")
    return value


def _text(entry: dict[str, Any], key: str) -> str:
    return str(_of_kind(entry, key, str))


def _number(entry: dict[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{key}: no number")
    return float(value)


def _parsed(entry: dict[str, Any], key: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(_text(entry, key))
    except (ValueError, OverflowError):
        raise DataError(f"{key}: cannot be read") from None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment.astimezone(UTC)
