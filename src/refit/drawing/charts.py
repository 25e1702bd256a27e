"""The kinds of picture that cards and reports are made of. What is drawn is also said in words beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refit.drawing.svg import BLUE, INK, LINE, ORANGE, PALETTE, QUIET, picture

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_TALL = 0.27
"""Inches a row of a chart of rows takes."""
_MAX_LABEL = 30
_LONG_LABEL = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart, its points in order."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Spot:
    """A share with its interval; `quiet` ones are drawn in grey."""

    label: str
    value: float
    low: float
    high: float
    quiet: bool = False


def lines(
    name: str,
    title: str,
    text: str,
    drawn: Sequence[Line],
    *,
    x: str,
    y: str,
    diagonal: bool = False,
    mark: tuple[float, float, str] | None = None,
    at: tuple[float, str] | None = None,
    percent_x: bool = True,
) -> str:
    """Return lines over shares of 0 to 1; `diagonal` is that of chance, `mark` a point and `at` an upright, named."""

    def draw(axes: Any) -> None:
        if diagonal:
            axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=":", label="chance")
        for place, line in enumerate(drawn):
            axes.plot(line.x, line.y, color=PALETTE[place % 6], linestyle=_DASHES[place % 6], label=line.name)
        if mark is not None:
            axes.plot(*mark[:2], "o", color=INK, markersize=6, label=mark[2], zorder=5)
        if at is not None:
            axes.axvline(at[0], color=INK, linewidth=1, linestyle=":", label=at[1])
        axes.set_ylim(-0.02, 1.02)
        _percents(axes.yaxis)
        if percent_x:
            axes.set_xlim(-0.01, 1.01)
            _percents(axes.xaxis)
        _named(axes, x, y)
        if len(drawn) > 1 or diagonal or mark is not None or at is not None:
            axes.legend(loc="best")

    return picture(name, title, text, draw, height=3.4)


def calibration(name: str, title: str, text: str, drawn: Sequence[tuple[str, Sequence[tuple[float, Spot]]]]) -> str:
    """Return expected against seen shares with their intervals, a series each; on the diagonal both agree."""

    def draw(axes: Any) -> None:
        top = max((max(x, spot.high) for _, spots in drawn for x, spot in spots), default=1.0) * 1.05
        axes.plot([0, top], [0, top], color=QUIET, linewidth=1, linestyle=":", label="as expected")
        for place, (series, spots) in enumerate(drawn):
            xs = [x for x, _ in spots]
            ys = [spot.value for _, spot in spots]
            reach = [[spot.value - spot.low for _, spot in spots], [spot.high - spot.value for _, spot in spots]]
            axes.errorbar(
                xs, ys, yerr=reach, color=PALETTE[place % 6], marker="osD^vP"[place % 6], markersize=4.5, linewidth=1,
                elinewidth=1.2, capsize=2, linestyle=_DASHES[place % 6], label=series,
            )  # fmt: skip
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        for axis in (axes.xaxis, axes.yaxis):
            _percents(axis, 1 if top < 0.1 else 0)  # noqa: PLR2004 - below 10 % whole percents are too coarse
        _named(axes, "Expected", "Seen, 95 % interval")
        axes.legend(loc="upper left")

    return picture(name, title, text, draw, height=3.6)


def columns(
    name: str,
    title: str,
    text: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    *,
    x: str,
    y: str,
) -> str:
    """Return shares by bin, a step line filled for each series."""

    def draw(axes: Any) -> None:
        edges = list(range(len(labels) + 1))
        for place, (what, values) in enumerate(series):
            colour = PALETTE[place % 6]
            axes.stairs(values, edges, fill=True, color=colour, alpha=0.18)
            axes.stairs(values, edges, color=colour, linewidth=1.8, linestyle=_DASHES[place % 6], label=what)
        step = max(1, len(labels) // 8)
        axes.set_xticks([place + 0.5 for place in edges[:-1:step]], [labels[place] for place in edges[:-1:step]])
        axes.set_xlim(0, len(labels))
        axes.set_ylim(bottom=0)
        _percents(axes.yaxis)
        _named(axes, x, y)
        if len(series) > 1:
            axes.legend(loc="best")

    return picture(name, title, text, draw)


def spots(
    name: str,
    title: str,
    text: str,
    drawn: Sequence[Spot],
    *,
    x: str,
    overall: float | None = None,
    wide: bool = False,
) -> str:
    """Return a row a share: a dot with its interval, and an upright at the share of all."""

    def draw(axes: Any) -> None:
        rows = range(len(drawn))
        if overall is not None:
            axes.axvline(overall, color=INK, linewidth=1, linestyle=":", label="all records")
        for row, spot in zip(rows, drawn, strict=True):
            colour = QUIET if spot.quiet else BLUE
            axes.plot([spot.low, spot.high], [row, row], color=colour, linewidth=1.6, alpha=0.6)
            axes.plot(
                [spot.value], [row], "o", markersize=5.5, color=colour, fillstyle="none" if spot.quiet else "full"
            )
        _rows(axes, [spot.label for spot in drawn], _LONG_LABEL if wide else _MAX_LABEL)
        high = max((spot.high for spot in drawn), default=1.0)
        axes.set_xlim(0, min(1.0, high * 1.05) or 1.0)
        _percents(axes.xaxis, 1 if high < 0.1 else 0)  # noqa: PLR2004
        axes.set_xlabel(x)
        if overall is not None:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)

    return picture(name, title, text, draw, height=0.9 + _TALL * max(len(drawn), 2), wide=wide)


def bars(name: str, title: str, text: str, drawn: Sequence[tuple[str, float]], *, x: str, percent: bool = False) -> str:
    """Return a bar a row, the figure written behind it."""

    def draw(axes: Any) -> None:
        rows = list(range(len(drawn)))
        values = [value for _, value in drawn]
        made = axes.barh(rows, values, color=[BLUE if value >= 0 else ORANGE for value in values], height=0.62)
        axes.bar_label(
            made, [f"{v:.1%}" if percent else f"{v:.3g}" for v in values], padding=4, fontsize=10, color=QUIET
        )
        _rows(axes, [label for label, _ in drawn])
        axes.set_xlim(right=(max([*values, 0.0]) or 1.0) * 1.14)
        if percent:
            _percents(axes.xaxis)
        axes.set_xlabel(x)

    return picture(name, title, text, draw, height=0.8 + _TALL * max(len(drawn), 2))


def over_time(
    name: str,
    title: str,
    text: str,
    drawn: Sequence[Spot],
    counts: Sequence[int],
    *,
    y: str,
    quiet: str,
) -> str:
    """Return shares by period, each with its interval, over the number of records; `quiet` says what grey means."""

    def draw(axes: Any) -> None:
        places = list(range(len(drawn)))
        behind = axes.twinx()
        behind.bar(places, counts, color=LINE, width=0.8)
        behind.set_ylim(0, max([*counts, 1]) * 3)  # the counts keep to the lower third
        behind.set_yticks([])
        behind.spines["right"].set_visible(False)
        behind.grid(visible=False)
        axes.set_zorder(behind.get_zorder() + 1)
        axes.patch.set_visible(False)
        for is_quiet, colour, label in ((False, BLUE, y), (True, QUIET, quiet)):
            chosen = [(place, spot) for place, spot in zip(places, drawn, strict=True) if spot.quiet == is_quiet]
            if not chosen:
                continue
            axes.errorbar(
                [place for place, _ in chosen],
                [spot.value for _, spot in chosen],
                yerr=[[s.value - s.low for _, s in chosen], [s.high - s.value for _, s in chosen]],
                color=colour, marker="o", markersize=4, linewidth=1, elinewidth=1.2,
                fillstyle="none" if is_quiet else "full", linestyle=":" if is_quiet else "-", label=label,
            )  # fmt: skip
        axes.bar([0], [0], color=LINE, label="number of records")
        step = max(1, -(-len(drawn) // 8))
        axes.set_xticks(places[::step], [spot.label for spot in drawn][::step])
        axes.set_ylim(0, (max((spot.high for spot in drawn), default=1.0) or 1.0) * 1.08)
        _percents(axes.yaxis, 1 if axes.get_ylim()[1] < 0.1 else 0)  # noqa: PLR2004
        _named(axes, "", y)
        axes.legend(loc="best")

    return picture(name, title, text, draw, height=3.6, wide=True)


def grid(
    name: str,
    title: str,
    text: str,
    rows: Sequence[str],
    heads: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    wide: bool = False,
) -> str:
    """Return a table of shares of 0 to 1, darker where higher, each written in its cell."""

    def draw(axes: Any) -> None:
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
        for row, line in enumerate(values):
            for column, value in enumerate(line):
                axes.text(
                    column, row, f"{value:.2f}", ha="center", va="center", fontsize=9,
                    color="white" if value > 0.75 else INK,  # noqa: PLR2004 - dark ground
                )  # fmt: skip
        axes.set_xticks(range(len(heads)), [_short(head, 16) for head in heads], rotation=35, ha="right")
        axes.set_yticks(range(len(rows)), [_short(row) for row in rows])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

    return picture(name, title, text, draw, height=1.4 + 0.3 * len(rows), wide=wide)


def _rows(axes: Any, labels: Sequence[str], most: int = 0) -> None:
    axes.set_yticks(range(len(labels)), [_short(label, most or _MAX_LABEL) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _short(label: str, most: int = _MAX_LABEL) -> str:
    clean = label.encode("utf-8", "replace").decode()
    return clean if len(clean) <= most else f"{clean[: most - 3]}..."


def _named(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _percents(axis: Any, decimals: int = 0) -> None:
    axis.set_major_formatter(lambda value, _place: f"{value:.{decimals}%}")
