"""The whole night in order: ingest, monitor, and where monitoring says so retrain, judge and release."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from refit.errors import OutageError, RefitError
from refit.loop import alert
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
            "performance": self.monitored.to_json()["performance"],
            "decision": {"id": self.monitored.decision_id, **decision.to_json()},
            "verdict": self.retrained.to_json()["verdict"] if self.retrained is not None else None,
            "model": self.retrained.version if self.retrained is not None else None,
            "metrics": self.retrained.metrics if self.retrained is not None else None,
            "release": self.released.to_json() if self.released is not None else None,
        }


def nightly(
    world: World, usecase: UseCase, as_of: datetime, *, progress: Progress = lambda _text, _fraction: None
) -> Night:
    """Run the night of `as_of`; what an interrupted night left undone is taken up from the ledger.

    A night that fails stands in the ledger too, as failed, before its error goes on.
    """
    started_at = now()
    try:
        night = _night(world, usecase, as_of, progress)
    except Exception as error:
        record_failure(world, usecase.name, as_of, started_at, error)
        alert.send(world.settings, alert.of_failure(usecase.name, as_of, error))
        raise
    record_night(world, night, started_at)
    return night


def _night(world: World, usecase: UseCase, as_of: datetime, progress: Progress) -> Night:
    caught_up = catch_up(world, usecase, as_of)
    progress("Taking in new records", None)
    ingested = ingest(world, usecase, as_of)
    progress("Checking for drift", None)
    monitored = monitor(world, usecase, as_of)
    alert.send(world.settings, alert.of_decision(usecase.name, as_of, monitored))
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
        alert.send(world.settings, alert.of_verdict(usecase.name, as_of, retrained))
        night = replace(night, retrained=retrained)
        if retrained.verdict.outcome == "promote":
            progress("Building the release", None)
            night = replace(night, released=release(world, usecase, retrained.version, as_of))
    return night


def nothing_yet(world: World, usecase: UseCase) -> str | None:
    """Return why a night has nothing to do where nobody has loaded the use case yet, None where it has.

    A table that was read before and is gone is something else: that night fails.

    Raises:
        ContractError: The table is there, and may not be read.
        OutageError: Postgres does not answer.
    """
    if world.ledger.watermark(usecase.name) is not None or world.source.column_types(usecase.source.table):
        return None
    return f"there is no table {usecase.source.table} yet; `refit load {usecase.name} FILE` makes it"


def nothing_to_learn(world: World, usecase: UseCase) -> str | None:
    """Return why there is nothing to train on where nothing was ever taken in, None where something was.

    Raises:
        ContractError: The table is there, and may not be read.
        OutageError: Postgres does not answer.
    """
    if world.ledger.watermark(usecase.name) is not None:
        return None
    return nothing_yet(world, usecase) or f"nothing of {usecase.source.table} was taken in yet; its next night does"


def record_nothing(world: World, usecase: str, as_of: datetime, started_at: datetime, why: str) -> None:
    """Keep a night that had nothing to do, where nights of the use case stand in the ledger already.

    Where none does, none is wanted. Where one failed, it would else be the last for ever.
    """
    if not world.ledger.runs(usecase, limit=1, kind="nightly"):
        return
    result = {"usecase": usecase, "as_of": as_of.isoformat(), "ingested": 0, "rejected": 0, "nothing": why}
    world.ledger.record_run(_run(usecase, as_of, started_at, "completed", result))


def record_night(world: World, night: Night, started_at: datetime) -> None:
    """Keep the night in the ledger, where the console and the next morning look for it."""
    world.ledger.record_run(_run(night.usecase, night.as_of, started_at, "completed", night.to_json()))


def record_failure(world: World, usecase: str, as_of: datetime, started_at: datetime, error: BaseException) -> None:
    """Keep a night that failed, by the kind of its error and its message.

    The message of an error that is not ours can hold a record's value, so it stays out. Where the ledger itself is
    down there is nowhere to keep it, and the error that is on its way says so.
    """
    message = str(error) if isinstance(error, RefitError) else "refit met a fault of its own; the log has the trace"
    result = {"error": {"kind": type(error).__name__, "message": message}}
    with suppress(OutageError):
        world.ledger.record_run(_run(usecase, as_of, started_at, "failed", result))


def _run(usecase: str, as_of: datetime, started_at: datetime, outcome: str, result: dict[str, Any]) -> RunRow:
    return RunRow(
        usecase=usecase,
        kind="nightly",
        as_of=as_of,
        started_at=started_at,
        finished_at=now(),
        outcome=outcome,
        result=result,
    )
