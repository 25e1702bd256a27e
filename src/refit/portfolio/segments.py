"""Who pays best and worst: groups by one or two columns that differ from all others by more than chance."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from refit.drawing.shares import wilson
from refit.portfolio.book import Book, Floats, Outcome
from refit.portfolio.groups import Groups, grouped

FIFTHS: Final = 5
VALUES: Final = 8
MOST_COLUMNS: Final = 8
SHOWN: Final = 6
OF_EACH_CLASS: Final = 2
TWICE: Final = 2
"""So often one half of a group is named: what it does with every other column is not news."""
FALSE_SHARE: Final = 0.01
"""Of the groups called different at most so many are by chance. Benjamini and Hochberg 1995, JRSS B 57."""
LEAST: Final = 100
LEAST_SHARE: Final = 0.005


@dataclass(frozen=True, slots=True)
class Segment:
    """A group that differs: `phrase` says of which records, `columns` by what, `outcome` in what."""

    phrase: str
    columns: tuple[str, ...]
    outcome: str
    n: int
    hits: int
    share: float
    low: float
    high: float
    times: float

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Found:
    """The groups with the highest and lowest shares, of how many compared."""

    worst: tuple[Segment, ...]
    best: tuple[Segment, ...]
    compared: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "worst": [one.to_json() for one in self.worst],
            "best": [one.to_json() for one in self.best],
            "compared": self.compared,
        }


@dataclass(frozen=True, slots=True)
class _Cell:
    segment: Segment
    p: float
    members: frozenset[tuple[str, int]]


def segments(book: Book, columns: Sequence[str]) -> Found:
    """Return who is best and worst by one or two of the columns.

    A group of two columns counts only where it differs from each of its two halves as well, so that it is not named for
    what one column says already.

    Args:
        columns: The features to look at, strongest first; the first few are combined.
    """
    outcome = book.outcome
    groups = {name: grouped(book.columns[name], _most(book, name)) for name in columns[:MOST_COLUMNS]}
    cells = [cell for place in range(len(outcome.names)) for cell in _cells(groups, outcome, place)]
    sure = _not_chance(cells)
    worst = sorted((c for c in sure if c.segment.times > 1), key=lambda c: (-c.segment.low, c.segment.phrase))
    best = sorted((c for c in sure if c.segment.times < 1), key=lambda c: (c.segment.high, c.segment.phrase))
    most = SHOWN if outcome.binary else OF_EACH_CLASS
    return Found(_different(worst, most), _different(best, most) if outcome.binary else (), len(cells))


def _most(book: Book, name: str) -> int:
    return FIFTHS if book.columns[name].numbers is not None else VALUES


def _cells(groups: dict[str, Groups], outcome: Outcome, place: int) -> Iterator[_Cell]:
    hit = outcome.hits[outcome.known, place].astype(np.float64)
    n_all, overall = len(hit), float(hit.mean()) if len(hit) else 0.0
    if not 0 < overall < 1:
        return
    least = max(LEAST, LEAST_SHARE * n_all)
    name = "bad" if outcome.binary else outcome.names[place]
    known = {column: found.codes[outcome.known] for column, found in groups.items()}
    alone: dict[tuple[str, int], float] = {}
    for column, found in groups.items():
        n = np.bincount(known[column], minlength=len(found.labels))
        hits = np.bincount(known[column], weights=hit, minlength=len(found.labels))
        for code in range(len(found.labels)):
            if n[code] >= least and code not in found.apart:
                alone[column, code] = hits[code] / n[code]
                yield _cell(
                    found.phrases[code], (column,), name, n[code], hits[code], (hit.sum(), n_all), [], {(column, code)}
                )
    for first, second in combinations(groups, 2):
        width = len(groups[second].labels)
        codes = known[first] * width + known[second]
        n = np.bincount(codes, minlength=len(groups[first].labels) * width)
        hits = np.bincount(codes, weights=hit, minlength=len(n))
        for code in np.flatnonzero(n >= least).tolist():
            halves = {(first, code // width), (second, code % width)}
            if halves <= alone.keys():
                a, b = groups[first].phrases[code // width], groups[second].phrases[code % width]
                parents = [alone[half] for half in halves]
                yield _cell(
                    f"{a} and {b}", (first, second), name, n[code], hits[code], (hit.sum(), n_all), parents, halves
                )


def _cell(
    phrase: str,
    columns: tuple[str, ...],
    name: str,
    n: int,
    hits: float,
    whole: tuple[float, int],
    parents: Sequence[float],
    members: set[tuple[str, int]],
) -> _Cell:
    """Return a group with the chance that it differs so much from the rest, and from its parents, by chance."""
    all_hits, n_all = whole
    share, overall = hits / n, all_hits / n_all
    low, high = wilson(hits, n)
    rest = n_all - n
    p = two_shares(hits, n, all_hits - hits, rest) if rest else 1.0
    for parent in parents:  # the direction counts: worse than both, or better than both
        beyond = (share - parent) * (1 if share > overall else -1)
        spread = math.sqrt(max(parent * (1 - parent), 1e-12) / n)
        p = max(p, math.erfc(beyond / spread / math.sqrt(2)) if beyond > 0 else 1.0)
    segment = Segment(
        phrase, columns, name, int(n), int(hits), float(share), float(low), float(high), float(share / overall)
    )
    return _Cell(segment, p, frozenset(members))


def two_shares(hits: float, n: float, other_hits: float, other_n: float) -> float:
    """Return the two-sided p of a difference of two shares, pooled. Fleiss 1981, section 2.3."""
    pooled = (hits + other_hits) / (n + other_n)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    return math.erfc(abs(hits / n - other_hits / other_n) / spread / math.sqrt(2)) if spread > 0 else 1.0


def _not_chance(cells: Sequence[_Cell]) -> list[_Cell]:
    if not cells:
        return []
    p: Floats = np.sort([cell.p for cell in cells])
    passed = p <= FALSE_SHARE * np.arange(1, len(p) + 1) / len(p)
    cut = p[passed].max() if passed.any() else -1.0
    return [cell for cell in cells if cell.p <= cut]


def _different(cells: Sequence[_Cell], most: int) -> tuple[Segment, ...]:
    """Return the first few, so many of each outcome, none a part of another that stands before it."""
    kept: list[_Cell] = []
    for cell in cells:
        same = [one for one in kept if one.segment.outcome == cell.segment.outcome]
        nested = any(one.members <= cell.members or cell.members <= one.members for one in same)
        told_of = any(sum(member in one.members for one in same) >= TWICE for member in cell.members)
        if not nested and not told_of and len(same) < most:
            kept.append(cell)
    return tuple(cell.segment for cell in kept)
