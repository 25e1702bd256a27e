"""Whether a challenger may take the champion's place, check by check, on records neither was fitted on."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from refit.gate.intervals import gain_interval, ranks_alike
from refit.scoring.intervals import Interval, intervals
from refit.scoring.metrics import LOWER_IS_BETTER, Floats
from refit.usecase.model import UseCase

NO_SIGNAL: Final = 0.5
"""The AUC of a model that knows nothing."""
OF_RANKS: Final = frozenset({"roc_auc", "average_precision"})
WHEN_RANKED_ALIKE: Final = "log_loss"
BOTH: Final = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verdict: what was asked, what was seen, what was allowed."""

    name: str
    outcome: Literal["pass", "fail", "not applicable"]
    seen: float | None
    allowed: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate concluded: promote only if no check failed."""

    outcome: Literal["promote", "refuse"]
    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"outcome": self.outcome, "checks": [asdict(check) for check in self.checks]}


def judge(
    usecase: UseCase, label: Floats, challenger: Floats, champion: Floats | None, threshold: float, seed: int
) -> Verdict:
    """Return the verdict on a challenger. That it answers its golden records is checked at the release.

    Args:
        label: (n_records,) outcomes of the newest matured records, 1.0 bad, 0.0 good.
        challenger: (n_records,) its P(bad) of them.
        champion: The same of the live model; None where there is none.
        threshold: The challenger's, for metrics of decisions.
    """
    gate = usecase.gate
    names = ("roc_auc", "expected_calibration_error", *gate.floor)
    seen = intervals(label, challenger, threshold, seed=seed, names=tuple(dict.fromkeys(names)))
    checks = (
        _enough_records(label, gate.min_test_records),
        _no_signal(seen["roc_auc"]),
        *(_floor(metric, allowed, seen[metric]) for metric, allowed in gate.floor.items()),
        _gain(usecase, label, challenger, champion, threshold, seed),
        _calibration(label, challenger, seen["expected_calibration_error"], gate.calibration_error_max),
    )
    return Verdict("refuse" if any(check.outcome == "fail" for check in checks) else "promote", checks)


def _enough_records(label: Floats, needed: int) -> Check:
    n, bad = len(label), int(label.sum())
    enough, both = n >= needed, 0 < bad < n
    why = f"{n:,} records were tested on, {bad:,} of them bad"
    if not enough:
        why += f"; {needed:,} are needed"
    if not both:
        why += "; without both outcomes nothing can be told apart"
    return Check("enough records", _outcome(enough and both), n, f"at least {needed:,}, both outcomes", why)


def _no_signal(auc: Interval) -> Check:
    """Refuse where the interval of the AUC reaches that of pure chance."""
    allowed = f"95 % interval of roc_auc above {NO_SIGNAL}"
    if math.isnan(auc.value):
        return Check("no signal", "fail", None, allowed, "roc_auc is undefined on these records")
    why = f"roc_auc is {auc.value:.3f}, 95 % interval {auc.low:.3f} to {auc.high:.3f}: "
    if auc.low > NO_SIGNAL:
        why += "the model tells bad from good better than chance"
    else:
        why += "the model cannot be told from one that guesses"
    return Check("no signal", _outcome(auc.low > NO_SIGNAL), auc.low, allowed, why)


def _floor(metric: str, allowed: float, seen: Interval) -> Check:
    lower = metric in LOWER_IS_BETTER
    limit = f"{'at most' if lower else 'at least'} {allowed:g}"
    name = f"floor: {metric}"
    if math.isnan(seen.value):
        return Check(name, "fail", None, limit, f"{metric} is undefined on these records")
    passed = seen.value <= allowed if lower else seen.value >= allowed
    side = "within" if passed else "outside"
    why = f"{metric} is {seen.value:.4g}, 95 % interval {seen.low:.4g} to {seen.high:.4g}: {side} what is allowed"
    return Check(name, _outcome(passed), seen.value, limit, why)


def _gain(
    usecase: UseCase, label: Floats, challenger: Floats, champion: Floats | None, threshold: float, seed: int
) -> Check:
    """Ask for a gain that is not chance: the low end of its 95 % interval above `min_gain`, so a tie changes nothing.

    Paired percentile bootstrap, Efron and Tibshirani 1993, chapter 13: a one-sided test at 2.5 %. Where both models put
    the records in the same order, as after a recalibration, no metric of ranks can differ; log loss decides instead.
    """
    metric, least = usecase.objective.metric, usecase.gate.min_gain
    if champion is None:
        return Check("gain", "not applicable", None, _least(metric, least), "there is no champion to be better than")
    instead = ""
    if metric in OF_RANKS and ranks_alike(challenger, champion):
        instead = f" (both put the records in the same order, so {metric} cannot tell them apart)"
        metric, least = WHEN_RANKED_ALIKE, 0.0
    gain = gain_interval(metric, label, challenger, champion, threshold, seed=seed)
    if math.isnan(gain.value):
        return Check("gain", "fail", None, _least(metric, least), f"{metric} is undefined on these records")
    passed = gain.low > least
    verb = "lowers" if metric in LOWER_IS_BETTER else "raises"
    if passed:
        end = f"the challenger {verb} it for certain enough"
    elif gain.low == gain.high == 0:
        end = "the two are equal, and a tie keeps the champion"
    else:
        end = "that can be chance, and a tie keeps the champion" if gain.high > least else "the champion is better"
    why = f"{metric}{instead}: gain {gain.value:+.4g}, 95 % interval {gain.low:+.4g} to {gain.high:+.4g}: {end}"
    return Check("gain", _outcome(passed), gain.low, _least(metric, least), why)


def _calibration(label: Floats, challenger: Floats, error: Interval, largest: float) -> Check:
    """Ask that probabilities mean what they say: mean gap to the seen bad rate over ten bins of equal count."""
    allowed = f"at most {largest:g}"
    if math.isnan(error.value):
        return Check("calibration", "fail", None, allowed, "there are no records to compare probabilities with")
    why = (
        f"bad rate expected {challenger.mean():.2%}, seen {label.mean():.2%}; over ten groups they lie "
        f"{error.value:.4f} apart on average, 95 % interval {error.low:.4f} to {error.high:.4f}"
    )
    return Check("calibration", _outcome(error.value <= largest), error.value, allowed, why)


def _least(metric: str, least: float) -> str:
    return f"95 % interval of the gain in {metric} above {least:g}"


def _outcome(passed: bool) -> Literal["pass", "fail"]:
    return "pass" if passed else "fail"
