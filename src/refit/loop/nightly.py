"""The whole night in order: ingest, monitor, and where monitoring says so retrain, judge and release."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from refit.loop.ingest import Ingested, ingest
from refit.loop.monitor import Monitored, monitor
from refit.loop.release import Released, catch_up, release
from refit.loop.retrain import Retrained, retrain
from refit.loop.wiring import World, now
from refit.store.rows import RunRow
from refit.usecase.model import UseCase

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Night:
    """What one night did; a step that did not run is None."""

    usecase: str
    as_of: datetime
    ingested: Ingested
    monitored: Monitored
    retrained: Retrained | None = None
    released: Released | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as one plain object."""
        decision = self.monitored.decision
        return {
            "usecase": self.usecase,
            "as_of": self.as_of.isoformat(),
            "ingested": self.ingested.n_records,
            "rejected": self.ingested.n_rejected,
            "drift": self.monitored.drift.to_json() if self.monitored.drift is not None else None,
            "report": self.monitored.report_id,
            "decision": {"id": self.monitored.decision_id, **decision.to_json()},
            "verdict": self.retrained.to_json()["verdict"] if self.retrained is not None else None,
            "model": self.retrained.version if self.retrained is not None else None,
            "metrics": self.retrained.metrics if self.retrained is not None else None,
            "release": self.released.to_json() if self.released is not None else None,
        }


def nightly(
    world: World, usecase: UseCase, as_of: datetime, *, progress: Progress = lambda _text, _fraction: None
) -> Night:
    """Run the night of `as_of`; what an interrupted night left undone is taken up from the ledger."""
    started_at = now()
    caught_up = catch_up(world, usecase, as_of)
    progress("Taking in new records", None)
    ingested = ingest(world, usecase, as_of)
    progress("Checking for drift", None)
    monitored = monitor(world, usecase, as_of)
    night = Night(usecase.name, as_of, ingested, monitored, released=caught_up)
    if monitored.decision.action in {"retrain", "recalibrate"}:
        retrained = retrain(
            world,
            usecase,
            as_of,
            decision_id=monitored.decision_id,
            recalibrate=monitored.decision.action == "recalibrate",
            progress=progress,
        )
        night = replace(night, retrained=retrained)
        if retrained.verdict.outcome == "promote":
            progress("Building the release", None)
            night = replace(night, released=release(world, usecase, retrained.version, as_of))
    record_night(world, night, started_at)
    return night


def record_night(world: World, night: Night, started_at: datetime) -> None:
    """Keep the night in the ledger, where the console and the next morning look for it."""
    world.ledger.record_run(
        RunRow(
            usecase=night.usecase,
            kind="nightly",
            as_of=night.as_of,
            started_at=started_at,
            finished_at=now(),
            outcome="completed",
            result=night.to_json(),
        )
    )
