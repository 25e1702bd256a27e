"""How sure an AUC is where several test records are of one case: copies of it, or its instalments."""

import numpy as np
from numpy.typing import NDArray

from refit.gate.delong import Area
from refit.scoring.metrics import Floats, one_hot


def by_case(label: Floats, probability: Floats, case: NDArray[np.uint64]) -> Area:
    """Return the AUC, of several classes the mean of each against the rest, with the error that cases leave it.

    Ten copies say what one says. So what each record adds to the AUC is summed by case, and the cases vary: the ranks
    of Mann and Whitney 1947 with the variance of Liang and Zeger 1986, section 3. NaN where an outcome is absent.

    Args:
        label: (n_records,) 1.0 bad, 0.0 good; or the class index of each.
        probability: (n_records,) P(bad); or (n_records, n_classes).
        case: (n_records,) the same for records of one case.
    """
    if probability.ndim == 1:
        added = _added(label, probability)
    else:
        classes = zip(one_hot(label, probability.shape[1]).T, probability.T, strict=True)
        added = np.mean([_added(is_one, said) for is_one, said in classes], axis=0)
    of_case = np.bincount(np.unique(case, return_inverse=True)[1], weights=added)
    return Area(0.5 + float(added.sum()), float(np.sqrt((of_case**2).sum())))


def _added(is_bad: Floats, probability: Floats) -> Floats:
    """Return (n_records,) by how much each record moves the AUC away from one half; their sum moves it all."""
    n_bad = float(is_bad.sum())
    n_good = len(is_bad) - n_bad
    if not n_bad or not n_good:
        return np.full(len(is_bad), np.nan)
    _, place, count = np.unique(probability, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return np.asarray((is_bad - is_bad.mean()) * (rank - rank.mean()) / (n_bad * n_good), dtype=np.float64)
