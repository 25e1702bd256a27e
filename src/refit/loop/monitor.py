"""Look at what arrived, conclude what to do, and keep the reasons and the report."""

import math
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import uuid4

import pandas as pd
import structlog

from refit.loop import asof
from refit.loop.arrivals import Arrivals, arrivals
from refit.loop.performance import performance
from refit.loop.sides import Sides, scored, sides, with_score
from refit.loop.wiring import World
from refit.monitoring import report as drift_report
from refit.monitoring.live import live_drift
from refit.monitoring.profile import Profile, profile
from refit.monitoring.psi import Drift, drift
from refit.monitoring.triage import Decision, Evidence, OpenRequest, Performance, Reason, triage
from refit.store.rows import DecisionRow, ReportRow
from refit.training.maturity import first_ripe_on
from refit.training.unseen import unseen
from refit.usecase.model import UseCase

log = structlog.get_logger()

LIVE_WINDOW: Final = timedelta(days=30)
LIVE_MOST: Final = 20_000
"""Requests that are compared, the newest: more would show no more, and are read from the database every night."""


@dataclass(frozen=True, slots=True)
class Monitored:
    """What monitoring saw and concluded. `report_id` is None where there was nothing to report on."""

    decision_id: str
    decision: Decision
    drift: Drift | None
    report_id: str | None
    n_reference: int
    n_current: int
    live: Drift | None = None
    performance: Performance | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "decision": {"id": self.decision_id, **self.decision.to_json()},
            "drift": self.drift.to_json() if self.drift is not None else None,
            "report": self.report_id,
            "n_reference": self.n_reference,
            "n_current": self.n_current,
            "live": self.live.to_json() if self.live is not None else None,
            "performance": asdict(self.performance) if self.performance is not None else None,
        }


def monitor(world: World, usecase: UseCase, as_of: datetime, *, schedule_due: bool = False) -> Monitored:
    """Check the records known at `as_of` against the champion's reference and record the decision.

    Raises:
        DataError: A batch or the champion's bundle is missing or altered.
        OutageError: Postgres does not answer, or the disk is full.
    """
    seen = asof.read(world, usecase, as_of)
    passed = _passed(world, usecase, as_of)
    arrived = arrivals(world, usecase, passed, seen.frame, as_of)
    found = sides(world, usecase, seen.frame, as_of, None if passed is None else arrived.keys)
    # What was blocked counts as new until a decision lets it pass.
    nothing_new = passed is not None and not arrived.keys and not arrived.n_refused
    drifts = _Drifts() if nothing_new or found.current.empty else _drifts(found)
    live = _live(world, found, as_of)
    evidence = _evidence(world, usecase, as_of, found, drifts, live, arrived, schedule_due)
    decision = triage(evidence, usecase)
    report_id = _report(world, found, as_of, drifts.current, decision) if drifts.current is not None else None
    row = DecisionRow(
        usecase=usecase.name,
        as_of=as_of,
        action=decision.action,
        reasons=tuple(asdict(reason) for reason in decision.reasons),
        drift=drifts.to_json(live),
        n_new=len(arrived.keys),
        champion=found.champion.version if found.champion is not None else None,
        snapshot=seen.snapshot,
    )
    world.ledger.record_decision(row)
    log.info(
        "monitor.decided", usecase=usecase.name, action=decision.action, reasons=[r.code for r in decision.reasons]
    )
    return Monitored(
        str(row.id),
        decision,
        drifts.current,
        report_id,
        len(found.reference),
        len(found.current),
        live,
        evidence.performance,
    )


@dataclass(frozen=True, slots=True)
class _Drifts:
    """The drift of all current records, and of the new ones alone."""

    current: Drift | None = None
    new: Drift | None = None

    def to_json(self, live: Drift | None) -> dict[str, Any] | None:
        """Return what the ledger keeps: the drift of the current records, that of new and live ones beside it.

        A night without new records may know of live requests alone; None where nothing was compared.
        """
        beside = {name: side.to_json() for name, side in (("new", self.new), ("live", live)) if side is not None}
        return ({} if self.current is None else self.current.to_json()) | beside or None


def _passed(world: World, usecase: UseCase, as_of: datetime) -> DecisionRow | None:
    """Return the last decision that was no block: a block stands until its data has been looked at again."""
    last = world.ledger.last_decision(usecase.name, as_of)
    if last is None or last.action != "block":
        return last
    earlier = [row for row in world.ledger.decisions(usecase.name) if row.as_of <= as_of and row.action != "block"]
    return max(earlier, key=lambda row: row.as_of, default=None)


def _drifts(found: Sides) -> _Drifts:
    champion = found.champion
    if champion is None:
        return _Drifts(drift(profile(found.reference, found.usecase), found.current, found.usecase))
    reference = Profile.from_json(champion.profile)

    def of(frame: pd.DataFrame) -> Drift:
        return drift(
            reference,
            frame,
            found.usecase,
            score=scored(champion, frame),
            importance=champion.card["importance"],
        )

    return _Drifts(of(found.current), None if found.new is None else of(found.new))


def _live(world: World, found: Sides, as_of: datetime) -> Drift | None:
    """Return how far the requests of the last days lie from the reference; None where they are too few to tell."""
    champion = found.champion
    if champion is None:
        return None
    since = max(as_of - LIVE_WINDOW, champion.as_of)
    rows = world.ledger.predictions(found.usecase.name, since, as_of, limit=LIVE_MOST)
    rows = [row for row in rows if row.version == champion.version]
    if len(rows) < found.usecase.drift.min_records:
        return None
    answers = [
        row.probability if row.probability is not None else max((row.probabilities or {}).values(), default=math.nan)
        for row in rows
    ]
    reference = Profile.from_json(champion.profile)
    asked = champion.usecase.model_copy(update={"drift": found.usecase.drift})
    return live_drift([row.inputs for row in rows], answers, reference, asked, champion.card["importance"])


def _evidence(
    world: World,
    usecase: UseCase,
    as_of: datetime,
    found: Sides,
    drifts: _Drifts,
    live: Drift | None,
    arrived: Arrivals,
    schedule_due: bool,
) -> Evidence:
    judged = {verdict.challenger for verdict in world.ledger.verdicts(usecase.name)}
    attempts = [row for row in world.ledger.bundles(usecase.name, as_of=as_of) if row.version in judged][:1]
    champion, frame = found.champion, found.frame
    ripe = frame["_ripe"]
    event = frame["_event_time"]
    matured = ripe & unseen(frame, attempts[0], usecase) if attempts else ripe
    request = world.ledger.open_decisions(usecase.name, as_of)
    return Evidence(
        as_of=as_of,
        n_new=len(arrived.keys),
        n_rejected=arrived.n_refused,
        causes=arrived.causes,
        # Without a champion there is nothing the drift could have gone against: it is reported, and decides nothing.
        drift=drifts.current if champion is not None else None,
        new_drift=drifts.new,
        live=live,
        champion_as_of=champion.as_of if champion is not None else None,
        last_attempt_as_of=attempts[0].as_of if attempts else None,
        new_matured=int(matured.sum()),
        newest_ripe=event[ripe].max().to_pydatetime() if ripe.any() else None,
        first_ripe_on=None if ripe.any() else first_ripe_on(frame, usecase),
        performance=performance(champion, frame, usecase) if champion is not None else None,
        open_request=_open_request(request[0]) if request else None,
        schedule_due=schedule_due,
    )


def _open_request(row: DecisionRow) -> OpenRequest:
    action: Literal["recalibrate", "retrain"] = "recalibrate" if row.action == "recalibrate" else "retrain"
    return OpenRequest(action, row.as_of, tuple(Reason(**reason) for reason in row.reasons))


def _report(world: World, found: Sides, as_of: datetime, drifted: Drift, decision: Decision) -> str:
    usecase = found.usecase
    reference, current = (with_score(found.champion, side, usecase.seed) for side in (found.reference, found.current))
    rendered = drift_report.render(reference, current, usecase, drifted, decision=decision, as_of=as_of)
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
