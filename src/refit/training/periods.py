"""The quarters of life that records have been through: what each tells a hazard, and no quarter before it is over."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.scoring.metrics import Floats

QUARTER: Final = 3
"""Months of a period."""
LAST: Final = 3
"""Quarters of life a record tells of, the last it went through: what is older speaks of another economy."""
MICROSECOND: Final = pd.Timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Periods:
    """Quarters of life, (n_periods,) each: whose, which (1 is the first), and whether the record turned bad in it."""

    row: NDArray[np.intp]
    age: NDArray[np.float32]
    label: Floats


def periods(event: pd.Series, happened_on: pd.Series, as_of: datetime, within_months: int, last: int = LAST) -> Periods:
    """Return the last quarters of life that each record has been through by `as_of`, up to the one it turned bad in.

    A quarter that is not over tells nothing yet: of it only the bad ones would be known. Nor does one that ended more
    than `last` quarters ago.

    Args:
        event: (n_records,) when each began.
        happened_on: (n_records,) when each turned bad, NaT where it had not by `as_of`; what is later is not looked at.
    """
    n_ages = ages(within_months)
    days = event.dt.normalize()
    codes, distinct = pd.factorize(days)
    ends = _ends(pd.Series(distinct), within_months, n_ages + last)
    moment = pd.Timestamp(as_of)
    over = (ends + pd.Timedelta(days=1).to_timedelta64() <= np.datetime64(moment.tz_convert(None) + MICROSECOND)).sum(
        axis=1
    )
    through = over[codes]
    outcome = happened_on.where(happened_on <= moment).dt.normalize().dt.tz_convert(None).to_numpy()
    turned = np.full(len(codes), n_ages + last + 1)
    known = np.flatnonzero(~np.isnat(outcome))
    turned[known] = 1 + (ends[codes[known]] < outcome[known, None]).sum(axis=1)
    first = np.maximum(through - last, 0) + 1
    final = np.minimum(np.minimum(through, turned), n_ages)
    count = np.maximum(final - first + 1, 0)
    row = np.repeat(np.arange(len(codes)), count)
    age = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + first[row]
    return Periods(row, age.astype(np.float32), (age == turned[row]).astype(np.float64))


def ages(within_months: int) -> int:
    """Return over how many quarters the label's months stretch; the last may be shorter.

    Examples:
        >>> ages(36), ages(7), ages(1)
        (12, 3, 1)
    """
    return -(-within_months // QUARTER)


def _ends(days: pd.Series, within_months: int, n: int) -> NDArray[np.datetime64]:
    """Return the (n_days, n) last day of each quarter of life, that of the label's last one at its own end."""
    n_ages = ages(within_months)
    months = [min(QUARTER * age, within_months) if age <= n_ages else QUARTER * age for age in range(1, n + 1)]
    naive = days.dt.tz_convert(None)
    return np.column_stack([(naive + pd.DateOffset(months=month)).to_numpy() for month in months])
