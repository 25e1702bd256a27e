"""A sample of both sides, made ready to be drawn: small, readable, and nothing in it that could break a chart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.monitoring.columns import Categories, UnsupportedError, categories, numbers
from refit.monitoring.psi import ColumnDrift, Drift

SAMPLE: Final = 20_000
"""Records a side: charts do not look different with more, and take seconds longer."""

SCORE: Final = "_score"
"""The column of both frames that holds the champion's score, where there is one."""

MAX_DRAWN: Final = 30
"""Values of a category drawn apart."""

MAX_LABEL: Final = 60
"""Characters of a value drawn."""

_ANGLES: Final = {
    ord("<"): "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
    ord(">"): "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
}
_MIN_DRAWN: Final = 2
_HUGE: Final = 1e30
_MANY_BINS: Final = 100


@dataclass(frozen=True, slots=True)
class Drawing:
    """Two frames with the same columns, each float64 or category, and the reasons why others are not among them.

    `shown` is the column of the drift each drawn column stands for.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    shown: Mapping[str, ColumnDrift]
    not_drawn: Mapping[str, str]


def drawing(reference: pd.DataFrame, current: pd.DataFrame, drift: Drift, seed: int) -> Drawing:
    """Return what can be drawn of the checked columns."""
    before, now = (sample(frame, seed) for frame in (reference, current))
    sides: tuple[dict[str, pd.Series], dict[str, pd.Series]] = ({}, {})
    shown: dict[str, ColumnDrift] = {}
    not_drawn: dict[str, str] = {}
    for column in (*drift.columns, *([] if drift.score is None else [drift.score])):
        if column.psi is None:
            continue
        source = SCORE if column.role == "score" else column.column
        try:
            pair = _pair(column, before[source], now[source])
        except KeyError:
            not_drawn[column.column] = "its records were not handed to the report"
            continue
        except UnsupportedError as error:
            not_drawn[column.column] = str(error)
            continue
        if any(side.count() < _MIN_DRAWN for side in pair):
            not_drawn[column.column] = "too few values of it are in the sample"
            continue
        name = safe(column.column)
        while name in shown:
            name += "'"
        shown[name] = column
        for side, drawn in zip(sides, pair, strict=True):
            side[name] = drawn
    return Drawing(pd.DataFrame(sides[0]), pd.DataFrame(sides[1]), shown, not_drawn)


def sample(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return up to `SAMPLE` records of `frame`, in its order; the same ones for the same seed."""
    if len(frame) > SAMPLE:
        rows = np.random.default_rng(seed).choice(len(frame), SAMPLE, replace=False, shuffle=False)
        frame = frame.iloc[np.sort(rows)]
    return frame.reset_index(drop=True)


def safe(text: str) -> str:
    """Return `text` as it may stand in a chart: short, and unable to end the script that the data stands in.

    Examples:
        >>> safe("</script>") == chr(0x2039) + "/script" + chr(0x203A)
        True
    """
    short = text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 3] + "..."
    return short.encode("utf-8", "replace").decode().translate(_ANGLES)


def _pair(column: ColumnDrift, before: pd.Series, now: pd.Series) -> tuple[pd.Series, pd.Series]:
    if column.kind == "number":
        return _numbers(numbers(before), numbers(now))
    return _categories(categories(before), categories(now))


def _numbers(before: NDArray[np.generic], now: NDArray[np.generic]) -> tuple[pd.Series, pd.Series]:
    """Return both sides with far outliers at the fence, so that one of them does not flatten the chart.

    Raises:
        UnsupportedError: They lie too close together, for their size, to be put into bins of equal width.
    """
    old, new = (_finite(side) for side in (before, now))
    present = np.concatenate([side[~np.isnan(side)] for side in (old, new)])
    if not present.size:
        return pd.Series(old), pd.Series(new)
    low, high = np.quantile(present, (0.01, 0.99))
    width = (high - low) or np.inf
    fenced = [np.clip(side, low - width, high + width) for side in (old, new)]
    try:
        for side in fenced:
            np.histogram_bin_edges(side[~np.isnan(side)], bins=_MANY_BINS)
    except ValueError:
        raise UnsupportedError("its values lie too close together, for their size, to be drawn") from None
    return pd.Series(fenced[0]), pd.Series(fenced[1])


def _finite(values: NDArray[np.generic]) -> NDArray[np.float64]:
    real = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(real), np.clip(real, -_HUGE, _HUGE), np.nan)


def _categories(before: Categories, now: Categories) -> tuple[pd.Series, pd.Series]:
    """Return both sides with the reference's most common values by name, and all else under what it is."""
    counts = np.bincount(before.codes + 1, minlength=len(before.texts) + 1)[1:]
    order = sorted(range(len(counts)), key=lambda code: (-counts[code], before.texts[code]))
    known = [before.texts[code] for code in order if counts[code]]
    labels = dict.fromkeys([*(safe(text) for text in known[:MAX_DRAWN]), "(other)", "(not in this reference sample)"])
    places = {label: place for place, label in enumerate([*labels, "(missing)"])}
    drawn = {text: places[safe(text)] for text in known[:MAX_DRAWN]}
    rest = dict.fromkeys(known[MAX_DRAWN:], places["(other)"])
    unknown = places["(not in this reference sample)"]
    sides = []
    for side in (before, now):
        lookup = [*(drawn.get(text, rest.get(text, unknown)) for text in side.texts), places["(missing)"]]
        codes = np.array(lookup, dtype=np.int16)[side.codes]
        used = pd.Categorical.from_codes(codes, pd.Index(list(places))).remove_unused_categories()
        sides.append(pd.Series(used))
    return sides[0], sides[1]
