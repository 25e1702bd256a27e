"""The summary of a run in Markdown: one paragraph, a table of the steps in few words, and below it every reason."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from refit.usecase.model import UseCase

if TYPE_CHECKING:
    from refit.gate.judge import Check
    from refit.loop.ingest import Ingested
    from refit.loop.monitor import Monitored
    from refit.loop.release import Released
    from refit.loop.retrain import Retrained
    from refit.monitoring.psi import ColumnDrift, Drift
    from refit.monitoring.triage import Reason

NAMED: Final = 5
"""So many columns or checks a sentence names before it counts the rest."""
LEADING: Final = 2
"""So many reasons the paragraph gives; all of them stand below the table."""
WIDEST: Final = 64
"""Characters: the UI breaks no line inside a table, so a wider one would push its last column off the page."""
STATUSES: Final = ("act", "warn", "stable", "not checked")


@dataclass(frozen=True, slots=True)
class Account:
    """What a run has to tell so far; None where a step did not run. `nothing` is why there was nothing to do."""

    usecase: UseCase
    as_of: datetime
    ingested: "Ingested | None" = None
    monitored: "Monitored | None" = None
    retrained: "Retrained | None" = None
    released: "Released | None" = None
    stopped: str | None = None
    nothing: str | None = None
    report_url: str | None = None


def summary(run: Account) -> str:
    """Return the run as Markdown: one paragraph, a table of the steps in few words, and below it every reason."""
    sentences = [
        _nothing(run),
        _came_in(run),
        _drifted(run),
        _decided(run),
        _judged(run),
        _went_live(run),
        _stopped(run),
    ]
    rows = [_row(name, outcome, short) for name, outcome, short in _steps(run)]
    parts = [
        f"# {_flat(run.usecase.title)}, {run.as_of:%Y-%m-%d}",
        " ".join(sentence for sentence in sentences if sentence),
        "\n".join(["| step | outcome | in short |", "| --- | --- | --- |", *rows]),
        *_reasons(run),
    ]
    if run.report_url is not None:
        parts.append(f"[Open the full drift report]({run.report_url})")
    return "\n\n".join(parts) + "\n"


def label(column: str | None, usecase: UseCase) -> str:
    """Return what the use case calls a column; an empty text where it calls it nothing."""
    declared = usecase.features.get(column or "") or usecase.inputs.get(column or "")
    return (declared.title if declared is not None else None) or ""


def _nothing(run: Account) -> str:
    return "" if run.nothing is None else f"Nothing to do: {_flat(run.nothing)}."


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
        parts.append(f"{_listed(acts, run.usecase)} drifted")
    if warns:
        parts.append(f"{_listed(warns, run.usecase)} moved a little")
    words = "; ".join(parts) if parts else "No column drifted"
    against = f"{drift.n_current:,} current against {drift.n_reference:,} reference records"
    return f"{words} ({against})."


def _decided(run: Account) -> str:
    if run.monitored is None:
        return ""
    decision = run.monitored.decision
    leading = [_sentence(reason, run.usecase) for reason in decision.reasons[:LEADING]]
    rest = len(decision.reasons) - LEADING
    more = [f"{rest} more {'reason stands' if rest == 1 else 'reasons stand'} below."] if rest > 0 else []
    return " ".join([f"Decided: **{decision.action}**.", *leading, *more])


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


def _reasons(run: Account) -> list[str]:
    """Return what is too long for a cell: every reason of the decision, and what the gate held against a challenger."""
    found = []
    if run.monitored is not None:
        decision = run.monitored.decision
        lines = [f"- {_sentence(reason, run.usecase)}" for reason in decision.reasons]
        found += [f"**Why it was decided: {decision.action}**", "\n".join(lines)]
    if run.retrained is not None:
        if measured := _metrics(run.retrained.metrics):
            found.append(f"**What the challenger reached:** {measured}.")
        failed = [check for check in run.retrained.verdict.checks if check.outcome == "fail"]
        if failed:
            lines = [f"- {_flat(check.name)}: {_flat(check.why)}" for check in failed]
            found += ["**What the gate held against it**", "\n".join(lines)]
    return found


def _steps(run: Account) -> list[tuple[str, str, str]]:
    steps: list[tuple[str, str, str]] = []
    if run.nothing is not None:
        steps.append(("none", "nothing to do", "the paragraph above says why"))
    if run.ingested is not None:
        batch = f"batch `{run.ingested.batch[:12]}`" if run.ingested.batch else "nothing new"
        steps.append(("ingest", f"{run.ingested.n_records:,} in, {run.ingested.n_rejected:,} refused", batch))
    if run.monitored is not None:
        decision, drift = run.monitored.decision, run.monitored.drift
        steps.append(("drift", "not checked", "nothing to compare with") if drift is None else _drift_step(drift))
        steps.append(("decision", f"**{decision.action}**", _counted(len(decision.reasons), "reason")))
    if run.retrained is not None:
        metric = run.usecase.objective.metric
        reached = _metrics({name: seen for name, seen in run.retrained.metrics.items() if name == metric})
        steps.append(("training", run.retrained.learner.replace("_", " "), reached))
        checks, verdict = run.retrained.verdict.checks, run.retrained.verdict.outcome
        passed = sum(check.outcome == "pass" for check in checks)
        asked = sum(check.outcome != "not applicable" for check in checks)
        steps.append(("gate", f"**{verdict}**", f"{passed} of {asked} checks passed"))
    if run.released is not None:
        steps.append(("release", "live", f"`{run.released.version}`"))
    if run.stopped is not None:
        steps.append(("stopped", "**failed**", "the paragraph above says why"))
    return steps


def _drift_step(drift: "Drift") -> tuple[str, str, str]:
    worst = next(iter(_checked(drift)), None)
    moved = None if worst is None else f"most: `{worst.column}`, PSI {worst.psi:.3f}"
    short = next((text for text in (moved, "the drift table says more") if text and len(text) <= WIDEST), "")
    return "drift", _counts(drift), short


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}, below"


def _checked(drift: "Drift") -> "list[ColumnDrift]":
    """Return every column that was checked, the score included, the worst first."""
    every = drift.columns if drift.score is None else (*drift.columns, drift.score)
    return sorted((column for column in every if column.psi is not None), key=lambda column: -(column.psi or 0.0))


def _counts(drift: "Drift") -> str:
    every = drift.columns if drift.score is None else (*drift.columns, drift.score)
    counts = {status: sum(column.status == status for column in every) for status in STATUSES}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _moved(column: "ColumnDrift", usecase: UseCase) -> str:
    name = "The champion's score" if column.role == "score" else label(column.column, usecase)
    return f"{_flat(name) or f'`{column.column}`'} (PSI {column.psi:.3f})"


def _listed(columns: "Sequence[ColumnDrift]", usecase: UseCase) -> str:
    named = ", ".join(_moved(column, usecase) for column in columns[:NAMED])
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


def _sentence(reason: "Reason", usecase: UseCase) -> str:
    """Return a reason as a sentence that calls its column as the use case does, or else by its own unchanged name."""
    why = _flat(reason.why)
    column = "" if reason.column is None else _flat(reason.column)
    begins_so = bool(column) and re.match(rf"{re.escape(column)}(?!\w)", why) is not None
    if named := _flat(label(reason.column, usecase)):
        why = re.sub(rf"(?<!\w){re.escape(column)}(?!\w)", lambda _: named, why, count=1)
    begun = why if begins_so else f"{why[:1].upper()}{why[1:]}"
    return f"{begun}{'' if begun.endswith(('.', '!', '?')) else '.'}"
