"""What is missing in a column, and what looks as if it were not a value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.drawing.page import number, percent
from refit.portfolio.book import Book, Column, Floats
from refit.portfolio.groups import SMALLEST, figure

SENTINELS: Final = (-1, -9, -99, -999, -9999, 99, 999, 9999, 99999, 999999, 9999999, 99999999)
BLANKS: Final = frozenset(
    {"", "-", "?", ".", "n/a", "na", "nan", "none", "null", "unknown", "undefined", "missing", "0", "xx"}
)
SPIKE: Final = 0.2
OLDEST_AGE: Final = 110
_AGE: Final = re.compile(r"(^|[_\s])age([_\s]|$)", re.IGNORECASE)
_MANY: Final = 20
Counts = NDArray[np.integer]
_EARLY: Final = pd.Timestamp("1950-01-01", tz="UTC")


@dataclass(frozen=True, slots=True)
class Described:
    """A column in figures: missing values, distinct ones, quantiles of a number, and what is odd, in sentences."""

    name: str
    title: str
    kind: str
    role: str
    n_missing: int
    missing_share: float
    n_distinct: int
    quantiles: dict[str, float]
    odd: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"odd": list(self.odd)}


def described(book: Book) -> tuple[Described, ...]:
    """Return every column, in the order of the use case."""
    return tuple(_described(column, book.n) for column in book.columns.values())


def odd_dates(book: Book, n_ahead: int) -> tuple[str, ...]:
    """Return what is odd about the dates of the records, and of those that are left out for theirs."""
    if book.event is None:
        return ()
    return tuple(_odd_dates(book.event, n_ahead))


def _described(column: Column, n: int) -> Described:
    missing = column.missing
    n_missing = int(missing.sum())
    quantiles: dict[str, float] = {}
    if column.numbers is not None:
        present = column.numbers[~missing]
        n_distinct = len(np.unique(present))
        if len(present) >= SMALLEST:
            levels = (0.01, 0.25, 0.5, 0.75, 0.99)
            quantiles = {
                f"{level:.0%}": float(value) for level, value in zip(levels, np.quantile(present, levels), strict=True)
            }
        odd = [*_infinite(column.numbers), *_odd_numbers(column, present)]
    else:
        codes = np.asarray(column.codes)
        counts = np.bincount(codes[codes >= 0], minlength=len(column.texts))
        n_distinct = int((counts > 0).sum())
        odd = list(_odd_texts(column, counts))
    if n_missing == n:
        odd = ["it is missing in every record"]
    elif n_distinct == 1:
        odd.append("it has one value only, so it tells nothing")
    kind = "category" if column.numbers is None else "number"
    share = n_missing / n if n else 0.0
    return Described(column.name, column.title, kind, column.role, n_missing, share, n_distinct, quantiles, tuple(odd))


def _infinite(values: Floats) -> Iterator[str]:
    n = int(np.isinf(values).sum())
    if n:
        yield f"{_values(n, 'is', 'are')} infinite and missing to a model"


def _odd_numbers(column: Column, present: Floats) -> Iterator[str]:
    if len(present) < SMALLEST:
        return
    values, counts = np.unique(present, return_counts=True)
    if len(values) > _MANY and counts.max() >= SPIKE * len(present):
        top = values[counts.argmax()]
        yield f"{figure(top)} stands in {percent(counts.max() / len(present))} of the records that have a value"
    yield from _sentinels(present, values, counts)
    n_negative, n_positive = int((present < 0).sum()), int((present > 0).sum())
    if 0 < n_negative <= 0.01 * n_positive:
        yield f"{_values(n_negative, 'is', 'are')} negative, all others are not"
    if _AGE.search(column.name) or _AGE.search(column.title):
        n_old = int((present > OLDEST_AGE).sum())
        largest = number(float(f"{values[-1]:.2g}"))
        if n_old:
            yield f"{_values(n_old, 'is', 'are')} above {OLDEST_AGE}, the largest about {largest}: no age"
    yield from _far_out(present)


def _values(n: int, one: str, many: str) -> str:
    return f"1 value {one}" if n == 1 else f"{n:,} values {many}"


def _sentinels(present: Floats, values: Floats, counts: Counts) -> Iterator[str]:
    """Tell numbers that are used to mean 'unknown', where they stand apart from all others."""
    n = len(present)
    for mark in SENTINELS:
        place = int(np.searchsorted(values, mark))
        if place >= len(values) or values[place] != mark or counts[place] < SMALLEST:
            continue
        outside = mark > np.quantile(present[present != mark], 0.99) if (present != mark).any() else False
        alone = mark < 0 and int((present < 0).sum()) == counts[place]
        around = np.median(counts[max(0, place - 5) : place + 6])
        if alone or (outside and counts[place] >= 5 * around):
            yield f"{number(mark)} stands in {counts[place]:,} records, away from all others: it may mean 'unknown'"
    positive = present[present > 0]
    n_zero = int((present == 0).sum())
    if n_zero >= max(SMALLEST, 0.005 * n) and len(positive) >= SMALLEST and not (present < 0).any():
        low, middle = np.quantile(positive, (0.001, 0.5))
        if low > 0.05 * middle and middle > _MANY:
            yield (
                f"0 stands in {n_zero:,} records ({percent(n_zero / n)}), though hardly any other value is below "
                f"{figure(low)}: it may mean 'unknown'"
            )


def _far_out(present: Floats) -> Iterator[str]:
    """Tell values as far beyond the outermost thousandth as that is from the middle, in logs where all are positive."""
    if len(present) < 1000:  # noqa: PLR2004 - of fewer the outermost thousandth is one record
        return
    scaled = np.log(present) if (present > 0).all() else present
    low, middle, high = np.quantile(scaled, (0.001, 0.5, 0.999))
    for side, n, cut in (
        ("above", int((scaled > 2 * high - middle).sum()) if high > middle else 0, 2 * high - middle),
        ("below", int((scaled < 2 * low - middle).sum()) if low < middle else 0, 2 * low - middle),
    ):
        if n:
            edge = float(np.exp(cut)) if scaled is not present else float(cut)
            yield f"{_values(n, 'lies', 'lie')} far {side} all others ({side} {number(float(f'{edge:.2g}'), 3)})"


def _odd_texts(column: Column, counts: Counts) -> Iterator[str]:
    n = int(counts.sum())
    used = [(text, int(count)) for text, count in zip(column.texts, counts, strict=True) if count]
    blanks = [(text, count) for text, count in used if text.strip().casefold() in BLANKS and count >= SMALLEST]
    for text, count in blanks:
        yield f"{text!r} stands in {count:,} records ({percent(count / n)}): it may mean 'unknown'"
    folded: dict[str, int] = {}
    for text, _ in used:
        folded[text.strip().casefold()] = folded.get(text.strip().casefold(), 0) + 1
    variants = sum(times > 1 for times in folded.values())
    if variants:
        yield f"{_values(variants, 'is', 'are')} written in more than one way (case or spaces)"
    if n >= 5 * SMALLEST and len(used) > 0.5 * n:
        yield f"{len(used):,} different values in {n:,} records: it is nearly a key, and would be learned by heart"
    elif len(used) > 50:  # noqa: PLR2004 - a long list of values is expected to have a tail only then
        rare = sum(count < SMALLEST for _, count in used)
        if rare > 0.5 * len(used):
            yield f"{rare:,} of its {len(used):,} values stand in fewer than {SMALLEST} records each"


def _odd_dates(event: pd.Series, n_ahead: int) -> Iterator[str]:
    if n_ahead:
        yield f"{n_ahead:,} records are dated after the day of this report and left out of it"
    if n := int((event < _EARLY).sum()):
        yield f"{n:,} records are dated before 1950"
    days = event.dt.floor("D").value_counts()
    if len(days) > _MANY and days.iloc[0] >= max(0.05 * len(event), 10 * days.median()):
        yield f"{percent(days.iloc[0] / len(event))} of the records are of one day, {days.index[0]:%Y-%m-%d}"
