"""Records put into a few groups by one column: tenths of a number, the commonest values of a category."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from refit.drawing.page import number
from refit.portfolio.book import Codes, Column, Floats

SMALLEST: Final = 20
"""A value of fewer records is not shown by name: it could point at a person, and says little."""
FEW: Final = 12
"""A number of so few distinct values is shown value by value."""
MISSING: Final = "(missing)"
OTHERS: Final = "(all others)"


@dataclass(frozen=True, slots=True)
class Groups:
    """`codes` (n_records,) into `labels`; `phrases` are the same in the middle of a sentence.

    The groups of `apart` hold what has no value, or none by name: nothing is concluded from them alone.
    """

    codes: Codes
    labels: tuple[str, ...]
    phrases: tuple[str, ...]
    apart: frozenset[int]


def grouped(column: Column, most: int) -> Groups:
    """Return the records in at most so many groups, and one more each for missing and all other values."""
    return _by_number(column, column.numbers, most) if column.numbers is not None else _by_category(column, most)


def _by_number(column: Column, values: Floats, most: int) -> Groups:
    missing = column.missing
    present = values[~missing]
    if not len(present):
        return _with_missing(column, np.full(len(values), -1), [], [], set())
    distinct, counts = np.unique(present, return_counts=True)
    most = max(1, min(most, len(present) // SMALLEST))
    if len(distinct) <= min(most, FEW) and counts.min() >= SMALLEST:
        codes = np.searchsorted(distinct, values).clip(0, max(len(distinct) - 1, 0))
    else:
        cuts = np.unique(np.quantile(present, np.arange(1, most) / most, method="inverted_cdf"))
        codes = np.searchsorted(cuts, np.where(missing, 0.0, values), side="left")
    used, codes = np.unique(np.where(missing, -1, codes), return_inverse=True)
    n_bins = int((used >= 0).sum())
    codes = codes - (len(used) - n_bins)  # missing is -1 again
    edges = [(float(values[codes == bin_].min()), float(values[codes == bin_].max())) for bin_ in range(n_bins)]
    labels = [_between(low, high, place, n_bins) for place, (low, high) in enumerate(edges)]
    unit = f" {column.unit}" if column.unit else ""
    phrases = [
        f"{column.noun} of {_between(low, high, place, n_bins, unit)}" for place, (low, high) in enumerate(edges)
    ]
    return _with_missing(column, codes.astype(np.intp), labels, phrases, set())


def _between(low: float, high: float, place: int, n_bins: int, unit: str = "") -> str:
    """Return a bin by its ends; of the outermost only the inner one is told, as the other is one record's."""
    if low == high:
        return f"{figure(low)}{unit}"
    if place == 0:
        return f"{figure(high)}{unit} or less"
    return f"{figure(low)}{unit} or more" if place == n_bins - 1 else f"{figure(low)} to {figure(high)}{unit}"


def figure(value: float) -> str:
    """Return a number of a column as it is read, without the noughts that say nothing."""
    text = number(value, 3)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _by_category(column: Column, most: int) -> Groups:
    codes = np.asarray(column.codes)
    counts = np.bincount(codes[codes >= 0], minlength=len(column.texts))
    order = sorted(range(len(counts)), key=lambda code: (-counts[code], column.texts[code]))
    shown = [code for code in order if counts[code] >= SMALLEST][:most]
    place = np.full(len(counts) + 1, -1)
    place[:-1] = np.where(counts > 0, len(shown), -1)
    place[shown] = np.arange(len(shown))
    labels = [column.texts[code] for code in shown]
    phrases = [f"{column.noun} {label}" for label in labels]
    apart = set()
    if (place[:-1] == len(shown)).any():
        apart.add(len(labels))
        labels.append(OTHERS)
        phrases.append(f"any other {column.noun}")
    return _with_missing(column, place[codes].astype(np.intp), labels, phrases, apart)


def _with_missing(column: Column, codes: Codes, labels: list[str], phrases: list[str], apart: set[int]) -> Groups:
    missing = codes < 0
    if missing.any():
        codes = np.where(missing, len(labels), codes)
        labels, phrases = [*labels, MISSING], [*phrases, f"{column.noun} missing"]
    return Groups(codes, tuple(labels), tuple(phrases), frozenset(apart))
