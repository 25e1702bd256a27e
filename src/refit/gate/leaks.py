"""Features that know what no one could know at the decision."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from refit.gate.alone import Features, Rows, bins, evidence, rates, together
from refit.gate.check import Check, listed, not_applicable
from refit.gate.delong import Area, area, difference
from refit.scoring.metrics import Floats
from refit.usecase.model import UseCase

SUSPICIOUS: Final = 0.75
"""From here on a feature alone is looked at closer: what all the others know without it is compared."""
LIFT: Final = 0.10
"""So much more than all others together, it carries the model by itself."""
CERTAIN: Final = 0.90
"""A strong honest feature, a credit score for instance, ranks; it holds no values of which nearly all end badly."""
OF_ALL: Final = 0.10
"""Of all bad records at least so many lie in bins that are certain, before the test and in it: then it gives away."""
SURE: Final = 0.99
LAGGED: Final = "single-feature leak, lagged"
KNOWS: Final = 0.60
LEFT: Final = 0.25
"""Of what a feature knows above chance from records of the same time, so much must be left from older ones."""
FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class _Known:
    """What one feature alone knows of an outcome, and what the others know of it without that feature."""

    name: str
    alone: float
    without: float | None = None
    lifts: bool = False


def single_feature(usecase: UseCase, features: Features) -> Check:
    """Refuse where one feature alone nearly decides, or gives outcomes away and carries the model by itself.

    Each is judged by its smoothed bad rates a bin or category, learnt before the test and seen on the test.
    """
    most = usecase.gate.leak_auc_max
    allowed = (
        f"roc_auc of one feature at most {most:g}, and none that gives outcomes away and beats all others together"
    )
    found = _alone(features)
    if not found:
        return not_applicable("single-feature leak", allowed, "the test holds too few of either outcome to tell")
    strongest = max(found, key=lambda known: known.alone)
    leaks = {known.name: known for known in found if known.alone > most}
    leaks |= {known.name: known for known in found if known.lifts}
    if not leaks:
        why = f"the strongest feature is {strongest.name}: alone it reaches a roc_auc of {strongest.alone:.3f}"
        if strongest.without is not None:
            why += f", and the others without it {strongest.without:.3f}"
        return Check("single-feature leak", "pass", strongest.alone, allowed, why)
    told = [
        f"{known.name} alone reaches a roc_auc of {known.alone:.3f}"
        + (f", all other features together {known.without:.3f}" if known.without is not None else "")
        for known in leaks.values()
    ]
    why = (
        f"{listed(told)}. Ask whether it is known at the decision, and take it out if not; if it is, say so by "
        "`gate.leak_auc_max` in the use case"
    )
    return Check("single-feature leak", "fail", max(k.alone for k in leaks.values()), allowed, why)


def _alone(features: Features) -> list[_Known]:
    found = []
    test = features.test
    for outcome in features.outcomes:
        if not 0 < outcome[test].sum() < len(test) or not 0 < outcome[features.before].sum() < len(features.before):
            continue
        known = evidence(features, outcome)
        for k, name in enumerate(features.names):
            alone = area(outcome[test], known[test, k])
            found.append(_compared(features, outcome, known, k, name, alone))
    return found


def _compared(features: Features, outcome: Floats, known: Floats, k: int, name: str, alone: Area) -> _Known:
    """Compare a suspicious feature with a regression on all others, on the same test records."""
    if not alone.value > SUSPICIOUS or len(features.names) == 1:
        return _Known(name, alone.value)
    test = features.test
    others = together(np.delete(known, k, axis=1), outcome, features.before, test)
    ahead = difference(outcome[test], known[test, k], others)
    without = alone.value - ahead.value
    lifts = ahead.value > LIFT and ahead.low(SURE) > 0 and _given_away(features, outcome, k) >= OF_ALL
    return _Known(name, alone.value, without, lifts)


def _given_away(features: Features, outcome: Floats, k: int) -> float:
    """Return the share of the tested outcomes that lie in bins where nearly all ended so, before the test and in it."""
    group = bins(features.matrix[:, k], features.before)
    certain = np.ones(int(group.max()) + 1, dtype=bool)
    for rows in (features.before, features.test):
        count = np.bincount(group[rows], minlength=len(certain))
        came = np.bincount(group[rows], weights=outcome[rows], minlength=len(certain))
        certain &= came >= CERTAIN * np.maximum(count, 1)
    tested = features.test[outcome[features.test] == 1]
    return float(certain[group[tested]].mean())


def lagged(usecase: UseCase, features: Features) -> Check:
    """Name the features that tell outcomes only of the time they were learnt in: what a leak of the same day does.

    On the newer half of the records, rates learnt from that half (each fifth from the other four) are held against
    rates learnt from the older half. Where the split is by time the test has lagged them already, so the model's
    figures do not count on them; where it is at random they do.
    """
    allowed = f"at least {LEFT:.0%} of what a feature knows is left once it is learnt from older records"
    if features.days is None:
        return not_applicable(LAGGED, allowed, "the records have no date")
    older, newer = _halves(features)
    suspects: dict[str, str] = {}
    least, n_compared = 1.0, 0
    for outcome in features.outcomes:
        if min(_fewest(outcome[older]), _fewest(outcome[newer])) < FOLDS:
            continue
        n_compared += 1
        for k, name in enumerate(features.names):
            now, then = _both_ways(features.matrix[:, k], outcome, older, newer)
            if now.value < KNOWS:
                continue
            left = (then.value - 0.5) / (now.value - 0.5)
            least = min(least, left)
            if left < LEFT and then.high(SURE) < now.low(SURE):
                suspects[name] = f"{name} ({now.value:.3f} from the same time, {then.value:.3f} from before)"
    if not n_compared:
        return not_applicable(LAGGED, allowed, "the older or the newer records hold too few of an outcome to compare")
    if not suspects:
        return Check(
            LAGGED, "pass", least, allowed, "no feature loses what it knows once it is learnt from older records"
        )
    told = listed(list(suspects.values()))
    if usecase.split.by == "time":
        why = f"suspect: {told}. The test is later in time than what was learnt from, so its figures do not count on it"
        return Check(LAGGED, "pass", least, allowed, why)
    why = f"{told}: it knows the outcomes of its own time alone, which no one knows at the decision. Take it out"
    return Check(LAGGED, "fail", least, allowed, why)


def _halves(features: Features) -> tuple[Rows, Rows]:
    used = np.concatenate([features.before, features.test])
    days = features.days if features.days is not None else np.empty(0)
    middle = np.median(days[used])
    return used[days[used] < middle], used[days[used] >= middle]


def _both_ways(values: NDArray[np.float32], outcome: Floats, older: Rows, newer: Rows) -> tuple[Area, Area]:
    """Return the AUC on the newer half of rates learnt in it, each fifth from the others, and of rates from before."""
    group = bins(values, np.concatenate([older, newer]))
    learnt = np.empty(len(newer))
    fold = np.random.default_rng(0).permutation(len(newer)) % FOLDS
    for k in range(FOLDS):
        learnt[fold == k] = rates(group, outcome, newer[fold != k])[newer[fold == k]]
    return area(outcome[newer], learnt), area(outcome[newer], rates(group, outcome, older)[newer])


def _fewest(outcome: Floats) -> int:
    return int(min(outcome.sum(), len(outcome) - outcome.sum()))
