"""The portfolio report: what an analyst would find by hand, as one page and as JSON."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from refit.errors import DataError
from refit.portfolio import words
from refit.portfolio.association import Association, Between, between, with_outcome
from refit.portfolio.book import Book, Codes, book
from refit.portfolio.groups import Groups, grouped
from refit.portfolio.oddities import Described, described, odd_dates
from refit.portfolio.rates import Rates, Vintage, rates, vintages
from refit.portfolio.segments import Found, segments
from refit.usecase.model import UseCase
from refit.usecase.policy import Gate

Progress = Callable[[str, float | None], None]
TENTHS: Final = 10
TOP: Final = 15
COMPARED: Final = 40
"""Columns compared with each other; of more, those that tell most of the outcome."""
SAME: Final = 0.95
LEAST_NAMED: Final = 50


@dataclass(frozen=True, slots=True)
class ByColumn:
    """A column's groups and what came of each; `sentence` says between which the outcome differs most."""

    column: str
    groups: Groups
    rates: Rates
    sentence: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        rows = [{"group": label} | self.rates.row(place) for place, label in enumerate(self.groups.labels)]
        return {"column": self.column, "sentence": self.sentence, "groups": rows}


@dataclass(frozen=True, slots=True)
class Portfolio:
    """All that was found."""

    usecase: UseCase
    as_of: datetime
    snapshot: str
    book: Book
    overall: Rates | None
    vintages: tuple[Vintage, ...]
    columns: tuple[Described, ...]
    dates: tuple[str, ...]
    associations: tuple[Association, ...]
    between: tuple[Between, ...]
    by_column: Mapping[str, ByColumn]
    segments: Found
    findings: tuple[str, ...]
    warnings: tuple[str, ...]
    n_rejected: int

    def to_json(self) -> str:
        """Return it as JSON without NaN, the same for the same records."""
        event = self.book.event
        dated = event is not None and event.notna().any()
        content = {
            "usecase": self.usecase.name,
            "title": self.usecase.title,
            "task": self.usecase.task,
            "as_of": self.as_of.isoformat(),
            "snapshot": self.snapshot,
            "records": {
                "n": self.book.n,
                "final": self.book.outcome.final,
                "known": int(self.book.outcome.known.sum()),
                "early": self.book.outcome.early,
                "duplicates": self.book.duplicates,
                "pairs": self.book.pairs,
                "rejected": self.n_rejected,
                "start": event.min().isoformat() if event is not None and dated else None,
                "end": event.max().isoformat() if event is not None and dated else None,
            },
            "outcomes": list(self.book.outcome.names),
            "overall": None if self.overall is None else self.overall.row(0),
            "findings": list(self.findings),
            "warnings": list(self.warnings),
            "vintages": [one.to_json() for one in self.vintages],
            "associations": [one.to_json() for one in self.associations],
            "between": [one.to_json() for one in self.between],
            "by_column": [one.to_json() for one in self.by_column.values()],
            "segments": self.segments.to_json(),
            "columns": [one.to_json() for one in self.columns],
            "dates": list(self.dates),
        }
        return json.dumps(content, allow_nan=False)


def portfolio(
    frame: pd.DataFrame,
    usecase: UseCase,
    as_of: datetime,
    *,
    snapshot: str,
    n_rejected: int = 0,
    n_ahead: int = 0,
    progress: Progress = lambda _text, _fraction: None,
) -> Portfolio:
    """Return what there is to find in the records of an as-of read.

    Args:
        frame: (n_records, n_columns), one row a key.
        n_rejected: Records the contract refused, which are not in the frame.
        n_ahead: Records dated after `as_of`, which are not in it either.

    Raises:
        DataError: There is no record.
    """
    if frame.empty:
        ahead = f"; {n_ahead:,} are dated later" if n_ahead else "; load and ingest some first"
        raise DataError(f"{usecase.name}: no records at {as_of:%Y-%m-%d}{ahead}")
    progress("Reading the columns", 0.05)
    records = book(frame, usecase)
    columns = described(records)
    progress("Looking for what tells of the outcome", 0.2)
    # A use case may allow its gate more; whoever explores is told all the same.
    allowed = min(usecase.gate.leak_auc_max, Gate().leak_auc_max)
    associations = with_outcome(records, allowed, usecase.seed)
    strongest = [one.column for one in associations] or [column.name for column in records.features]
    progress("Comparing columns with each other", 0.4)
    pairs = between(records, usecase.seed, strongest[:COMPARED])
    progress("Looking for who pays best and worst", 0.6)
    overall = _overall(records)
    by_column = {} if overall is None else _by_column(records)
    found = segments(records, [one.column for one in associations])
    periods = vintages(records)
    dates = odd_dates(records, n_ahead)
    return Portfolio(
        usecase, as_of, snapshot, records, overall, periods, columns, dates, associations, pairs, by_column, found,
        tuple(_findings(records, overall, periods, associations, by_column, found, columns)),
        tuple(_warnings(records, associations, pairs, n_ahead)), n_rejected,
    )  # fmt: skip


def _overall(records: Book) -> Rates | None:
    if not records.outcome.known.any():
        return None
    everything: Codes = np.zeros(records.n, dtype=np.intp)
    return rates(Groups(everything, ("all",), ("all",), frozenset()), records.outcome)


def _by_column(records: Book) -> dict[str, ByColumn]:
    least = max(LEAST_NAMED, 0.005 * float(records.outcome.known.sum()))
    found = {}
    for name, column in records.columns.items():
        if column.role == "operand":
            continue
        groups = grouped(column, TENTHS if column.numbers is not None else TOP)
        seen = rates(groups, records.outcome)
        found[name] = ByColumn(name, groups, seen, words.contrast(records, groups, seen, least, len(records.columns)))
    return found


def _findings(
    records: Book,
    overall: Rates | None,
    periods: tuple[Vintage, ...],
    associations: tuple[Association, ...],
    by_column: Mapping[str, ByColumn],
    found: Found,
    columns: tuple[Described, ...],
) -> Any:
    yield from words.of_all(records, overall)
    yield from words.of_vintages(records, periods)
    yield from words.of_strength(records, associations)
    yield from [by_column[one.column].sentence for one in associations[:4] if by_column[one.column].sentence]
    yield from (words.told(records, one) for one in found.worst[:2] if len(one.columns) > 1)
    yield from (words.told(records, one) for one in found.best[:2] if len(one.columns) > 1)
    yield from words.of_quality(records, columns)


def _warnings(
    records: Book, associations: tuple[Association, ...], pairs: tuple[Between, ...], n_ahead: int
) -> Iterator[str]:
    if n_ahead:
        yield (
            f"{n_ahead:,} records are dated after the day of this report and left out of it: look at how the use case "
            "reads their date."
        )
    for one in associations:
        yield from (f"May be a leak: {why}." for why in one.leaks)
    for pair in pairs:
        if pair.value >= SAME:
            first, second = (records.columns[name].title for name in (pair.first, pair.second))
            yield f"{first} and {second} say nearly the same ({pair.measure} {pair.value:.3f}): one of them may do."
