"""Configurations fitted on all records before the test and calibrated, and which of them is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from refit.scoring.metrics import Floats, better, evaluate
from refit.training import blending
from refit.training.calibration import Calibrated, calibrate, error, log_losses
from refit.training.card import Candidate
from refit.training.crossfit import Config, CrossFitted, Encoded, crossfit, held
from refit.training.learners.fitted import Fitted
from refit.training.search import described
from refit.training.split import Parts
from refit.usecase.model import UseCase

Progress = Callable[[str, float], None]
OF_RANKS: Final = frozenset({"roc_auc", "average_precision"})
NEAR: Final = 0.001
"""Nearer than this two of one rank metric are as good as each other, and the lower log loss is kept."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A configuration's last model, its calibrator, and what both say of the records that calibrate, each held out."""

    learner: str
    candidate: Candidate
    fitted: Fitted
    calibrated: Calibrated
    calibration_probability: Floats


def try_all(
    encoded: Encoded, parts: Parts, usecase: UseCase, configs: Sequence[Config], progress: Progress, *, blend: bool
) -> list[Attempt]:
    """Return what each configuration makes of the records, in the order given, and last their blend where it is better.

    Learners as they come are never blended: a use case without a search asked for simple models.
    """
    names = " and ".join(dict.fromkeys(described(config) for config in configs))
    calibrates = held(parts, usecase)
    crossed = crossfit(
        encoded,
        configs,
        parts.before_test,
        calibrates,
        usecase.seed,
        lambda done: progress(f"Fitting {names} on all {len(parts.before_test):,} records", 0.62 + 0.2 * done),
    )
    label = encoded.label[calibrates]
    attempts = [
        _attempt(config.learner, replace(one, fitted=_with_balancing(one.fitted, config)), label, usecase)
        for config, one in zip(configs, crossed, strict=True)
    ]
    if blend:
        may = _may_blend(attempts, label, usecase)
        members = [(configs[place], crossed[place]) for place in may]
        together = blending.blended([config for config, _ in members], [one for _, one in members], label)
        if together is not None:
            attempts.append(_attempt(blending.NAME, together, label, usecase))
    return attempts


def _may_blend(attempts: Sequence[Attempt], label: Floats, usecase: UseCase) -> list[int]:
    """Return whose voice counts in a blend: by time only those that are ahead of the first by themselves.

    On SBA loans matured by the end of 1999 a blend with members that were half a standard error ahead was ahead by two
    itself, and ranked the loans to come less well than the learner as it comes: an AUC of 0.608 against 0.612.
    """
    if usecase.split.by != "time":
        return list(range(len(attempts)))
    clear = ahead(attempts, label)
    return [place for place, attempt in enumerate(attempts) if attempt in clear]


def _attempt(learner: str, one: CrossFitted, label: Floats, usecase: UseCase) -> Attempt:
    calibrated = calibrate(one.held_out, label, usecase.seed)
    candidate = standing(learner, usecase, one.held_out, label, calibrated)
    return Attempt(learner, candidate, one.fitted, calibrated, calibrated.calibrator.apply(one.held_out))


def _with_balancing(fitted: Fitted, config: Config) -> Fitted:
    return (
        fitted
        if config.balancing == "none"
        else replace(fitted, params={**fitted.params, "balancing": config.balancing})
    )


def scores(probability: Floats) -> Floats:
    """Return (n_records,) the one number a profile keeps: P(bad), or how sure the model is of the class it chooses."""
    return probability if probability.ndim == 1 else np.asarray(probability.max(axis=1), dtype=np.float64)


def standing(learner: str, usecase: UseCase, raw: Floats, label: Floats, calibrated: Calibrated) -> Candidate:
    """Return how a learner does on records it was not fitted on.

    A calibrator of two classes keeps ranks, so raw probabilities serve for those; all else is fair only where it was
    held out too.
    """
    metric = usecase.objective.metric
    ranks_kept = metric in OF_RANKS and raw.ndim == 1
    value = evaluate(metric, label, raw if ranks_kept else calibrated.held_out)
    return Candidate(learner, metric, value, evaluate("log_loss", label, calibrated.held_out))


def ahead(attempts: Sequence[Attempt], label: Floats) -> list[Attempt]:
    """Return the first, and those that are nearer to the truth than it by more than the standard error of the gap.

    The one standard error rule (Breiman et al. 1984, section 3.4.3) in favour of what has not been searched for: the
    best of many tries looks better than it is, the more so the fewer bad records tell them apart.

    Args:
        attempts: A learner as it comes, and what a search found.
        label: (n_records,) how those ended that calibrate.
    """
    first = log_losses(label, attempts[0].calibrated.held_out)
    gains = [first - log_losses(label, attempt.calibrated.held_out) for attempt in attempts]
    return [a for a, gain in zip(attempts, gains, strict=True) if a is attempts[0] or gain.mean() > error(gain)]


def best_of(attempts: Sequence[Attempt], usecase: UseCase) -> Attempt:
    """Return the attempt with the best metric; of equals, the one found first.

    Of ranks within a thousandth of the best, the lowest log loss: so small a difference is chance, and what the
    probabilities say is not.
    """
    metric = usecase.objective.metric
    best = attempts[0]
    for attempt in attempts[1:]:
        if better(metric, attempt.candidate.value, best.candidate.value):
            best = attempt
    if metric not in OF_RANKS:
        return best
    near = [a for a in attempts if a.candidate.value >= best.candidate.value - NEAR]
    return min(near or [best], key=lambda attempt: attempt.candidate.log_loss)
