"""What records alike in every feature are: one case told again, or all that few columns of few values can say."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring.metrics import Floats

FEW: Final = 0.05
"""Where fewer of the records differ, that nearly each is like another is no news."""
CONTRADICTED: Final = 0.25
"""Copies end alike. Records that end otherwise more than so often, against any two records, are no copies."""
DIGITS: Final = 4
"""Numbers alike in so many digits are alike enough to be near duplicates."""


def rounded(values: Floats) -> Floats:
    """Return numbers of any shape rounded to `DIGITS`; zero, what is too small or too large, and NaN as they are."""
    with np.errstate(all="ignore"):
        size = 10.0 ** (np.floor(np.log10(np.abs(values))) - DIGITS + 1)
        found = np.round(values / size) * size
    return np.where(np.isfinite(found), found, values)


def coarse(found: NDArray[Any], outcome: NDArray[Any]) -> bool:
    """Tell whether hardly any of the records differ and those alike end otherwise: each then stands for itself.

    Args:
        found: (n_records,) the same for records alike.
        outcome: (n_records,) of any number of kinds.
    """
    return few_differ(found) and contradicted(found, outcome)


def few_differ(found: NDArray[Any]) -> bool:
    """Tell whether hardly any of the records differ.

    Args:
        found: (n_records,) the same for records alike.
    """
    return len(np.unique(found)) < FEW * len(found)


def contradicted(found: NDArray[Any], outcome: NDArray[Any]) -> bool:
    """Tell whether records alike end otherwise about as often as any two records do, so that none tells on another.

    Copies of a record end as it did, and so do all instalments of a borrower who has one outcome.

    Args:
        found: (n_records,) the same for records alike.
        outcome: (n_records,) of any number of kinds.
    """
    group, kind = (np.unique(values, return_inverse=True)[1] for values in (found, outcome))
    size = np.bincount(group)
    surplus = size - 1.0  # not its pairs: those of one large group would outvote all others
    differ = surplus.sum()
    for value in range(int(kind.max(initial=-1)) + 1):
        count = np.bincount(group[kind == value], minlength=len(size))
        differ -= (count * (count - 1) / size).sum()
    expected = surplus.sum() * (1 - ((np.bincount(kind) / len(kind)) ** 2).sum())
    return bool(differ > CONTRADICTED * expected)
