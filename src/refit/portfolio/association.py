"""How much one column tells of the outcome, or of another column; and where it tells too much to be true."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import pandas as pd

from refit.drawing.page import percent
from refit.portfolio.book import Book, Codes, Column, Floats, Mask, Outcome
from refit.portfolio.groups import MISSING, Groups, grouped
from refit.portfolio.rates import rates
from refit.scoring.metrics import roc_auc

BINS: Final = 20
TENTHS: Final = 10
MANY: Final = 10_000
SHRUNK_BY: Final = 20
"""So many records of the overall share are added to each group before it scores others."""
SAMPLE: Final = 50_000
TELLS_BY_ABSENCE: Final = 0.65
DECIDES_FROM: Final = 100
EXPECTED: Final = 20
"""Of so many expected, none at all comes by chance twice in a billion times."""
CHANCE: Final = 0.05
_TOP: Final = 30
_LEAST: Final = 20


@dataclass(frozen=True, slots=True)
class Association:
    """What a column alone tells of the outcome.

    `auc`: of its groups' shares, each learned on one half and tried on the other; of several outcomes their mean.
    `information_value`: of good against bad over its tenths, None for several outcomes. `cramers_v`: of the same.
    `leaks`: why it may know the outcome, in sentences.
    """

    column: str
    auc: float
    information_value: float | None
    cramers_v: float
    leaks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"leaks": list(self.leaks)}


@dataclass(frozen=True, slots=True)
class Between:
    """How much two columns tell of each other, 0 to 1."""

    first: str
    second: str
    measure: str
    value: float

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


def with_outcome(book: Book, allowed: float, seed: int) -> tuple[Association, ...]:
    """Return every feature's association with the outcome, strongest first; none without two known outcomes.

    Args:
        allowed: The AUC above which a column alone is thought to know the outcome.
    """
    shares = book.outcome.overall
    if np.isnan(shares).any() or not ((shares > 0) & (shares < 1)).any():
        return ()
    half = np.random.default_rng(seed).random(book.n) < 0.5  # noqa: PLR2004
    found = [_association(column, book.outcome, allowed, half) for column in book.features]
    return tuple(sorted(found, key=lambda one: (-one.auc, one.column)))


def _association(column: Column, outcome: Outcome, allowed: float, half: Mask) -> Association:
    tenths = grouped(column, TENTHS)
    fine = grouped(column, BINS if column.numbers is not None else MANY)
    auc = _auc(fine.codes, len(fine.labels), outcome, half)
    table = rates(tenths, outcome)
    counts = np.column_stack([table.hits, table.n - table.hits.sum(axis=1)])
    value = information_value(table.hits[:, 0], table.n - table.hits[:, 0]) if outcome.binary else None
    return Association(
        column.name, auc, value, cramers_v(counts), tuple(_leaks(column, outcome, tenths, auc, allowed, half))
    )


def beyond_chance(outcome: Outcome, n_columns: int) -> float:
    """Return the AUC that the best of so many columns which tell nothing stays below in 19 of 20 portfolios.

    Each half ranks the other by what it learned, and both hold the same chance, so the spread is that of one half
    (Mann and Whitney 1947), shared among the columns (Bonferroni). Of several outcomes the widest.
    """
    n = float(outcome.known.sum())
    hits = outcome.hits[outcome.known].sum(axis=0)
    came = hits[(hits > 0) & (hits < n)]
    if not len(came):
        return math.inf
    spread = np.sqrt((n / 2 + 1) / (3 * came * (n - came))).max()
    return 0.5 + NormalDist().inv_cdf(1 - CHANCE / n_columns) * float(spread)


def information_value(bad: Floats, good: Floats) -> float:
    """Return the information value of groups. Siddiqi 2006, chapter 6; half a record is added to each cell.

    Examples:
        >>> round(information_value(np.array([10.0, 30.0]), np.array([90.0, 70.0])), 3)
        0.403
    """
    used = (bad + good) > 0
    if used.sum() < 2:  # noqa: PLR2004 - one group tells nothing
        return 0.0
    b, g = (bad[used] + 0.5), (good[used] + 0.5)
    b, g = b / b.sum(), g / g.sum()
    return float(((g - b) * np.log(g / b)).sum())


def cramers_v(counts: Floats) -> float:
    """Return Cramer's V of a table of counts, less what chance alone gives. Bergsma 2013, J. Korean Stat. Soc. 42."""
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    r, k = counts.shape
    n = counts.sum()
    if min(r, k) < 2 or n < 2:  # noqa: PLR2004 - one row or column tells nothing
        return 0.0
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n
    phi2 = max(0.0, float(((counts - expected) ** 2 / expected).sum() / n) - (k - 1) * (r - 1) / (n - 1))
    least = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(phi2 / least))) if least > 0 else 0.0


def between(book: Book, seed: int, features: Sequence[str]) -> tuple[Between, ...]:
    """Return how much the named features tell of each other, strongest first, measured on a sample."""
    rows = np.arange(book.n)
    if book.n > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(book.n, SAMPLE, replace=False))
    sampled = [_sampled(book.columns[name], rows) for name in features]
    found = [_pair(a, b) for place, a in enumerate(sampled) for b in sampled[place + 1 :]]
    return tuple(sorted(found, key=lambda pair: (-pair.value, pair.first, pair.second)))


@dataclass(frozen=True, slots=True)
class _Sampled:
    name: str
    numbers: Floats | None
    codes: Codes


def _sampled(column: Column, rows: Codes) -> _Sampled:
    if column.numbers is None:
        groups = grouped(column, _TOP)
        missing = [place for place, label in enumerate(groups.labels) if label == MISSING]
        codes = groups.codes[rows]
        return _Sampled(column.name, None, np.where(np.isin(codes, missing), -1, codes))
    values = np.where(column.missing, np.nan, column.numbers)[rows]
    return _Sampled(column.name, values, np.where(np.isnan(values), -1, 0))


def _pair(a: _Sampled, b: _Sampled) -> Between:
    if a.numbers is None and b.numbers is not None:
        return _pair(b, a)
    both = (a.codes >= 0) & (b.codes >= 0)
    enough = both.sum() >= _LEAST
    if a.numbers is not None and b.numbers is not None:
        value = _correlation(_ranked(a.numbers[both]), _ranked(b.numbers[both])) if enough else 0.0
        return Between(a.name, b.name, "rank correlation", value)
    if a.numbers is not None:
        value = _correlation_ratio(_ranked(a.numbers[both]), b.codes[both]) if enough else 0.0
        return Between(a.name, b.name, "correlation ratio", value)
    table = np.zeros((a.codes.max() + 1, b.codes.max() + 1))
    np.add.at(table, (a.codes[both], b.codes[both]), 1)
    return Between(a.name, b.name, "Cramer's V", cramers_v(table) if enough else 0.0)


def _ranked(values: Floats) -> Floats:
    """Return the ranks, mean ranks for ties: an outlier then weighs no more than any other."""
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def _correlation(a: Floats, b: Floats) -> float:
    """Return the size of the correlation of ranks: Spearman's, 0 where one side is constant."""
    x, y = a - a.mean(), b - b.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(min(1.0, abs(x @ y) / size)) if size > 0 else 0.0


def _correlation_ratio(values: Floats, codes: Codes) -> float:
    """Return how much of the spread of ranks lies between the groups, less what chance gives. Kelley 1935, epsilon."""
    n = np.bincount(codes)
    used = n > 0
    means = np.bincount(codes, weights=values)[used] / n[used]
    centred = values - values.mean()
    whole, groups = float(centred @ centred), int(used.sum())
    if whole == 0 or groups < 2 or len(values) <= groups:  # noqa: PLR2004
        return 0.0
    inside = whole - float((n[used] * (means - values.mean()) ** 2).sum())
    share = 1 - (inside / (len(values) - groups)) / (whole / (len(values) - 1))
    return float(np.sqrt(max(0.0, share)))


def _auc(codes: Codes, size: int, outcome: Outcome, half: Mask) -> float:
    """Return how well the groups' shares, learned on one half, rank the other; at least 0.5, the mean of outcomes."""
    each = [_one_auc(codes, size, outcome.hits[:, place].astype(np.float64), outcome.known, half)
            for place in range(len(outcome.names))]  # fmt: skip
    return max(0.5, float(np.mean(each)))


def _one_auc(codes: Codes, size: int, hit: Floats, known: Mask, half: Mask) -> float:
    aucs = []
    for side in (half, ~half):
        learn, judge = known & side, known & ~side
        overall = float(hit[learn].mean()) if learn.any() else 0.0
        n = np.bincount(codes[learn], minlength=size)
        hits = np.bincount(codes[learn], weights=hit[learn], minlength=size)
        shares = (hits + SHRUNK_BY * overall) / (n + SHRUNK_BY)
        aucs.append(roc_auc(hit[judge], shares[codes[judge]]))
    return 0.5 if np.isnan(aucs).any() else float(np.mean(aucs))


def _leaks(column: Column, outcome: Outcome, groups: Groups, auc: float, allowed: float, half: Mask) -> Iterator[str]:
    """Yield why a column may know the outcome: all that is a warning, not a proof."""
    if auc >= allowed:
        yield (
            f"{column.noun} alone tells the outcome with an AUC of {auc:.3f}; above {allowed:g} a column is more "
            "likely made from the outcome, or filled in after it, than this good"
        )
    missing = column.missing & outcome.known
    n_missing, n_present = int(missing.sum()), int((outcome.known & ~missing).sum())
    if min(n_missing, n_present) >= _LEAST:
        absence = _auc(column.missing.astype(np.intp), 2, outcome, half)
        if absence >= TELLS_BY_ABSENCE:
            yield (
                f"whether {column.noun} is missing tells the outcome with an AUC of {absence:.3f}: it may be filled in "
                "only once the outcome is there"
            )
    yield from _decided(outcome, groups)


def _decided(outcome: Outcome, groups: Groups) -> Iterator[str]:
    """Yield the values with which the outcome is always the same, though by chance it could not be."""
    found, overall = rates(groups, outcome), outcome.overall
    for place, name in enumerate(outcome.names):
        n, hits = found.n, found.hits[:, place]
        many = n >= DECIDES_FROM
        none = many & (hits == 0) & (n * overall[place] >= EXPECTED) & outcome.binary
        every = many & (hits == n) & (n * (1 - overall[place]) >= EXPECTED)
        what = "bad" if outcome.binary else f"of class {name}"
        for chosen, how_many in ((none, "none"), (every, "all")):
            if chosen.any():
                phrases = " or ".join(groups.phrases[group] for group in np.flatnonzero(chosen))
                yield (
                    f"of the {n[chosen].sum():,.0f} records with {phrases}, {how_many} are {what} "
                    f"({percent(overall[place])} of all are): that is a rule, not a risk; find out who made it"
                )
