"""Whether there is enough to judge by, whether the model knows anything, and whether it knows enough."""

import math
from typing import Final

import numpy as np

from refit.gate.check import Check, listed, passed
from refit.gate.delong import under_chance
from refit.gate.intervals import gain_interval, ranks_alike
from refit.scoring.intervals import Interval
from refit.scoring.metrics import LOWER_IS_BETTER, Floats
from refit.usecase.model import UseCase

NO_SIGNAL: Final = 0.5
"""The AUC of a model that knows nothing."""
SURE: Final = 0.999
"""One model of pure noise in a thousand gets past: of 200, three or more do once in a thousand times."""
OF_RANKS: Final = frozenset({"roc_auc", "average_precision"})
WHEN_RANKED_ALIKE: Final = "log_loss"


def enough_records(usecase: UseCase, label: Floats) -> Check:
    """Ask for enough test records, and for each outcome among them."""
    n, needed = len(label), usecase.gate.min_test_records
    classes = usecase.classes
    if classes is None:
        bad = int(label.sum())
        absent = [name for name, count in (("bad", bad), ("good", n - bad)) if not count]
        why = f"{n:,} records were tested on, {bad:,} of them bad"
        outcomes = "both outcomes"
    else:
        counts = np.bincount(label.astype(np.intp), minlength=len(classes)).tolist()
        absent = [name for name, count in zip(classes, counts, strict=True) if not count]
        told = ", ".join(f"{count:,} {name}" for name, count in zip(classes, counts, strict=True))
        why = f"{n:,} records were tested on: {told}"
        outcomes = "every class"
    if n < needed:
        why += f"; {needed:,} are needed"
    if absent:
        why += f"; none of them is {listed(absent)}, and what never came cannot be told apart"
    return Check("enough records", passed(true=n >= needed and not absent), n, f"at least {needed:,}, {outcomes}", why)


def no_signal(label: Floats, probability: Floats, seen: Interval) -> Check:
    """Refuse a model that pure chance could have made.

    The interval is that of a model which knows nothing (Mann and Whitney 1947), not the bootstrap's: it holds what
    it promises on few records too, and one of noise in a thousand gets past, where a 95 % interval lets 25 by.
    """
    allowed = f"roc_auc above {NO_SIGNAL} with {SURE:.1%} certainty"
    area = under_chance(label, probability)
    if math.isnan(area.value) or math.isnan(area.error):
        return Check("no signal", "fail", None, allowed, "roc_auc is undefined on these records")
    low = area.low(SURE)
    why = f"roc_auc is {area.value:.3f}, 95 % interval {seen.low:.3f} to {seen.high:.3f}: "
    if low > NO_SIGNAL:
        why += "the model tells the outcomes apart better than chance"
    elif area.error == 0:
        why += "the model says the same of every record, so it found nothing that tells how they end"
    else:
        why += f"the model cannot be told from one that guesses. {_how_far(label, NO_SIGNAL + area.value - low)}"
    return Check("no signal", passed(true=low > NO_SIGNAL), low, allowed, why)


def _how_far(label: Floats, reach: float) -> str:
    """Say how far a guess gets on these records: as far as `reach`, an AUC that may lie above 1."""
    if reach < 1:
        return (
            f"On {len(label):,} records a guess reaches up to {reach:.3f} now and then; what is known of these records "
            "does not say how they end"
        )
    fewest = int(np.unique(label, return_counts=True)[1].min())
    return (
        f"Only {fewest:,} of {len(label):,} records are of the rarest outcome: with so few not even a model that is "
        "always right can be told from a guess"
    )


def floor(metric: str, allowed: float, seen: Interval) -> Check:
    """Ask for an absolute value of a metric."""
    lower = metric in LOWER_IS_BETTER
    limit = f"{'at most' if lower else 'at least'} {allowed:g}"
    name = f"floor: {metric}"
    if math.isnan(seen.value):
        return Check(name, "fail", None, limit, f"{metric} is undefined on these records")
    within = seen.value <= allowed if lower else seen.value >= allowed
    side = "within" if within else "outside"
    why = f"{metric} is {seen.value:.4g}, 95 % interval {seen.low:.4g} to {seen.high:.4g}: {side} what is allowed"
    return Check(name, passed(true=within), seen.value, limit, why)


def gain(
    usecase: UseCase,
    label: Floats,
    challenger: Floats,
    champion: Floats | None,
    threshold: float,
    seed: int,
    champion_threshold: float | None = None,
) -> Check:
    """Ask for a gain that is not chance: the low end of its 95 % interval above `min_gain`, so a tie changes nothing.

    Paired percentile bootstrap, Efron and Tibshirani 1993, chapter 13: a one-sided test at 2.5 %. Where both models put
    the records in the same order, as after a recalibration, no metric of ranks can differ; log loss decides instead.
    A metric of decisions takes each model at its own threshold, as it is or would be served.
    """
    metric, least = usecase.objective.metric, usecase.gate.min_gain
    if champion is None:
        return Check("gain", "not applicable", None, _least(metric, least), "there is no champion to be better than")
    if champion.shape != challenger.shape or np.isnan(champion).any():
        why = (
            "the champion cannot answer these records: it was made for other columns or classes, so whether the "
            "challenger is better cannot be measured; that is for a person to decide"
        )
        return Check("gain", "fail", None, _least(metric, least), why)
    instead = ""
    if metric in OF_RANKS and ranks_alike(challenger, champion):
        instead = f" (both put the records in the same order, so {metric} cannot tell them apart)"
        metric, least = WHEN_RANKED_ALIKE, 0.0
    found = gain_interval(
        metric, label, challenger, champion, threshold, seed=seed, champion_threshold=champion_threshold
    )
    if math.isnan(found.value):
        return Check("gain", "fail", None, _least(metric, least), f"{metric} is undefined on these records")
    better = found.low > least
    verb = "lowers" if metric in LOWER_IS_BETTER else "raises"
    if better:
        end = f"the challenger {verb} it for certain enough"
    elif found.low == found.high == 0:
        end = "the two are equal, and a tie keeps the champion"
    else:
        end = "that can be chance, and a tie keeps the champion" if found.high > least else "the champion is better"
    why = f"{metric}{instead}: gain {found.value:+.4g}, 95 % interval {found.low:+.4g} to {found.high:+.4g}: {end}"
    return Check("gain", passed(true=better), found.low, _least(metric, least), why)


def _least(metric: str, least: float) -> str:
    return f"95 % interval of the gain in {metric} above {least:g}"
