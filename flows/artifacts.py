"""What a run shows in the Prefect UI: a summary, the drift table, the link to the full report, the report itself.

The functions that make the content are pure; `leave_*` put it where the UI finds it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from prefect.artifacts import (
    Artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from refit.usecase.model import UseCase

if TYPE_CHECKING:
    from uuid import UUID

    from refit.gate.judge import Check
    from refit.loop.ingest import Ingested
    from refit.loop.monitor import Monitored
    from refit.loop.release import Released
    from refit.loop.retrain import Retrained
    from refit.monitoring.psi import ColumnDrift, Drift

STEP: Final = 0.05
"""The bar moves by so much at least: each move is a request."""
NAMED: Final = 5
"""So many columns or checks a sentence names before it counts the rest."""
WORST_FIRST: Final = {"act": 0, "warn": 1, "stable": 2, "not checked": 3}


@dataclass(frozen=True, slots=True)
class Account:
    """What a run has to tell so far; None where a step did not run."""

    usecase: UseCase
    as_of: datetime
    ingested: "Ingested | None" = None
    monitored: "Monitored | None" = None
    retrained: "Retrained | None" = None
    released: "Released | None" = None
    stopped: str | None = None
    report_url: str | None = None


def summary(run: Account) -> str:
    """Return the run as Markdown: one paragraph, then a table of the steps."""
    sentences = [_came_in(run), _drifted(run), _decided(run), _judged(run), _went_live(run), _stopped(run)]
    rows = [_row(name, outcome, why) for name, outcome, why in _steps(run)]
    parts = [
        f"# {_flat(run.usecase.title)}, {run.as_of:%Y-%m-%d}",
        " ".join(sentence for sentence in sentences if sentence),
        "\n".join(["| step | outcome | what and why |", "| --- | --- | --- |", *rows]),
    ]
    if run.report_url is not None:
        parts.append(f"[Open the full drift report]({run.report_url})")
    return "\n\n".join(parts) + "\n"


def drift_rows(drift: "Drift", usecase: UseCase) -> list[dict[str, Any]]:
    """Return the drift table, the score first, then the worst column first; those not checked come last."""
    columns = sorted(drift.columns, key=lambda column: (WORST_FIRST[column.status], -(column.psi or 0.0)))
    found = columns if drift.score is None else [drift.score, *columns]
    return [
        {
            "column": column.column,
            "status": column.status,
            "PSI": _rounded(column.psi, 3),
            "why": column.why,
            "missing before": _share(column.missing_reference),
            "missing now": _share(column.missing_current),
            "never seen before": _share(column.unseen_share),
            "weight in the model": _share(column.importance),
            "title": _title(column, usecase),
        }
        for column in found
    ]


def frame(url: str) -> dict[str, Any]:
    """Return the data of a `rich` artifact: a small page that holds nothing but the report's own address.

    The report's megabytes stay where they are; the UI puts this page in a frame that may run scripts and no more.
    """
    style = "position:fixed;inset:0;width:100%;height:100%;border:0"
    return {"html": f'<iframe src="{_attribute(url)}" style="{style}"></iframe>', "sandbox": ["allow-scripts"]}


def key(usecase: str, what: str) -> str:
    """Return an artifact's key: lower-case letters, figures and dashes.

    >>> key("retail_churn", "drift")
    'retail-churn-drift'
    """
    return f"{usecase.replace('_', '-')}-{what}"


class Framed(Artifact):
    """A `rich` artifact. Prefect's own class turns its data into text, which the UI then shows as nothing."""

    type: str | None = "rich"
    url: str

    async def aformat(self) -> Any:
        """Return the data as the UI wants it, for a flow that awaits."""
        return frame(self.url)

    def format(self, **_: Any) -> Any:
        """Return the data as the UI wants it."""
        return frame(self.url)


def leave_drift(run: Account, drift: "Drift", framed: str | None) -> None:
    """Leave the drift table, and where there is a report, the link to it and the report in its frame.

    Args:
        framed: The address of the report itself, for the frame.
    """
    title = f"{run.usecase.title}, {run.as_of:%Y-%m-%d}"
    create_table_artifact(
        drift_rows(drift, run.usecase),
        key=key(run.usecase.name, "drift"),
        description=f"{title}: {drift.n_current:,} current against {drift.n_reference:,} reference records",
    )
    if run.report_url is not None:
        create_link_artifact(
            run.report_url,
            link_text="Open the full drift report",
            key=key(run.usecase.name, "report-link"),
            description=f"The Evidently report of {title}",
        )
    if framed is not None:
        description = f"The Evidently report of {title}, in place"
        Framed(key=key(run.usecase.name, "report"), description=description, url=framed).create()


def leave_picture(usecase: UseCase, markdown: str) -> None:
    """Leave the picture of PSI by column over the last runs."""
    create_markdown_artifact(
        markdown, key=key(usecase.name, "drift-history"), description=f"{usecase.title}: PSI by column, run by run"
    )


def leave_progress(usecase: str) -> Callable[[float], None]:
    """Leave a bar that shows how far a training is; return what moves it, from 0 to 1 and never back."""
    bar = cast("UUID", create_progress_artifact(0.0, key=key(usecase, "training"), description="Training"))
    shown = 0.0

    def move(fraction: float) -> None:
        nonlocal shown
        if fraction - shown >= STEP or (fraction >= 1.0 and shown < 1.0):
            shown = min(fraction, 1.0)
            update_progress_artifact(bar, 100 * shown)

    return move


def leave_summary(run: Account) -> None:
    """Leave the summary."""
    create_markdown_artifact(
        summary(run),
        key=key(run.usecase.name, "summary"),
        description=f"What came in, what drifted, what was decided and why: {run.as_of:%Y-%m-%d}",
    )


def _came_in(run: Account) -> str:
    if run.ingested is None:
        return ""
    taken, refused = run.ingested.n_records, run.ingested.n_rejected
    if taken + refused == 0:
        return "Nothing new came in."
    came = f"{taken:,} {'record' if taken == 1 else 'records'} came in"
    return (
        f"{came}, {refused:,} {'was' if refused == 1 else 'were'} refused." if refused else f"{came}, none was refused."
    )


def _drifted(run: Account) -> str:
    if run.monitored is None or run.monitored.drift is None:
        return ""
    drift = run.monitored.drift
    acts = [column for column in _checked(drift) if column.status == "act"]
    warns = [column for column in _checked(drift) if column.status == "warn"]
    parts = []
    if acts:
        parts.append(f"{_listed(acts)} drifted")
    if warns:
        parts.append(f"{_listed(warns)} moved a little")
    words = "; ".join(parts) if parts else "no column drifted"
    against = f"{drift.n_current:,} current against {drift.n_reference:,} reference records"
    return f"{words[0].upper()}{words[1:]} ({against})."


def _decided(run: Account) -> str:
    if run.monitored is None:
        return ""
    decision = run.monitored.decision
    return " ".join(
        [f"Decided: **{decision.action}**.", *(_sentence(reason.why) for reason in decision.reasons[:NAMED])]
    )


def _judged(run: Account) -> str:
    if run.retrained is None:
        return ""
    trained, verdict = run.retrained, run.retrained.verdict
    challenger = f"The challenger `{trained.version}` ({trained.learner.replace('_', ' ')})"
    if verdict.outcome == "promote":
        return f"{challenger} passed the gate."
    return f"{challenger} was **refused**: {_failures(verdict.checks)}."


def _went_live(run: Account) -> str:
    if run.released is None:
        return ""
    if run.retrained is not None and run.retrained.version == run.released.version:
        return f"It is live as `{run.released.bento_tag}`."
    return f"`{run.released.version}`, promoted on an earlier night, is live as `{run.released.bento_tag}`."


def _stopped(run: Account) -> str:
    return "" if run.stopped is None else f"**The run stopped here:** {_flat(run.stopped)}"


def _steps(run: Account) -> list[tuple[str, str, str]]:
    steps: list[tuple[str, str, str]] = []
    if run.ingested is not None:
        batch = f"batch `{run.ingested.batch[:12]}`" if run.ingested.batch else "nothing new"
        steps.append(("ingest", f"{run.ingested.n_records:,} in, {run.ingested.n_rejected:,} refused", batch))
    if run.monitored is not None:
        decision, drift = run.monitored.decision, run.monitored.drift
        if drift is not None:
            counts = _counts(drift)
            steps.append(("drift", counts, "; ".join(_moved(column) for column in _worst(drift)) or "all stable"))
        else:
            steps.append(("drift", "not checked", "there is no champion to compare with yet, or nothing to compare"))
        steps.append(
            ("decision", f"**{decision.action}**", " ".join(_sentence(reason.why) for reason in decision.reasons))
        )
    if run.retrained is not None:
        steps.append(("training", run.retrained.learner.replace("_", " "), _metrics(run.retrained.metrics)))
        checks = run.retrained.verdict.checks
        verdict = run.retrained.verdict.outcome
        passed = sum(check.outcome == "pass" for check in checks)
        asked = sum(check.outcome != "not applicable" for check in checks)
        why = f"{passed} of {asked} checks passed" if verdict == "promote" else _failures(checks)
        steps.append(("gate", f"**{verdict}**", why))
    if run.released is not None:
        steps.append(("release", "live", f"`{run.released.bento_tag}`"))
    if run.stopped is not None:
        steps.append(("stopped", "**failed**", run.stopped))
    return steps


def _checked(drift: "Drift") -> "list[ColumnDrift]":
    """Return every column that was checked, the score included, the worst first."""
    every = drift.columns if drift.score is None else (*drift.columns, drift.score)
    return sorted((column for column in every if column.psi is not None), key=lambda column: -(column.psi or 0.0))


def _worst(drift: "Drift") -> "list[ColumnDrift]":
    return [column for column in _checked(drift) if column.status in {"warn", "act"}][:NAMED]


def _counts(drift: "Drift") -> str:
    every = drift.columns if drift.score is None else (*drift.columns, drift.score)
    counts = {status: sum(column.status == status for column in every) for status in WORST_FIRST}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _moved(column: "ColumnDrift") -> str:
    return f"`{column.column}` PSI {column.psi:.3f}" if column.psi is not None else f"`{column.column}`"


def _listed(columns: "Sequence[ColumnDrift]") -> str:
    named = ", ".join(_moved(column) for column in columns[:NAMED])
    rest = len(columns) - NAMED
    return f"{named} and {rest} more" if rest > 0 else named


def _failures(checks: "Sequence[Check]") -> str:
    failed = [check for check in checks if check.outcome == "fail"]
    return "; ".join(f"{_flat(check.name)}: {_flat(check.why)}" for check in failed[:NAMED]) or "no check passed"


def _metrics(metrics: Mapping[str, Any]) -> str:
    """Name each metric with its value; one that is undefined is left out."""
    values = {name: seen["value"] if isinstance(seen, Mapping) else seen for name, seen in metrics.items()}
    return ", ".join(
        f"{name.replace('_', ' ')} {value:,.4g}"
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(_flat(cell) for cell in cells)} |"


def _flat(text: str) -> str:
    """Keep a text in its line and its cell, and from becoming markup."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _sentence(text: str) -> str:
    """Return a reason as a sentence.

    >>> _sentence("income moved")
    'Income moved.'
    """
    flat = _flat(text)
    return f"{flat[:1].upper()}{flat[1:]}{'' if flat.endswith(('.', '!', '?')) else '.'}"


def _title(column: "ColumnDrift", usecase: UseCase) -> str:
    feature = usecase.features.get(column.column)
    return (feature.title if feature is not None else None) or ""


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
