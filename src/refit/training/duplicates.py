"""Records that stand more than once: which, how often, and how they are kept on one side of every split."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.training.split import Rows, hashes
from refit.usecase.model import UseCase

ROUNDED: Final = 4
"""Numbers alike in so many digits are alike enough to be near duplicates."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """How many records stand two and two, how many were left out for it, and how many near ones the test holds.

    `n_pairs` pairs records that are equal in all but their key, each in one pair at most. `n_near_across` counts test
    records whose features are those of a record before the test, numbers rounded to four digits, whatever the outcome
    or the day.
    """

    n_pairs: int = 0
    n_left_out: int = 0
    n_near_across: int = 0

    @property
    def note(self) -> str | None:
        """What the card says of it; None where there is nothing to say."""
        if not self.n_pairs:
            return None
        told = f"{self.n_pairs:,} pairs of records are equal in all but their key"
        if not self.n_left_out:
            return f"{told}; without a date that can be chance: both are kept, on the same side of every split"
        return f"{told}; {self.n_left_out:,} copies are left out, so that each record is trained or tested on once"


def distinct(matured: pd.DataFrame, usecase: UseCase) -> tuple[pd.DataFrame, Duplicates]:
    """Return the records without those equal to an earlier one in features, inputs, protected columns, label and day.

    Where records have no date of their own all are kept. There equals come by chance: 301 of the 6,485 records of
    the customer segmentation, few columns of few values each. To leave them out makes frequent outcomes look rarer than
    they are; and since `split` and every fold keep records alike in all features on one side, a copy tells nothing on
    another either way.

    Args:
        matured: (n_records, n_columns) as `ripe` returns them; the first of equals stays.
    """
    names = list(dict.fromkeys([*usecase.features, *usecase.inputs, *usecase.protected]))
    dated = ["_event_time"] if usecase.event_time is not None else []
    equal = [*(name for name in names if name in matured), "_label", *dated]
    group, _ = pd.factorize(hashes(matured[equal]))
    n_pairs = int((np.bincount(group) // 2).sum())
    if not dated or not n_pairs:
        return matured, Duplicates(n_pairs)
    first = ~pd.Series(group).duplicated().to_numpy()
    return matured[first].reset_index(drop=True), Duplicates(n_pairs, int((~first).sum()))


def near_across(matured: pd.DataFrame, usecase: UseCase, before: Rows, test: Rows) -> int:
    """Return how many test records have the features of a record before the test, numbers rounded to four digits."""
    rounded = matured[list(usecase.features)].copy()
    for name in rounded.select_dtypes("number"):
        rounded[name] = _rounded(rounded[name].to_numpy(dtype=np.float64))
    found = hashes(rounded)
    return int(np.isin(found[test], found[before]).sum())


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        size = 10.0 ** (np.floor(np.log10(np.abs(values))) - ROUNDED + 1)
        rounded = np.round(values / size) * size
    return np.where(np.isfinite(rounded), rounded, values)
