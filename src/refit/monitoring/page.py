"""The part of a drift report that is ours: what was decided and why, and every column, in plain HTML."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Final

from refit.monitoring.evidence import Decision
from refit.monitoring.psi import ColumnDrift, Drift
from refit.usecase.model import UseCase

_STYLE: Final = """<style>
.refit{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:1160px;margin:24px auto;padding:0 24px}
.refit h1{font-size:26px;margin:0 0 4px}.refit h2{font-size:19px;margin:28px 0 8px}.refit p{margin:4px 0}
.refit table{border-collapse:collapse;width:100%;font-size:14px}
.refit th,.refit td{text-align:left;vertical-align:top;padding:5px 10px;border-bottom:1px solid #d8dee4}
.refit td.n,.refit th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.refit .act,.refit .block,.refit .retrain,.refit .recalibrate{color:#b42318;font-weight:600}
.refit .warn,.refit .wait{color:#9a6700;font-weight:600}.refit .note{color:#57606a}
</style>"""

_COLUMNS: Final = ("Column", "Status", "PSI", "Missing before", "Missing now", "New values", "Importance", "What moved")
_NUMERIC: Final = frozenset(_COLUMNS[2:7])


def title(usecase: UseCase) -> str:
    """Return the title of the page, escaped."""
    return f"Drift of {escape(usecase.title)}"


def section(
    usecase: UseCase,
    drift: Drift,
    decision: Decision | None,
    *,
    as_of: datetime | None,
    windows: Sequence[str],
    notes: Sequence[str],
    not_drawn: Mapping[str, str],
) -> str:
    """Return the section, everything in it escaped.

    Args:
        usecase: Names it.
        drift: Every column of it is shown.
        decision: Shown on top where there is one.
        as_of: The day it is true of.
        windows: A line for each side: how many records, from when to when.
        notes: What a reader of the charts must know.
        not_drawn: Why a checked column has no chart, by name.
    """
    everything = [*drift.columns, *([] if drift.score is None else [drift.score])]
    checked = [column for column in everything if column.status != "not checked"]
    unchecked = {column.column: column.why for column in everything if column.status == "not checked"}
    day = "" if as_of is None else f", as of {as_of:%Y-%m-%d}"
    parts = [
        _STYLE,
        '<section class="refit">',
        f"<h1>{title(usecase)}</h1>",
        f'<p class="note">Use case {escape(usecase.name)}{day}</p>',
        *(f"<p>{escape(line)}</p>" for line in windows),
        *([] if decision is None else _decision(decision)),
        *_drift(checked),
        *_plain_table("Not checked", unchecked),
        *_plain_table("Checked, but not drawn below", not_drawn),
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
        "</section>",
    ]
    return "\n".join(parts)


def _decision(decision: Decision) -> Iterable[str]:
    yield f'<h2>Decision: <span class="{decision.action}">{decision.action}</span></h2>'
    yield "<table><thead><tr><th>Why</th><th>Column</th><th class=n>Seen</th><th>Allowed</th></tr></thead><tbody>"
    for reason in decision.reasons:
        seen = "" if reason.seen is None else f"{reason.seen:,.4g}"
        cells = f"<td>{escape(reason.why)}</td><td>{escape(reason.column or '')}</td><td class=n>{seen}</td>"
        yield f"<tr>{cells}<td>{escape(reason.allowed or '')}</td></tr>"
    yield "</tbody></table>"


def _drift(checked: Sequence[ColumnDrift]) -> Iterable[str]:
    if not checked:
        return
    yield "<h2>Drift by column, of all records</h2>"
    heads = "".join(f"<th{' class=n' if head in _NUMERIC else ''}>{head}</th>" for head in _COLUMNS)
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    for column in sorted(checked, key=lambda column: -(column.psi or 0.0)):
        figures = "".join(
            f"<td class=n>{figure}</td>"
            for figure in (
                "" if column.psi is None else f"{column.psi:.3f}",
                _percent(column.missing_reference),
                _percent(column.missing_current),
                _percent(column.unseen_share),
                _percent(column.importance),
            )
        )
        name = f"<td>{escape(column.column)}</td><td class={column.status}>{column.status}</td>"
        yield f"<tr>{name}{figures}<td>{escape(column.why)}</td></tr>"
    yield "</tbody></table>"


def _plain_table(heading: str, rows: Mapping[str, str]) -> Iterable[str]:
    if not rows:
        return
    yield f"<h2>{heading}</h2><table><thead><tr><th>Column</th><th>Why</th></tr></thead><tbody>"
    for name, why in rows.items():
        yield f"<tr><td>{escape(name)}</td><td>{escape(why)}</td></tr>"
    yield "</tbody></table>"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
