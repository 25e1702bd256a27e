"""What stands where: the answer to `refit status`."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from refit.loop import asof
from refit.loop.wiring import World
from refit.usecase.model import UseCase


@dataclass(frozen=True, slots=True)
class Status:
    """A use case at a day.

    `outcomes` counts records by what is known: how many are final, how many of these bad (or of each class), how many
    have ripened.
    """

    usecase: str
    as_of: str
    n_records: int
    n_batches: int
    n_rejected: int
    outcomes: dict[str, int]
    live: str | None
    live_as_of: str | None
    last_decision: dict[str, Any] | None
    open_decisions: int
    models: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def status(world: World, usecase: UseCase, as_of: datetime) -> Status:
    """Return what is known and live at `as_of`."""
    seen = asof.read(world, usecase, as_of)
    label, ripe = seen.frame["_label"], seen.frame["_ripe"]
    live = world.ledger.live(usecase.name, as_of)
    live_bundle = world.ledger.bundle(live.version) if live is not None else None
    decision = world.ledger.last_decision(usecase.name, as_of)
    verdicts = {verdict.challenger: verdict.outcome for verdict in world.ledger.verdicts(usecase.name)}
    return Status(
        usecase.name,
        as_of.isoformat(),
        len(seen.frame),
        len(seen.batches),
        world.ledger.count_rejects(usecase.name),
        {
            "happened": int(seen.frame["_happened"].sum()),
            "final": int(label.notna().sum()),
            **_counted(label, usecase),
            "ripe": int(ripe.sum()),
        },
        live.version if live is not None else None,
        live_bundle.as_of.isoformat() if live_bundle is not None else None,
        {"action": decision.action, "as_of": decision.as_of.isoformat(), "reasons": list(decision.reasons)}
        if decision is not None
        else None,
        len(world.ledger.open_decisions(usecase.name, as_of)),
        [
            {"version": row.version, "learner": row.learner, "as_of": row.as_of.isoformat(), "metrics": row.metrics,
             "verdict": verdicts.get(row.version)}
            for row in world.ledger.bundles(usecase.name, as_of=as_of)
        ],
    )  # fmt: skip


def _counted(label: pd.Series, usecase: UseCase) -> dict[str, int]:
    if usecase.classes is None:
        return {"bad": int((label == 1).sum())}
    return {name: int((label == place).sum()) for place, name in enumerate(usecase.classes)}
