"""Whether probabilities mean what they say, beyond what the draw of the test records explains."""

from typing import Final

import numpy as np

from refit.gate.check import Check, passed
from refit.scoring.metrics import Floats, equal_count_bins, one_hot

DRAWS: Final = 500
SURE: Final = 99.0
"""Of models whose probabilities are right, so many in a hundred lie closer to the outcomes than the bound drawn."""


def calibration(label: Floats, probability: Floats, largest: float, seed: int) -> Check:
    """Ask for a small mean gap to the seen rate over ten groups of equal count; of several classes, their mean.

    The plain gap is never 0: on 200 records a model that is exactly right shows 0.06. So what chance alone gives is
    taken off each group in squares (Brocker 2012, Estimating reliability), and a gap that outcomes drawn from the
    model's own probabilities reach as well (consistency resampling, Brocker and Smith 2007) is no failure.
    """
    allowed = f"at most {largest:g} beyond chance"
    if not len(label):
        return Check("calibration", "fail", None, allowed, "there are no records to compare probabilities with")
    outcomes = [(label, probability)] if probability.ndim == 1 else list(_classes(label, probability))
    plain, beyond = (float(np.mean(each)) for each in zip(*(_errors(of, p) for of, p in outcomes), strict=True))
    bound = _bound(outcomes, seed)
    within = beyond <= largest or plain <= bound
    if probability.ndim == 1:
        rate = f"bad rate expected {probability.mean():.2%}, seen {label.mean():.2%}; over ten groups"
    else:
        rate = f"over ten groups of each of {probability.shape[1]} classes"
    why = (
        f"{rate} they lie {plain:.4f} apart on average, {beyond:.4f} of it beyond chance; probabilities that are right "
        f"lie up to {bound:.4f} from {len(label):,} records"
    )
    if not within:
        why += ". The probabilities cannot be taken at their word"
    return Check("calibration", passed(true=within), beyond, allowed, why)


def _classes(label: Floats, probability: Floats) -> list[tuple[Floats, Floats]]:
    return list(zip(one_hot(label, probability.shape[1]).T, probability.T, strict=True))


def _errors(label: Floats, probability: Floats) -> tuple[float, float]:
    """Return the mean gap over the groups, as it is and with the part that chance gives taken off."""
    group = equal_count_bins(probability)
    gap = np.bincount(group, weights=probability - label)
    by_chance = np.bincount(group, weights=probability * (1 - probability))
    beyond = np.sqrt(np.maximum(gap**2 - by_chance, 0))
    return float(np.abs(gap).sum() / len(label)), float(beyond.sum() / len(label))


def _bound(outcomes: list[tuple[Floats, Floats]], seed: int) -> float:
    """Return what the mean gap stays below in 99 of 100 draws of outcomes from the probabilities themselves."""
    random = np.random.default_rng(seed)
    drawn = np.zeros(DRAWS)
    for _, probability in outcomes:
        group = equal_count_bins(probability)
        n_groups = int(group.max()) + 1
        size = np.bincount(group, minlength=n_groups)
        expected = np.bincount(group, weights=probability, minlength=n_groups)
        spread = np.sqrt(np.bincount(group, weights=probability * (1 - probability), minlength=n_groups))
        gap = np.abs(random.standard_normal((DRAWS, n_groups)) * spread)
        drawn += np.minimum(gap, np.maximum(expected, size - expected)).sum(axis=1) / len(probability)
    return float(np.percentile(drawn / len(outcomes), SURE))
