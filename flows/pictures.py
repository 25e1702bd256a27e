"""The picture of PSI by column over the last runs, as a PNG that both of Prefect's pages show."""

import base64
import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from refit.store.rows import DecisionRow

SHOWN_COLUMNS: Final = 20
SHOWN_RUNS: Final = 30
COLOURS: Final = ("#e8eef4", "#f3c98b", "#b3402e")
"""Stable, worth a look, acted upon."""
GREY: Final = "#ffffff"


def psi_picture(decisions: "Sequence[DecisionRow]", warn: float, act: float) -> str | None:
    """Return Markdown with the picture; None where fewer than one run checked anything.

    Args:
        decisions: Newest first, as the ledger gives them.
        warn: From this PSI on a cell is amber.
        act: From this PSI on it is red.
    """
    runs = [row for row in decisions if "columns" in (row.drift or {})][:SHOWN_RUNS][::-1]
    if not runs:
        return None
    seen = [_psi(row.drift or {}) for row in runs]
    worst = {name: max(one.get(name) or 0.0 for one in seen) for one in seen for name in one}
    names = sorted(worst, key=lambda name: (-worst[name], name))[:SHOWN_COLUMNS]
    days = [f"{row.as_of:%Y-%m-%d}" for row in runs]
    png = _drawn([[one.get(name) for one in seen] for name in names], names, days, (warn, act))
    told = "; ".join(f"`{name}` at most {worst[name]:.3f}" for name in names[:5])
    return (
        f"![PSI by column and run](data:image/png;base64,{base64.b64encode(png).decode()})\n\n"
        f"The last {len(runs)} runs, {days[0]} to {days[-1]}: {told}. Amber from {warn:g}, red from {act:g}.\n"
    )


def _psi(drift: "Mapping[str, Any]") -> dict[str, float | None]:
    columns = [*drift.get("columns", []), *([drift["score"]] if drift.get("score") else [])]
    return {column["column"]: column["psi"] for column in columns if column["psi"] is not None}


def _drawn(rows: list[list[float | None]], names: list[str], days: list[str], limits: tuple[float, float]) -> bytes:
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that most steps never need

    figure = Figure(figsize=(max(5.0, 1.8 + 0.5 * len(days)), 0.9 + 0.28 * len(names)), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            colour = GREY if value is None else COLOURS[sum(value >= limit for limit in limits)]
            axes.add_patch(_cell(x, y, colour))
            if value is not None:
                axes.text(x + 0.5, y + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=7)
    axes.set(xlim=(0, len(days)), ylim=(len(names), 0))
    axes.set_xticks([x + 0.5 for x in range(len(days))], days, rotation=60, ha="right", fontsize=8)
    axes.set_yticks([y + 0.5 for y in range(len(names))], names, fontsize=8)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    packed = io.BytesIO()
    figure.savefig(packed, format="png", metadata={"Software": None})
    return packed.getvalue()


def _cell(x: int, y: int, colour: str) -> Any:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - see above

    return Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5)
