"""The portfolio report as one page: sentences first, then pictures, then every figure."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from refit.drawing.page import NONE, Table, number, percent, render
from refit.portfolio import pictures, words
from refit.portfolio.rates import Vintage
from refit.portfolio.report import Portfolio

TEMPLATE: Final = Path(__file__).parent / "portfolio.html"
MOST_PAIRS: Final = 15
LEAST_PAIR: Final = 0.1


def page(found: Portfolio) -> str:
    """Return the report as a self-contained HTML page; everything in it is escaped."""
    return render(
        TEMPLATE,
        title=f"Portfolio: {found.usecase.title}",
        subtitle=f"Use case {found.usecase.name}, as of {found.as_of:%Y-%m-%d}",
        findings=[_unbroken(text) for text in found.findings],
        warnings=[_unbroken(text) for text in found.warnings],
        facts=tuple(_facts(found)),
        vintages=pictures.of_vintages(found),
        vintage_table=_vintages(found),
        segments=pictures.of_segments(found),
        worst=[_unbroken(words.told(found.book, one)) for one in found.segments.worst],
        best=[_unbroken(words.told(found.book, one)) for one in found.segments.best],
        binary=found.book.outcome.binary,
        known=found.overall is not None,
        compared=found.segments.compared,
        strengths=pictures.of_associations(found),
        strength_table=_associations(found),
        columns=tuple(pictures.of_columns(found)) if found.overall is not None else (),
        pairs=pictures.of_pairs(found),
        pair_table=_pairs(found),
        gaps=pictures.of_gaps(found),
        quality=_quality(found),
        odd=tuple(_odd(found)),
        numbers=_numbers(found),
        snapshot=found.snapshot,
        n_rejected=found.n_rejected,
    )


def _unbroken(text: str) -> str:
    """Keep a figure and its sign on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _facts(found: Portfolio) -> Iterator[tuple[str, str, str]]:
    records, event = found.book, found.book.event
    span = "" if event is None or event.isna().all() else f"{event.min():%Y-%m-%d} to {event.max():%Y-%m-%d}"
    yield "Records", f"{records.n:,}", span or "without a date of their own"
    known = int(records.outcome.known.sum())
    yield "Outcome known for good", f"{known:,}", percent(known / records.n)
    if found.overall is not None:
        for place, name in enumerate(records.outcome.names):
            ends = found.overall.low[0, place], found.overall.high[0, place]
            middle, between = words.span(found.overall.share[0, place], *ends).split(", ")
            yield "Bad rate" if records.outcome.binary else f"Class {name}", middle, between
    if records.outcome.early:
        yield "Known early", f"{records.outcome.early:,}", "of open vintages, in no rate"
    yield "Exact duplicates", f"{records.pairs:,}", "pairs equal but for the key"
    if found.n_rejected:
        yield "Refused by the contract", f"{found.n_rejected:,}", "not in this report"


def _vintages(found: Portfolio) -> Table | None:
    if not found.vintages:
        return None
    names = found.book.outcome.names
    heads = (
        "Vintage",
        "Records",
        "Known",
        *(("Bad rate",) if found.book.outcome.binary else names),
        "Interval",
        "State",
    )
    if not found.book.outcome.binary:
        heads = ("Vintage", "Records", "Known", *names, "State")
    rows = [_vintage(one, binary=found.book.outcome.binary, n_names=len(names)) for one in found.vintages]
    return Table(heads, rows, frozenset(range(1, len(heads) - 1)), {"not final": "watch"})


def _vintage(one: Vintage, *, binary: bool, n_names: int) -> tuple[str, ...]:
    counts = (one.name, f"{one.n:,}", f"{one.n_known:,}")
    state = "final" if one.ripe else "not final"
    if one.ripe and one.share is not None:
        shares = tuple(words.share(share) for share in one.share)
        ends = (f"{words.share(one.low[0])} to {words.share(one.high[0])}",) if binary else ()
        return (*counts, *shares, *ends, state)
    if binary:
        return (*counts, f"{words.share(one.so_far)} so far", NONE, state)
    return (*counts, *(NONE,) * n_names, state)


def _associations(found: Portfolio) -> Table | None:
    if not found.associations:
        return None
    binary = found.book.outcome.binary
    rows = [
        (
            found.book.columns[one.column].title,
            one.column,
            number(one.auc, 3),
            *((number(one.information_value, 3),) if binary else ()),
            number(one.cramers_v, 3),
            "look closer" if one.leaks else "",
        )
        for one in found.associations
    ]
    heads = ("Title", "Column", "AUC alone", *(("Information value",) if binary else ()), "Cramer's V", "Leak")
    caption = "AUC: mean over the classes, one against the rest." if not binary else (
        "Information value: under 0.02 is taken as nothing, 0.1 as some, 0.3 as strong (Siddiqi 2006)."
    )  # fmt: skip
    numeric = frozenset(range(2, len(heads) - 1))
    return Table(heads, rows, numeric, {"look closer": "bad"}, caption)


def _pairs(found: Portfolio) -> Table | None:
    titles = {name: column.title for name, column in found.book.columns.items()}
    rows = [
        (titles[pair.first], titles[pair.second], pair.measure, number(pair.value, 3))
        for pair in found.between[:MOST_PAIRS]
        if pair.value >= LEAST_PAIR
    ]
    return Table(("Column", "Column", "Measure", "Value"), rows, frozenset({3})) if rows else None


def _quality(found: Portfolio) -> Table:
    rows = [
        (
            column.title,
            column.name,
            column.kind if column.role == "feature" else f"{column.kind}, {_ROLES[column.role]}",
            f"{column.n_missing:,}",
            percent(column.missing_share),
            f"{column.n_distinct:,}",
        )
        for column in found.columns
    ]
    return Table(("Title", "Column", "Type", "Missing", "Share", "Distinct"), rows, frozenset({3, 4, 5}))


def _numbers(found: Portfolio) -> Table | None:
    described = [column for column in found.columns if column.quantiles]
    if not described:
        return None
    levels = tuple(described[0].quantiles)
    rows = [(column.title, *(number(column.quantiles[level], 3) for level in levels)) for column in described]
    heads = ("Number", *("Median" if level == "50%" else level.replace("%", " %") for level in levels))
    return Table(heads, rows, frozenset(range(1, len(heads))), caption="The value below which so many records lie.")


def _odd(found: Portfolio) -> Iterator[str]:
    yield from (f"{text[0].upper()}{text[1:]}." for text in found.dates)
    for column in found.columns:
        yield from (f"{column.title}: {text}." for text in column.odd)


_ROLES: Final = {"operand": "read by a derived feature", "protected": "protected"}
