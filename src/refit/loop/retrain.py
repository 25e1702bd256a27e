"""Train a challenger on what has matured, judge it against the champion, and keep both in the ledger."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from refit.gate.judge import Verdict, judge
from refit.loop import asof
from refit.loop.release import bundle_folder
from refit.loop.wiring import World, code_version
from refit.scoring import bundle as bundles
from refit.scoring.bundle import Bundle
from refit.store.bundles import publish, unfinished
from refit.store.rows import BundleRow, VerdictRow
from refit.training.recalibrate import recalibrate as recalibrated
from refit.training.train import Trained, train
from refit.usecase.model import UseCase

log = structlog.get_logger()

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Retrained:
    """A challenger, kept whatever the gate said."""

    version: str
    learner: str
    metrics: dict[str, Any]
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "version": self.version,
            "learner": self.learner,
            "metrics": self.metrics,
            "verdict": self.verdict.to_json(),
        }


def retrain(
    world: World,
    usecase: UseCase,
    as_of: datetime,
    *,
    decision_id: str | None = None,
    recalibrate: bool = False,
    progress: Progress = lambda _text, _fraction: None,
) -> Retrained:
    """Train on the records matured at `as_of`, judge, and record; closes the decision that asked for it.

    Args:
        decision_id: The decision carried out; all older open ones are closed with it.
        recalibrate: Keep the champion's model, and refit only its calibrator and threshold.

    Raises:
        DataError: The matured records cannot train a model; says what is missing.
    """
    seen = asof.read(world, usecase, as_of)
    live = world.ledger.live(usecase.name, as_of)
    champion = bundles.load(bundle_folder(world, live.version)) if live is not None else None
    origin = {"code_version": code_version(), "snapshot": seen.snapshot}
    if recalibrate and champion is not None:
        trained = recalibrated(champion, seen.frame, as_of, **origin, progress=progress)
    else:
        trained = train(seen.frame, usecase, as_of, **origin, progress=progress)
    progress("Judging", None)
    verdict = _judged(usecase, trained, champion)
    _keep(world, usecase, trained, seen.snapshot)
    world.ledger.record_verdict(
        VerdictRow(
            usecase=usecase.name,
            challenger=trained.bundle.version,
            champion=champion.version if champion is not None else None,
            outcome=verdict.outcome,
            checks=tuple(asdict(check) for check in verdict.checks),
            as_of=as_of,
        )
    )
    _close(world, usecase, decision_id, trained.bundle.version, verdict)
    failed = [check.name for check in verdict.checks if check.outcome == "fail"]
    log.info(
        "gate.judged", usecase=usecase.name, version=trained.bundle.version, verdict=verdict.outcome, failed=failed
    )
    return Retrained(trained.bundle.version, trained.bundle.learner, dict(trained.bundle.card["metrics"]), verdict)


def _judged(usecase: UseCase, trained: Trained, champion: Bundle | None) -> Verdict:
    test = trained.test
    champion_probability = None
    if champion is not None:
        columns = {name: test[name].to_numpy() for name in champion.usecase.features}
        champion_probability = champion.predict_columns(columns)
    return judge(
        usecase,
        test["_label"].to_numpy(),
        trained.probability,
        champion_probability,
        threshold=trained.bundle.threshold,
        seed=usecase.seed,
    )


def _keep(world: World, usecase: UseCase, trained: Trained, snapshot: str) -> None:
    bundle = trained.bundle
    path = f"{usecase.name}/{bundle.version}"
    with unfinished(world.settings.bundles / usecase.name) as folder:
        bundles.save(bundle, folder)
        publish(folder, world.settings.bundles / path)
    world.ledger.record_bundle(
        BundleRow(
            version=bundle.version,
            usecase=usecase.name,
            as_of=bundle.as_of,
            snapshot=snapshot,
            path=path,
            learner=bundle.learner,
            metrics=bundle.card["metrics"],
            card=bundle.card,
        )
    )


def _close(world: World, usecase: UseCase, decision_id: str | None, version: str, verdict: Verdict) -> None:
    """Mark the decision as carried out, and with it every older one that asked for the same."""
    if decision_id is not None:
        world.ledger.take_decision(UUID(decision_id), version, verdict.outcome)
    for row in world.ledger.open_decisions(usecase.name):
        world.ledger.take_decision(row.id, version, verdict.outcome)
