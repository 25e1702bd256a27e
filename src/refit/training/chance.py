"""Whether equal records are copies of each other, or what few columns of few values make by chance."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring.likeness import contradicted

Codes = NDArray[np.int64]
TIMES: Final = 2
"""Copies make more than so many times the pairs that chance makes."""


def by_chance(alike: Codes, outcome: Codes, day: Codes, seed: int) -> bool:
    """Tell whether the equal records are such as chance makes.

    Leaving out what is equal by chance leaves out the frequent outcome, and the rare one looks many times as frequent.
    So there are two signs of chance, and one is enough. The pairs are as many where each outcome's days are dealt anew
    (a permutation test, Fisher 1935, section 21). Or records of one day that are alike in all they hold end otherwise;
    that sign holds too where a column goes with the day, as the month's interest rate does.

    Args:
        alike: (n_records,) codes from 0, the same for records alike in all but key, outcome and day.
        outcome: (n_records,) codes from 0.
        day: (n_records,) codes from 0.
        seed: Of the shuffle.
    """
    seen = n_pairs(joined(alike, outcome, day))
    dealt = n_pairs(joined(alike, outcome, _dealt(day, outcome, seed)))
    return seen <= TIMES * dealt or contradicted(joined(alike, day), outcome)


def n_pairs(group: Codes) -> int:
    """Return how many records stand two and two, each in one pair at most.

    >>> n_pairs(np.array([0, 0, 0, 1, 2, 2]))
    2
    """
    return int((np.bincount(group) // 2).sum())


def joined(first: Codes, *others: Codes) -> Codes:
    """Return (n_records,) codes from 0, the same where all the given ones are.

    >>> joined(np.array([0, 0, 1]), np.array([0, 1, 1])).tolist()
    [0, 1, 2]
    """
    group = first
    for other in others:
        group = np.unique(group * (other.max(initial=0) + 1) + other, return_inverse=True)[1].astype(np.int64)
    return group


def _dealt(day: Codes, outcome: Codes, seed: int) -> Codes:
    random = np.random.default_rng(seed)
    dealt = day.copy()
    for value in range(int(outcome.max(initial=-1)) + 1):
        rows = np.flatnonzero(outcome == value)
        dealt[rows] = day[random.permutation(rows)]
    return dealt
