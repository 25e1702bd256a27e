"""What a frame looked like, kept small: enough to check drift against it without the old records."""

import math
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.monitoring.columns import Categories, UnsupportedError, categories, numbers, watched
from refit.monitoring.counting import Counts, count_codes, count_numbers
from refit.usecase.model import UseCase

MAX_VALUES: Final = 200
"""The most common values of a category that have a bin of their own; the rest share one."""

MAX_RARE: Final = 20_000
"""How many of the rest are remembered, as hashes of four bytes, so that a rare value is not taken for a new one."""

_DECILES: Final = np.arange(1, 10) / 10
_SMALLEST: Final = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class NumberProfile:
    """How the numbers of a column lie: counts between the deciles of the reference, and how many are missing."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int

    @property
    def n(self) -> int:
        """How many records were counted, missing ones included."""
        return sum(self.counts) + self.missing

    def binned(self) -> Counts:
        """Return the (n_bins + 1,) counts, missing last."""
        return np.array([*self.counts, self.missing], dtype=np.int64)

    def labels(self) -> list[str]:
        """Return the (n_bins + 1,) names of the bins, to be read."""
        edges = [f"{edge:,.6g}" for edge in self.edges]
        if not edges:
            return ["all values", "missing"]
        between = [
            f"exactly {edges[i + 1]}" if low == _just_below(high) else f"{edges[i]} to {edges[i + 1]}"
            for i, (low, high) in enumerate(pairwise(self.edges))
        ]
        return [f"up to {edges[0]}", *between, f"above {edges[-1]}", "missing"]

    def binned_current(self, values: NDArray[np.generic]) -> Counts:
        """Return the counts of other numbers in the same bins."""
        counts, missing = count_numbers(values, self.edges)
        return np.append(counts, missing)


@dataclass(frozen=True, slots=True)
class CategoryProfile:
    """How often each value of a category occurs: the most common ones, all others together, and how many are missing.

    `rare` holds a hash of each value among the others, sorted; None where there are too many to remember.
    `once` is how many values occur a single time.
    """

    counts: Mapping[str, int]
    other: int
    rare: tuple[int, ...] | None
    once: int
    missing: int

    @property
    def n(self) -> int:
        """How many records were counted, missing ones included."""
        return sum(self.counts.values()) + self.other + self.missing

    @property
    def unseen_expected(self) -> float | None:
        """The share of further values that will be new though nothing changed: that of the values seen once.

        Good, I. J. (1953), The population frequencies of species, Biometrika 40, eq. (9).
        """
        present = self.n - self.missing
        return self.once / present if present and self.rare is not None else None

    def binned(self) -> Counts:
        """Return the (n_values + 3,) counts: values, other, unseen (0 here), missing."""
        return np.array([*self.counts.values(), self.other, 0, self.missing], dtype=np.int64)

    def labels(self) -> list[str]:
        """Return the (n_values + 3,) names of the bins, to be read."""
        return [*(repr(value) for value in self.counts), "rare values", "values never seen before", "missing"]

    def binned_current(self, column: Categories) -> Counts:
        """Return the counts of another column in the same bins. A value the reference never held is unseen."""
        counts, missing = count_codes(column.codes, len(column.texts))
        n_bins = len(self.counts) + 3
        other, unseen = n_bins - 3, n_bins - 2
        bins = {value: i for i, value in enumerate(self.counts)}
        rare = None if self.rare is None else set(self.rare)
        places = [
            bins[value] if value in bins else other if rare is None or _hashed(value) in rare else unseen
            for value in column.texts
        ]
        binned = np.zeros(n_bins, dtype=np.int64)
        np.add.at(binned, np.array(places, dtype=np.intp), counts)
        binned[-1] = missing
        return binned


ColumnProfile = NumberProfile | CategoryProfile


@dataclass(frozen=True, slots=True)
class Profile:
    """The columns of a frame of `n_records`, and the model's score on it."""

    n_records: int
    columns: Mapping[str, ColumnProfile]
    score: NumberProfile | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads: plain dicts, lists and numbers, the same for the same frame."""
        return {
            "n_records": self.n_records,
            "columns": {name: _column_to_json(column) for name, column in self.columns.items()},
            "score": None if self.score is None else _column_to_json(self.score),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Profile":
        """Return the profile that `to_json` wrote."""
        score = content["score"]
        return cls(
            n_records=content["n_records"],
            columns={name: _column_from_json(column) for name, column in content["columns"].items()},
            score=None if score is None else _number_from_json(score),
        )


def profile(frame: pd.DataFrame, usecase: UseCase, score: NDArray[np.floating] | None = None) -> Profile:
    """Return the profile of every column of the contract that `frame` holds.

    A column that is absent, or holds something other than its contract says, has no profile; `drift` then says so.

    Args:
        frame: (n_records, n_columns); the order of its records does not matter.
        usecase: Names the columns.
        score: (n_scored,) the model's probabilities, so that the drift of the score can be checked. Best of records
            it was not fitted on, which may be fewer: on its own training records a model is surer of itself.
    """
    columns: dict[str, ColumnProfile] = {}
    for name, column in watched(usecase).items():
        if name not in frame:
            continue
        try:
            columns[name] = (
                number_profile(numbers(frame[name]))
                if column.kind == "number"
                else category_profile(categories(frame[name]))
            )
        except UnsupportedError:
            continue
    return Profile(len(frame), columns, None if score is None else number_profile(score))


def number_profile(values: NDArray[np.generic]) -> NumberProfile:
    """Return the profile of (n_records,) numbers, binned by their own deciles."""
    edges = decile_edges(values)
    counts, missing = count_numbers(values, edges)
    return NumberProfile(edges, tuple(counts.tolist()), missing)


def category_profile(column: Categories) -> CategoryProfile:
    """Return the profile of a category column. Equal counts are ordered by value, so that it is always the same."""
    counted, missing = count_codes(column.codes, len(column.texts))
    by_value: Counter[str] = Counter()
    for value, count in zip(column.texts, counted.tolist(), strict=True):
        if count:
            by_value[value] += count
    ordered = sorted(by_value.items(), key=lambda item: (-item[1], item[0]))
    rest = ordered[MAX_VALUES:]
    rare = tuple(sorted({_hashed(value) for value, _ in rest})) if len(rest) <= MAX_RARE else None
    return CategoryProfile(
        counts=dict(ordered[:MAX_VALUES]),
        other=sum(count for _, count in rest),
        rare=rare,
        once=sum(count == 1 for _, count in ordered),
        missing=missing,
    )


def decile_edges(values: NDArray[np.generic]) -> tuple[float, ...]:
    """Return the inner decile edges of the finite values, each an observed value, strictly rising.

    A value so common that several deciles fall on it gets a bin of its own: an edge at it, and one just below. So a
    constant column has three bins, and moves in either direction are seen.

    Examples:
        >>> decile_edges(np.arange(1.0, 11.0))
        (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
        >>> decile_edges(np.array([5.0, 5.0, 5.0]))
        (4.999999999999999, 5.0)
        >>> decile_edges(np.array([np.nan]))
        ()
    """
    numbers_ = np.asarray(values, dtype=np.float64)
    finite = numbers_[np.isfinite(numbers_)]
    if not finite.size:
        return ()
    deciles = Counter(np.quantile(finite, _DECILES, method="inverted_cdf").tolist())
    below = [_just_below(edge) for edge, times in deciles.items() if times > 1]
    edges = {edge + 0.0 for edge in deciles}  # -0.0 and 0.0 are one edge
    return tuple(sorted(edges.union(edge for edge in below if np.isfinite(edge))))


def _just_below(edge: float) -> float:
    """Return the next smaller number; below zero the smallest normal one, since some libraries flush those smaller."""
    return min(math.nextafter(edge, -math.inf), edge - _SMALLEST)


def _hashed(value: str) -> int:
    return zlib.crc32(value.encode("utf-8", "surrogatepass"))


def _column_to_json(column: ColumnProfile) -> dict[str, Any]:
    if isinstance(column, NumberProfile):
        return {
            "kind": "number",
            "edges": list(column.edges),
            "counts": list(column.counts),
            "missing": column.missing,
        }
    # a list of pairs: the order of the values is part of the profile, and not every JSON store keeps that of an object
    return {
        "kind": "category",
        "counts": [[value, count] for value, count in column.counts.items()],
        "other": column.other,
        "rare": None if column.rare is None else "".join(f"{hashed:08x}" for hashed in column.rare),
        "once": column.once,
        "missing": column.missing,
    }


def _column_from_json(content: Mapping[str, Any]) -> ColumnProfile:
    if content["kind"] == "number":
        return _number_from_json(content)
    rare = content["rare"]
    return CategoryProfile(
        counts=dict(content["counts"]),
        other=content["other"],
        rare=None if rare is None else tuple(int(rare[i : i + 8], 16) for i in range(0, len(rare), 8)),
        once=content["once"],
        missing=content["missing"],
    )


def _number_from_json(content: Mapping[str, Any]) -> NumberProfile:
    return NumberProfile(tuple(content["edges"]), tuple(content["counts"]), content["missing"])
