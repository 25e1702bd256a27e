"""The pictures of a portfolio report, each with what is to be seen in it."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from refit.drawing import charts
from refit.drawing.charts import Spot
from refit.drawing.page import Picture, shown
from refit.portfolio.groups import MISSING, OTHERS
from refit.portfolio.report import ByColumn, Portfolio
from refit.portfolio.segments import Segment

DRAWN: Final = 30
"""Columns drawn; of more, those that tell most of the outcome."""
GRID: Final = 12
STRONGEST: Final = 15
TOLD: Final = 0.5
LEAST: Final = 20
ROOM: Final = 20


def of_vintages(found: Portfolio) -> Picture | None:
    """Return the share of bad by vintage, of the open ones what is bad so far."""
    if not found.vintages or not found.book.outcome.binary or found.overall is None:
        return None
    drawn, counts = [], []
    for one in found.vintages:
        if one.share is not None and one.ripe:
            drawn.append(Spot(one.name, one.share[0], one.low[0], one.high[0]))
        else:
            drawn.append(Spot(one.name, one.so_far, one.so_far, one.so_far, quiet=True))
        counts.append(one.n)
    text = "Share of bad by vintage with its interval; the columns behind are the number of records."
    if any(spot.quiet for spot in drawn):
        text += " Grey: not final yet, what is bad so far, to be read as a lower end."
    svg = charts.over_time(
        "vintages", "Bad rate by vintage", text, drawn, counts, y="Bad rate", quiet="not final: bad so far"
    )
    return shown("Bad rate by vintage", text, svg, whole=True)


def of_associations(found: Portfolio) -> Picture | None:
    """Return how much each column alone tells of the outcome."""
    if not found.associations:
        return None
    top = found.associations[:STRONGEST]
    text = "How well each column alone ranks the records, learned on one half and tried on the other: 0.5 is nothing."
    drawn = [(found.book.columns[one.column].title, one.auc - TOLD) for one in top]
    svg = charts.bars("associations", "What tells of the outcome", text, drawn, x="AUC above 0.5")
    return shown("What tells of the outcome, each column alone", text, svg)


def of_gaps(found: Portfolio) -> Picture | None:
    """Return which columns have gaps."""
    gaps = sorted((c for c in found.columns if c.n_missing), key=lambda c: (-c.missing_share, c.name))[:STRONGEST]
    if not gaps:
        return None
    text = "Share of the records without a value."
    drawn = [(column.title, column.missing_share) for column in gaps]
    return shown("Missing values", text, charts.bars("gaps", "Missing values", text, drawn, x="", percent=True))


def of_pairs(found: Portfolio) -> Picture | None:
    """Return how much the columns tell of each other, those that tell most of the outcome first."""
    names = [one.column for one in found.associations] or [column.name for column in found.book.features]
    names = names[:GRID]
    if len(names) < 2:  # noqa: PLR2004 - one column has no pair
        return None
    place = {name: index for index, name in enumerate(names)}
    values = np.eye(len(names))
    for pair in found.between:
        if pair.first in place and pair.second in place:
            a, b = place[pair.first], place[pair.second]
            values[a, b] = values[b, a] = pair.value
    titles = [found.book.columns[name].title for name in names]
    text = "From 0, they tell nothing of each other, to 1, each gives the other away."
    svg = charts.grid("pairs", "Columns with each other", text, titles, titles, values.round(4).tolist(), wide=True)
    return shown("Columns with each other", text, svg, whole=True)


def of_segments(found: Portfolio) -> Picture | None:
    """Return the best and worst groups with their intervals."""
    both = (*found.segments.worst, *reversed(found.segments.best))
    if not both or found.overall is None:
        return None
    binary = found.book.outcome.binary
    drawn = [_segment_spot(one, binary=binary) for one in both]
    text = "Groups that differ from all others by more than chance, worst first." if binary else (
        "Groups in which a class is most common."
    )  # fmt: skip
    overall = float(found.overall.share[0, 0]) if binary else None
    title = "Best and worst groups" if binary else "Where each class is most common"
    svg = charts.spots("segments", title, text, drawn, x="Share, 95 % interval", overall=overall, wide=True)
    return shown(title, text, svg, whole=True)


def of_columns(found: Portfolio) -> Iterator[Picture]:
    """Yield each column's groups, those that tell most of the outcome first; none where all groups are too small."""
    order = [one.column for one in found.associations]
    order += [name for name in found.by_column if name not in order]
    for number, name in enumerate(order[:DRAWN]):
        one = found.by_column[name]
        if one.rates.n.max() < LEAST:
            continue
        column = found.book.columns[name]
        title = column.title + (f", {column.unit}" if column.unit else "")
        if column.role == "protected":
            title += " (protected: no model reads it)"
        text = one.sentence or "No two groups differ by more than chance."
        if found.book.outcome.binary:
            yield shown(title, text, _rates(f"column-{number}", title, text, one, found))
        else:
            yield shown(title, text, _shares(f"column-{number}", title, text, one, found))


def _rates(name: str, title: str, text: str, one: ByColumn, found: Portfolio) -> str:
    rates = one.rates
    drawn = [
        Spot(
            f"{_cut(label)} ({int(rates.n[place]):,})", float(rates.share[place, 0]), float(rates.low[place, 0]),
            float(rates.high[place, 0]), quiet=label in (MISSING, OTHERS),
        )
        for place, label in enumerate(one.groups.labels)
        if rates.n[place] >= LEAST
    ]  # fmt: skip
    overall = None if found.overall is None else float(found.overall.share[0, 0])
    return charts.spots(name, title, text, drawn, x="Bad rate, 95 % interval (number of records)", overall=overall)


def _shares(name: str, title: str, text: str, one: ByColumn, found: Portfolio) -> str:
    used = [place for place in range(len(one.groups.labels)) if one.rates.n[place] >= LEAST]
    rows = [f"{_cut(one.groups.labels[place])} ({int(one.rates.n[place]):,})" for place in used]
    values: Sequence[Sequence[float]] = one.rates.share[used].round(4).tolist()
    return charts.grid(name, title, text, rows, found.book.outcome.names, values)


def _cut(label: str) -> str:
    """Leave room for the number of records behind a long label."""
    return label if len(label) <= ROOM else f"{label[: ROOM - 3]}..."


def _segment_spot(one: Segment, *, binary: bool) -> Spot:
    phrase = one.phrase if binary else f"{one.outcome}: {one.phrase}"
    return Spot(phrase, one.share, one.low, one.high)
