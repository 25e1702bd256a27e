"""Look at what arrived, conclude what to do, and keep the reasons and the report."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import pandas as pd
import structlog

from refit.loop import asof
from refit.loop.release import bundle_folder
from refit.loop.wiring import World
from refit.monitoring import report as drift_report
from refit.monitoring.profile import Profile, profile
from refit.monitoring.psi import Drift, drift
from refit.monitoring.triage import Decision, Evidence, OpenRequest, Performance, Reason, triage
from refit.scoring import bundle as bundles
from refit.scoring.bundle import Bundle
from refit.scoring.intervals import metric_interval
from refit.scoring.metrics import expected_calibration_error
from refit.store.rows import DecisionRow, ReportRow
from refit.usecase.model import UseCase

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Monitored:
    """What monitoring saw and concluded. `report_id` is None where there was nothing to report on."""

    decision_id: str
    decision: Decision
    drift: Drift | None
    report_id: str | None
    n_reference: int
    n_current: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "decision": {"id": self.decision_id, **self.decision.to_json()},
            "drift": self.drift.to_json() if self.drift is not None else None,
            "report": self.report_id,
            "n_reference": self.n_reference,
            "n_current": self.n_current,
        }


@dataclass(frozen=True, slots=True)
class _Sides:
    """The two sides of a drift check. Without a champion, the reference is what one would be trained on."""

    champion: Bundle | None
    reference: pd.DataFrame
    current: pd.DataFrame


def monitor(world: World, usecase: UseCase, as_of: datetime, *, schedule_due: bool = False) -> Monitored:
    """Check the records known at `as_of` against the champion's reference and record the decision.

    Raises:
        DataError: A batch or the champion's bundle is missing or altered.
        OutageError: Postgres does not answer, or the disk is full.
    """
    seen = asof.read(world, usecase, as_of)
    last = world.ledger.last_decision(usecase.name, as_of)
    n_new, n_rejected = _since(world, usecase, last, seen.frame, as_of)
    sides = _sides(world, usecase, seen.frame, as_of)
    # A block stands until somebody has looked at its data again, new records or not.
    nothing_new = last is not None and last.action != "block" and not n_new and not n_rejected
    found = None if nothing_new or sides.current.empty else _drift(sides, usecase)
    evidence = _evidence(world, usecase, as_of, sides, seen.frame, found, n_new, n_rejected, schedule_due)
    decision = triage(evidence, usecase)
    report_id = _report(world, usecase, as_of, sides, found, decision) if found is not None else None
    row = DecisionRow(
        usecase=usecase.name,
        as_of=as_of,
        action=decision.action,
        reasons=tuple(asdict(reason) for reason in decision.reasons),
        drift=found.to_json() if found is not None else None,
        n_new=n_new,
        champion=sides.champion.version if sides.champion is not None else None,
        snapshot=seen.snapshot,
    )
    world.ledger.record_decision(row)
    log.info(
        "monitor.decided", usecase=usecase.name, action=decision.action, reasons=[r.code for r in decision.reasons]
    )
    return Monitored(str(row.id), decision, found, report_id, len(sides.reference), len(sides.current))


def _since(
    world: World, usecase: UseCase, last: DecisionRow | None, frame: pd.DataFrame, as_of: datetime
) -> tuple[int, int]:
    """Count the records and rejects that the last decision had not seen.

    A record is new if it was taken in since, or if it arrived since: history that was taken in at once is replayed so.
    """
    batches = [row for row in world.ledger.batches(usecase.name) if (row.first_arrived_at or row.watermark_at) <= as_of]
    if last is None:
        return len(frame), sum(row.n_rejected for row in batches)
    taken_in = [row for row in batches if row.created_at > last.created_at]
    arrived = int((frame["_arrived_at"] > pd.Timestamp(last.as_of)).sum())
    return max(arrived, sum(row.n_records for row in taken_in)), sum(row.n_rejected for row in taken_in)


def _sides(world: World, usecase: UseCase, frame: pd.DataFrame, as_of: datetime) -> _Sides:
    live = world.ledger.live(usecase.name, as_of)
    event = frame["_event_time"]
    if live is None:
        ripe = frame["_ripe"]
        newest = event[ripe].max()
        return _Sides(None, frame[ripe], frame[event > newest] if ripe.any() else frame[:0])
    champion = bundles.load(bundle_folder(world, live.version))
    trained_on = frame["_ripe"] & event.between(*_window(champion))
    return _Sides(champion, frame[trained_on], frame[event > pd.Timestamp(champion.as_of)])


def _drift(sides: _Sides, usecase: UseCase) -> Drift:
    if sides.champion is None:
        return drift(profile(sides.reference, usecase), sides.current, usecase)
    return drift(
        Profile.from_json(sides.champion.profile),
        sides.current,
        usecase,
        score=_score(sides.champion, sides.current),
        importance=sides.champion.card["importance"],
    )


def _score(champion: Bundle, frame: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return champion.predict_columns({name: frame[name].to_numpy() for name in champion.usecase.features})


def _evidence(
    world: World,
    usecase: UseCase,
    as_of: datetime,
    sides: _Sides,
    frame: pd.DataFrame,
    found: Drift | None,
    n_new: int,
    n_rejected: int,
    schedule_due: bool,
) -> Evidence:
    judged = {verdict.challenger for verdict in world.ledger.verdicts(usecase.name)}
    attempts = [row for row in world.ledger.bundles(usecase.name, as_of=as_of) if row.version in judged][:1]
    learned_to = max((pd.Timestamp(row.card["window"]["end"]) for row in attempts), default=None)
    ripe = frame["_ripe"]
    event = frame["_event_time"]
    matured = ripe if learned_to is None else ripe & (event > learned_to)
    request = world.ledger.open_decisions(usecase.name, as_of)
    return Evidence(
        as_of=as_of,
        n_new=n_new,
        n_rejected=n_rejected,
        # Without a champion there is nothing the drift could have gone against: it is reported, and decides nothing.
        drift=found if sides.champion is not None else None,
        champion_as_of=sides.champion.as_of if sides.champion is not None else None,
        last_attempt_as_of=attempts[0].as_of if attempts else None,
        new_matured=int(matured.sum()),
        newest_ripe=event[ripe].max().to_pydatetime() if ripe.any() else None,
        performance=_performance(sides.champion, frame, usecase) if sides.champion is not None else None,
        open_request=_open_request(request[0]) if request else None,
        schedule_due=schedule_due,
    )


def _window(champion: Bundle) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the event times of the oldest and newest record the champion was made from."""
    return pd.Timestamp(champion.card["window"]["start"]), pd.Timestamp(champion.card["window"]["end"])


def _open_request(row: DecisionRow) -> OpenRequest:
    action: Literal["recalibrate", "retrain"] = "recalibrate" if row.action == "recalibrate" else "retrain"
    return OpenRequest(action, row.as_of, tuple(Reason(**reason) for reason in row.reasons))


def _performance(champion: Bundle, frame: pd.DataFrame, usecase: UseCase) -> Performance | None:
    """Return how the champion did on what matured since, None where that is too little to tell."""
    newer = frame[frame["_ripe"] & (frame["_event_time"] > _window(champion)[1])]
    label = newer["_label"].to_numpy()
    if len(newer) < usecase.drift.min_records or len(np.unique(label)) < 2:  # noqa: PLR2004 - both classes
        return None
    probability = _score(champion, newer)
    metric = usecase.objective.metric
    seen = metric_interval(metric, label, probability, champion.threshold, seed=usecase.seed)
    return Performance(
        metric=metric,
        promised=champion.card["metrics"][metric]["value"],
        seen=seen.value,
        low=seen.low,
        high=seen.high,
        n=len(newer),
        calibration_error=expected_calibration_error(label, probability),
    )


def _report(world: World, usecase: UseCase, as_of: datetime, sides: _Sides, found: Drift, decision: Decision) -> str:
    rendered = drift_report.render(sides.reference, sides.current, usecase, found, decision=decision, as_of=as_of)
    run_id = uuid4()
    paths = world.reports.write(usecase.name, "drift", run_id, rendered.html, rendered.json)
    world.ledger.record_report(
        ReportRow(
            id=run_id,
            usecase=usecase.name,
            kind="drift",
            run=run_id,
            as_of=as_of,
            path_html=paths.html,
            path_json=paths.json,
            title=f"{usecase.title}: drift as of {as_of:%Y-%m-%d}",
        )
    )
    return str(run_id)
