"""Train a challenger on what has matured, judge it against the champion, and keep both in the ledger."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pandas as pd
import structlog

from refit.errors import ContractError
from refit.gate.check import Check
from refit.gate.judge import Verdict
from refit.loop import asof
from refit.loop.judging import judged, latency_ms
from refit.loop.release import champion as champion_of
from refit.loop.sides import as_the_champion_reads, reads_alike
from refit.loop.trials import kept_trials
from refit.loop.wiring import World, code_version
from refit.scoring import bundle as bundles
from refit.scoring.bundle import Bundle
from refit.store.bundles import publish, unfinished
from refit.store.rows import BundleRow, DecisionRow, ReportRow, VerdictRow
from refit.training.card_page import page
from refit.training.recalibrate import recalibrate as recalibrated
from refit.training.train import Trained, train
from refit.usecase.model import UseCase
from refit.usecase.policy import Search

log = structlog.get_logger()

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Retrained:
    """A challenger, kept whatever the gate said. `card_id` names its card among the reports.

    `carried_out_before`: another process trained and told of it, while this one waited.
    """

    version: str
    learner: str
    metrics: dict[str, Any]
    verdict: Verdict
    card_id: str | None = None
    carried_out_before: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "version": self.version,
            "learner": self.learner,
            "metrics": self.metrics,
            "verdict": self.verdict.to_json(),
            "card": self.card_id,
        }


def retrain(
    world: World,
    usecase: UseCase,
    as_of: datetime,
    *,
    decision_id: str | None = None,
    recalibrate: bool = False,
    search: Search | None = None,
    progress: Progress = lambda _text, _fraction: None,
) -> Retrained:
    """Train on the records matured at `as_of`, judge, and record; closes the decisions that asked for it.

    One at a time: a second waits, and where the first carried out its decision tells of that instead of training again.

    Args:
        decision_id: The decision carried out; all that were open when it began are closed with it.
        recalibrate: Keep the champion's model, and refit only its calibrator and threshold.
        search: How long to search, where not as the use case says.

    Raises:
        ContractError: There is nothing to recalibrate, or it reads columns that the newest records were taken in
            without.
        DataError: The matured records cannot train a model, or the champion is damaged; says what to do.
    """
    with world.ledger.retrain_lock(usecase.name, lambda: progress("Waiting for another retrain to end", None)):
        told = None if decision_id is None else _carried_out(world, UUID(decision_id))
        if told is not None:
            return told
        asked_for = [
            row
            for row in world.ledger.open_decisions(usecase.name, as_of)
            if not recalibrate or row.action == "recalibrate"
        ]
        kept = _retrained(world, usecase, as_of, recalibrate, search, progress)
        _close(world, decision_id, asked_for, kept)
    failed = [check.name for check in kept.verdict.failed]
    log.info("gate.judged", usecase=usecase.name, version=kept.version, verdict=kept.verdict.outcome, failed=failed)
    return kept


def _retrained(
    world: World, usecase: UseCase, as_of: datetime, recalibrate: bool, search: Search | None, progress: Progress
) -> Retrained:
    live = world.ledger.live(usecase.name, as_of)
    if recalibrate and live is None:
        raise ContractError(
            f"{usecase.name}: no model made by {as_of:%Y-%m-%d} is live, so there is none to recalibrate; train one "
            f"with `refit retrain {usecase.name}` and put it live with `refit release {usecase.name}`"
        )
    seen = asof.read(world, usecase, as_of)
    champion = champion_of(world, live) if live is not None else None
    origin = {"code_version": code_version(), "snapshot": seen.snapshot}
    if recalibrate and champion is not None:
        if not reads_alike(champion.usecase, usecase):
            seen = replace(seen, frame=as_the_champion_reads(world, champion, seen.frame, as_of))
        trained = recalibrated(champion, seen.frame, usecase, as_of, **origin, progress=progress)
        return _judge_and_keep(world, usecase, as_of, trained, champion, seen, progress)
    with kept_trials(world, usecase, seen, search) as storage:
        trained = train(seen.frame, usecase, as_of, **origin, search=search, storage=storage, progress=progress)
        return _judge_and_keep(world, usecase, as_of, trained, champion, seen, progress)


def _judge_and_keep(
    world: World,
    usecase: UseCase,
    as_of: datetime,
    trained: Trained,
    champion: Bundle | None,
    seen: asof.Seen,
    progress: Progress,
) -> Retrained:
    progress("Judging", None)
    bundle = trained.bundle
    own = None if champion is None else _as_the_champion_reads(world, champion, bundle.usecase, seen, as_of)
    verdict = judged(usecase, trained, champion, seen.frame, latency_ms(bundle), own)
    path = f"{usecase.name}/{bundle.version}"
    with unfinished(world.settings.bundles / usecase.name) as folder:
        bundles.save(bundle, folder)
        publish(folder, world.settings.bundles / path)
    row = VerdictRow(
        usecase=usecase.name,
        challenger=bundle.version,
        champion=champion.version if champion is not None else None,
        outcome=verdict.outcome,
        checks=tuple(asdict(check) for check in verdict.checks),
        as_of=as_of,
    )
    world.ledger.record_judged(
        BundleRow(
            version=bundle.version,
            usecase=usecase.name,
            as_of=bundle.as_of,
            snapshot=seen.snapshot,
            path=path,
            learner=bundle.learner,
            metrics=bundle.card["metrics"],
            card=bundle.card,
        ),
        row,
    )
    _keep_card(world, usecase, bundle, row.id, verdict)
    return Retrained(bundle.version, bundle.learner, dict(bundle.card["metrics"]), verdict, str(row.id))


def _as_the_champion_reads(
    world: World, champion: Bundle, usecase: UseCase, seen: asof.Seen, as_of: datetime
) -> pd.DataFrame | None:
    """Return the records with the champion's own columns, None where those of the challenger's are the same.

    Where they cannot be had any more, its columns are left out, and the gate says that the gain cannot be measured.
    """
    if reads_alike(champion.usecase, usecase):
        return None
    try:
        return as_the_champion_reads(world, champion, seen.frame, as_of)
    except ContractError:
        return seen.frame.drop(columns=list(champion.encoder.features), errors="ignore")


def _keep_card(world: World, usecase: UseCase, bundle: Bundle, verdict_id: UUID, verdict: Verdict) -> None:
    """Write the model's card with its verdict among the reports, under the verdict's id."""
    told = verdict.to_json()
    content = json.dumps({"version": bundle.version, "card": bundle.card, "verdict": told}, indent=1)
    paths = world.reports.write(usecase.name, "card", verdict_id, page(bundle.card, told), content)
    world.ledger.record_report(
        ReportRow(
            id=verdict_id,
            usecase=usecase.name,
            kind="card",
            run=verdict_id,
            as_of=bundle.as_of,
            path_html=paths.html,
            path_json=paths.json,
            title=f"{usecase.title}: model {bundle.version}",
        )
    )


def _close(world: World, decision_id: str | None, asked_for: Sequence[DecisionRow], kept: Retrained) -> None:
    """Mark the decision as carried out, and with it every other that was open when the records were read."""
    ids = [row.id for row in asked_for] if decision_id is None else [UUID(decision_id), *(row.id for row in asked_for)]
    for one in dict.fromkeys(ids):
        world.ledger.take_decision(one, kept.version, kept.verdict.outcome)


def _carried_out(world: World, decision_id: UUID) -> Retrained | None:
    """Return what came of a decision that another process carried out meanwhile; None where nobody did."""
    taken = world.ledger.decision_taken(decision_id)
    bundle = None if taken is None else world.ledger.bundle_head(taken.by)
    if bundle is None:
        return None
    verdict = world.ledger.verdicts(bundle.usecase, limit=1, challenger=bundle.version)[0]
    checks = tuple(Check(**check) for check in verdict.checks)
    metrics, told = dict(bundle.metrics), Verdict(verdict.outcome, checks)
    return Retrained(bundle.version, bundle.learner, metrics, told, str(verdict.id), carried_out_before=True)
