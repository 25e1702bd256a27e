"""How sure an AUC is without drawing: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, 837-845."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from refit.scoring.metrics import Floats, one_hot

LEAST: Final = 2
"""With fewer records of an outcome than this nothing is known of the spread."""


@dataclass(frozen=True, slots=True)
class Area:
    """An AUC, or a difference of two, and its standard error; both NaN where undefined."""

    value: float
    error: float

    def low(self, level: float) -> float:
        """Return the one-sided lower bound at `level`, for instance 0.99."""
        return self.value - NormalDist().inv_cdf(level) * self.error

    def high(self, level: float) -> float:
        """Return the one-sided upper bound at `level`."""
        return self.value + NormalDist().inv_cdf(level) * self.error


def area(label: Floats, probability: Floats) -> Area:
    """Return the AUC; of several classes the mean of each against the rest, its error as if all erred together.

    Args:
        label: (n_records,) 1.0 bad, 0.0 good; or the class index of each.
        probability: (n_records,) P(bad); or (n_records, n_classes).
    """
    return _mean([_area(of, p) for of, p in _outcomes(label, probability)])


def difference(label: Floats, first: Floats, second: Floats) -> Area:
    """Return how much larger the AUC of the first is on the same records. The arguments are those of `area`."""
    pairs = zip(_outcomes(label, first), _outcomes(label, second), strict=True)
    return _mean([_difference(of, p, q) for (of, p), (_, q) in pairs])


def under_chance(label: Floats, probability: Floats) -> Area:
    """Return the AUC with the error it would have if the probabilities knew nothing: Mann and Whitney 1947, ties right.

    Of several classes, the largest error the mean can have.
    """
    return _mean([Area(_area(of, p).value, _chance_error(of, p)) for of, p in _outcomes(label, probability)])


def _outcomes(label: Floats, probability: Floats) -> list[tuple[Floats, Floats]]:
    if probability.ndim == 1:
        return [(label, probability)]
    return list(zip(one_hot(label, probability.shape[1]).T, probability.T, strict=True))


def _mean(areas: list[Area]) -> Area:
    return Area(float(np.mean([a.value for a in areas])), float(np.mean([a.error for a in areas])))


def _area(label: Floats, probability: Floats) -> Area:
    bad, good = _placements(label, probability)
    return Area(*_summary(bad, good))


def _difference(label: Floats, first: Floats, second: Floats) -> Area:
    one, other = _placements(label, first), _placements(label, second)
    return Area(*_summary(one[0] - other[0], one[1] - other[1]))


def _summary(bad: Floats, good: Floats) -> tuple[float, float]:
    if min(len(bad), len(good)) < LEAST:
        return float("nan"), float("nan")
    return float(bad.mean()), float(np.sqrt(bad.var(ddof=1) / len(bad) + good.var(ddof=1) / len(good)))


def _placements(label: Floats, probability: Floats) -> tuple[Floats, Floats]:
    """Return for each bad record the share of good ones below it, and for each good one the share of bad above it."""
    is_bad = label == 1
    bad, good = np.sort(probability[is_bad]), np.sort(probability[~is_bad])
    if not len(bad) or not len(good):
        return np.empty(0), np.empty(0)
    return (
        _below(good, probability[is_bad]) / len(good),
        1 - _below(bad, probability[~is_bad]) / len(bad),
    )


def _below(ordered: Floats, values: Floats) -> Floats:
    """Return how many of `ordered` lie below each value, a tie as one half."""
    left, right = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((left + right) / 2, dtype=np.float64)


def _chance_error(label: Floats, probability: Floats) -> float:
    n, n_bad = len(label), float(label.sum())
    n_good = n - n_bad
    if min(n_bad, n_good) == 0:
        return float("nan")
    _, ties = np.unique(probability, return_counts=True)
    tied = float((ties.astype(np.float64) ** 3 - ties).sum()) / (n * (n - 1))
    return float(np.sqrt((n + 1 - tied) / (12 * n_bad * n_good)))
