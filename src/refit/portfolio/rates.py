"""How often each outcome came, group by group and vintage by vintage, with its interval."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from refit.drawing.shares import wilson
from refit.portfolio.book import Book, Floats, Outcome
from refit.portfolio.groups import Groups

MOST_MONTHS: Final = 24
MOST_QUARTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Rates:
    """Of each group `n` (n_groups,) records with a known outcome, and of each outcome (n_groups, n_names) its share."""

    n: Floats
    hits: Floats
    share: Floats
    low: Floats
    high: Floats

    def row(self, group: int) -> dict[str, Any]:
        """Return a group's figures as plain data."""
        return {
            "n": int(self.n[group]),
            "hits": [int(hits) for hits in self.hits[group]],
            "share": [None if np.isnan(share) else float(share) for share in self.share[group]],
            "low": self.low[group].tolist(),
            "high": self.high[group].tolist(),
        }


@dataclass(frozen=True, slots=True)
class Vintage:
    """The records of one period. Where not `ripe`, most outcomes are open: `so_far` is what went bad already."""

    name: str
    n: int
    n_known: int
    ripe: bool
    share: tuple[float, ...] | None
    low: tuple[float, ...]
    high: tuple[float, ...]
    so_far: float

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


def rates(groups: Groups, outcome: Outcome) -> Rates:
    """Return each group's shares, of the records whose outcome is known for good."""
    codes, hits = groups.codes[outcome.known], outcome.hits[outcome.known]
    size = len(groups.labels)
    n = np.bincount(codes, minlength=size).astype(np.float64)
    each = [np.bincount(codes, weights=hit, minlength=size) for hit in hits.T]
    counted = np.stack(each, axis=1).astype(np.float64)
    low, high = wilson(counted, np.broadcast_to(n[:, None], counted.shape))
    share = np.divide(counted, n[:, None], out=np.full(counted.shape, np.nan), where=n[:, None] > 0)
    return Rates(n, counted, share, low, high)


def vintages(book: Book) -> tuple[Vintage, ...]:
    """Return the records by month, quarter or year of their event, oldest first; none where they have no date.

    A vintage is ripe where at least half of it is known for good; its share is of those alone.
    """
    if book.event is None or book.event.isna().all():
        return ()
    naive = book.event.dt.tz_localize(None)
    months = (naive.max().to_period("M") - naive.min().to_period("M")).n + 1
    every = "M" if months <= MOST_MONTHS else "Q" if months <= 3 * MOST_QUARTERS else "Y"
    periods = naive.dt.to_period(every)
    codes, names = pd.factorize(periods, sort=True)
    groups = Groups(codes, tuple(_name(period, every) for period in names), (), frozenset())
    found = rates(groups, book.outcome)
    n = np.bincount(codes, minlength=len(names)).astype(np.float64)
    bad = np.bincount(codes, weights=book.bad_so_far, minlength=len(names)).astype(np.float64)
    return tuple(_vintage(groups.labels[place], place, n, bad, found) for place in range(len(names)))


def _vintage(name: str, place: int, n: Floats, bad: Floats, found: Rates) -> Vintage:
    known = int(found.n[place])
    ripe = known * 2 >= n[place]
    return Vintage(
        name,
        int(n[place]),
        known,
        bool(ripe),
        tuple(found.share[place].tolist()) if known else None,
        tuple(found.low[place].tolist()),
        tuple(found.high[place].tolist()),
        float(bad[place] / n[place]),
    )


def _name(period: pd.Period, every: str) -> str:
    match every:
        case "M":
            return f"{period.year}-{period.month:02d}"
        case "Q":
            return f"{period.year} Q{period.quarter}"
    return str(period.year)
