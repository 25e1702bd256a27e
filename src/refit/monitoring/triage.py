"""What to do about what monitoring saw, and why.

The order in which an engineer on call would ask:

1. Is the data broken? Then `block`: nothing is trained on it, and the reasons name the columns.
2. Is there no champion? Then one is wanted.
3. Did nothing arrive, and nothing was asked for? Then `none`.
4. Was something asked for and never carried out? Then it is wanted still.
5. Is the champion worse than promised, is the world another one, or is it old? Then a retrain is wanted; where only
   its probabilities are off and its ranking held, a recalibration.
6. Is a training wanted, but are there too few labels no training has seen, or is the newest of them too old to speak of
   today? Then `wait`, and say how old.

Whether data is broken is asked of all that arrived since the champion's training, and of what is new by itself: one bad
night among a hundred good ones hardly moves a share. What live requests look like is told along with any of these.

Drift of a feature wants a retrain where the feature matters: its share of the champion's importance is at least half of
what it would be if all features shared equally. Drift below that, or of a column the model does not read, is told only.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from refit.monitoring.evidence import Action, Code, Decision, Evidence, OpenRequest, Performance, Reason
from refit.monitoring.live import live_reasons
from refit.monitoring.psi import ColumnDrift, Drift
from refit.usecase.model import UseCase
from refit.usecase.policy import Metric

__all__ = ["Decision", "Evidence", "OpenRequest", "Performance", "Reason", "triage"]

LEAST_NEW: Final = 50
"""New records that are looked at by themselves: of fewer, half may be missing by chance or for one branch's sake."""

DAYS_A_MONTH: Final = 365.25 / 12

_LOWER_IS_BETTER: Final = frozenset[Metric]({"log_loss", "brier"})


@dataclass(frozen=True, slots=True)
class _Finding:
    """A reason, and what it asks for; `none` is a look that found nothing wrong, or nothing that matters."""

    wants: Action
    reason: Reason


def triage(evidence: Evidence, usecase: UseCase) -> Decision:
    """Return what to do about `evidence`, by the order above."""
    decision = _decided(evidence, usecase)
    live = () if evidence.live is None else live_reasons(evidence.live, usecase)
    return Decision(decision.action, (*decision.reasons, *live))


def _decided(evidence: Evidence, usecase: UseCase) -> Decision:
    broken = [finding.reason for finding in _data(evidence, usecase) if finding.wants == "block"]
    if broken:
        return Decision("block", tuple(broken))
    if evidence.champion_as_of is None:
        return _with_labels("retrain", [_no_champion(evidence)], evidence, usecase)
    if not evidence.n_new and not evidence.n_rejected and evidence.open_request is None and not evidence.schedule_due:
        return Decision("none", (Reason("nothing_new", "No record arrived since the last check.", seen=0.0),))
    findings = [*_asked(evidence), *_performance(evidence, usecase), *_drift(evidence, usecase)]
    findings += [*_champion(evidence, usecase), *_data(evidence, usecase)]
    for action in ("retrain", "recalibrate"):
        wanted = [finding.reason for finding in findings if finding.wants == action]
        if wanted:
            others = [finding.reason for finding in findings if finding.wants not in {action, "none"}]
            return _with_labels(action, [*wanted, *others], evidence, usecase)
    return Decision("none", tuple(finding.reason for finding in findings))


def _with_labels(
    action: Literal["recalibrate", "retrain"], wanted: list[Reason], evidence: Evidence, usecase: UseCase
) -> Decision:
    """Return the wanted action, or `wait` where there is too little to learn from."""
    least = usecase.retrain.min_new_labels
    if evidence.new_matured >= least:
        old = _too_old(action, evidence, usecase)
        return Decision(action, tuple(wanted)) if old is None else Decision("wait", (old, *wanted))
    trained = max((day for day in (evidence.champion_as_of, evidence.last_attempt_as_of) if day), default=None)
    since = f" since the training of {trained:%Y-%m-%d}" if trained else ""
    if evidence.newest_ripe is None:
        first = evidence.first_ripe_on
        newest = f"No record has a final label yet{'' if first is None else f'; the first will on {first:%Y-%m-%d}'}."
    else:
        newest = f"The newest record with a final label is {_aged(evidence.newest_ripe, evidence.as_of)}."
    why = f"A {action} is wanted, but only {evidence.new_matured:,} labels became final{since}; {least:,} are needed."
    few = Reason("few_labels", f"{why} {newest}", seen=float(evidence.new_matured), allowed=f">= {least}")
    return Decision("wait", (few, *wanted))


def _too_old(action: str, evidence: Evidence, usecase: UseCase) -> Reason | None:
    """Return why even the newest labels speak of another time; a hazard, which learns from young records, has newer."""
    most, newest = usecase.maturity.max_age_months, evidence.newest_ripe
    if most is None or newest is None or usecase.maturity.unripe == "hazard":
        return None
    months = (evidence.as_of - newest).days / DAYS_A_MONTH
    if months <= most:
        return None
    why = (
        f"A {action} is wanted, but the newest record with a final label is {_aged(newest, evidence.as_of)} "
        f"({months:.0f} months); {most} months are allowed: what it would learn is out of date."
    )
    return Reason("too_old", why, seen=months, allowed=f"<= {most} months")


def _aged(event: datetime, as_of: datetime) -> str:
    return f"of {event:%Y-%m-%d}, {(as_of - event).days:,} days old"


def _no_champion(evidence: Evidence) -> Reason:
    if evidence.last_attempt_as_of is None:
        return Reason("no_champion", "There is no champion yet.")
    return Reason(
        "no_champion", f"There is no champion: the training of {evidence.last_attempt_as_of:%Y-%m-%d} gave none."
    )


def _data(evidence: Evidence, usecase: UseCase) -> Iterator[_Finding]:
    """Look for broken data: refused records, columns that went missing, values that nobody knows."""
    limits = usecase.drift
    n = evidence.n_new + evidence.n_rejected
    if n:
        share = evidence.n_rejected / n
        broken = n >= limits.min_records and share > limits.block_reject_share
        causes = "; ".join(f"{cause} ({count:,})" for cause, count in evidence.causes) if evidence.n_rejected else ""
        of_what = f", most often for {causes}" if causes else ""
        why = f"{evidence.n_rejected:,} of {n:,} new records ({share:.1%}) were refused by the contract{of_what}."
        allowed = f"<= {limits.block_reject_share:g}"
        yield _Finding("block" if broken else "none", Reason("rejects", why, seen=share, allowed=allowed))
    named = set()
    for drift, least, of_new in (
        (evidence.drift, limits.min_records, False),
        (evidence.new_drift, min(LEAST_NEW, limits.min_records), True),
    ):
        if drift is None or drift.n_current < least:
            continue
        for finding in _columns(drift, usecase, of_new=of_new):
            place = (finding.reason.code, finding.reason.column)
            if place not in named:
                named.add(place)
                yield finding


def _columns(drift: Drift, usecase: UseCase, *, of_new: bool) -> Iterator[_Finding]:
    """Look for columns that went missing, and for values that nobody knows."""
    limits = usecase.drift
    records = f"the {drift.n_current:,} new records" if of_new else "records"
    for column in drift.columns:
        if column.role == "protected":
            continue  # no model reads it
        rise = 100 * _missing_moved(column)
        if rise >= limits.block_missing_points:
            why = (
                f"{column.column} is missing in {column.missing_current:.1%} of {records}, "
                f"where it was in {column.missing_reference:.1%}: the feed of it looks broken."
            )
            allowed = f"a rise of < {limits.block_missing_points:g} points"
            yield _Finding("block", Reason("missing_values", why, column.column, rise, allowed))
        unseen = column.unseen_share or 0.0
        if unseen - (column.unseen_expected or 0.0) > limits.block_unseen_share:
            of = f" in {records}" if of_new else ""
            why = f"{unseen:.1%} of the values of {column.column}{of} were never seen before: it looks recoded."
            allowed = f"<= {limits.block_unseen_share:g} beyond chance"
            yield _Finding("block", Reason("unseen_values", why, column.column, unseen, allowed))


def _asked(evidence: Evidence) -> Iterator[_Finding]:
    """Look for what was asked for and not yet done."""
    request = evidence.open_request
    if request is not None:
        why = f"A {request.action} asked for on {request.as_of:%Y-%m-%d} was never carried out."
        yield _Finding(request.action, Reason("open_request", why))
        for reason in request.reasons:
            if reason.code not in {"open_request", "few_labels"}:
                yield _Finding(request.action, reason)
    if evidence.schedule_due:
        yield _Finding("retrain", Reason("schedule", "A retrain is due by the schedule."))


def _performance(evidence: Evidence, usecase: UseCase) -> Iterator[_Finding]:
    """Compare the champion with what it promised. Chance is given its due: only an interval that excludes it counts."""
    seen = evidence.performance
    if seen is None:
        why = "Too few newly matured records to judge the champion on, or of other classes than it knows."
        yield _Finding("none", Reason("performance", why))
        return
    if any(math.isnan(figure) for figure in (seen.promised, seen.seen, seen.low, seen.high)):
        why = f"{seen.metric} is undefined on the {seen.n:,} newly matured records."
        yield _Finding("none", Reason("performance", why))
        return
    sign = -1 if seen.metric in _LOWER_IS_BETTER else 1
    bound = seen.promised - sign * usecase.retrain.max_metric_drop
    dropped = seen.low > bound if sign < 0 else seen.high < bound
    why = (
        f"{seen.metric} is {seen.seen:.3f} ({seen.low:.3f} to {seen.high:.3f}) on {seen.n:,} newly matured records; "
        f"{seen.promised:.3f} was promised."
    )
    allowed = f"{'<=' if sign < 0 else '>='} {bound:.3f}"
    yield _Finding("retrain" if dropped else "none", Reason("performance", why, seen=seen.seen, allowed=allowed))
    yield from _calibration(seen, usecase, dropped=dropped)


def _calibration(seen: Performance, usecase: UseCase, *, dropped: bool) -> Iterator[_Finding]:
    """Compare predicted with observed rates, over ten bins of n / 10 records.

    By chance alone a perfect model shows a mean gap of up to sqrt(2 / pi) * sqrt(0.25 / (n / 10)), the mean absolute
    error of ten rates near one half; less is not held against it.
    """
    error = seen.calibration_error
    if error is None or math.isnan(error):
        return
    chance = math.sqrt(2 / math.pi) * math.sqrt(0.25 * 10 / seen.n) if seen.n else math.inf
    limit = max(usecase.gate.calibration_error_max, chance)
    off = error > limit
    why = f"Predicted and observed rates differ by {error:.3f} on average."
    wants: Action = "none"
    if off and usecase.maturity.unripe == "hazard":
        why += " A hazard tells the rates of the last quarters, and these records lived through earlier ones."
    elif off:
        why += " The ranking fell too." if dropped else " The ranking held, so new probabilities are enough."
        wants = "retrain" if dropped else "recalibrate"
    yield _Finding(wants, Reason("calibration", why, seen=error, allowed=f"<= {limit:.3f}"))


def _drift(evidence: Evidence, usecase: UseCase) -> Iterator[_Finding]:
    """Look for a world that is no longer the one the champion learned."""
    drift, least = evidence.drift, usecase.drift.min_records
    if drift is None:
        yield _Finding("none", Reason("not_checked", "Drift was not checked."))
        return
    if drift.n_current < least:
        why = f"{drift.n_current:,} current records are too few to check drift; {least:,} are needed."
        yield _Finding("none", Reason("volume", why, seen=float(drift.n_current), allowed=f">= {least}"))
        return
    least_importance = 1 / (2 * len(usecase.features))
    everything = (*drift.columns, *([] if drift.score is None else [drift.score]))
    acting = [column for column in everything if column.status == "act" or _went_missing(column, usecase)]
    for column in sorted(acting, key=lambda column: -(column.importance or 0.0)):
        yield _acting(column, usecase, least_importance)
    yield _summary(drift)
    for column in everything:
        if column.status == "not checked" and column not in acting:
            why = f"{column.column} was not checked: {column.why}."
            yield _Finding("none", Reason("not_checked", why, column.column))


def _acting(column: ColumnDrift, usecase: UseCase, least_importance: float) -> _Finding:
    """Weigh a column that moved beyond what is allowed."""
    limits = usecase.drift
    points = 100 * abs(_missing_moved(column))
    code: Code = "score_drift" if column.role == "score" else "feature_drift"
    seen, allowed = column.psi, f"< {limits.act:g}"
    if points >= limits.missing_points:
        code, seen, allowed = "missing_values", points, f"a move of < {limits.missing_points:g} points"
    what = "The champion's score" if column.role == "score" else column.column
    why = f"{what} moved: {column.why}."
    match column:
        case ColumnDrift(role="feature", importance=float(importance)) if importance < least_importance:
            why += f" It carries {importance:.1%} of the champion, too little to act on ({least_importance:.1%})."
        case ColumnDrift(role="operand"):
            why += " The champion reads it only through another feature."
        case ColumnDrift(role="protected"):
            why += " No model reads it."
        case ColumnDrift(importance=float(importance)):
            why += f" It carries {importance:.1%} of the champion."
            return _Finding("retrain", Reason(code, why, column.column, seen, allowed))
        case _:
            return _Finding("retrain", Reason(code, why, column.column, seen, allowed))
    return _Finding("none", Reason("minor_drift", why, column.column, seen, allowed))


def _summary(drift: Drift) -> _Finding:
    """Say in one line how the checked columns are."""
    checked = [(column.psi, column) for column in drift.columns if column.psi is not None]
    if not checked:
        return _Finding("none", Reason("not_checked", "No column could be checked for drift."))
    value, worst = max(checked, key=lambda pair: pair[0])
    stable = sum(column.status == "stable" for column in drift.columns)
    why = f"{stable} of {len(drift.columns)} columns are stable; the largest PSI is {value:.3f} ({worst.column})."
    if drift.score is not None and drift.score.psi is not None:
        why += f" That of the score is {drift.score.psi:.3f}."
    return _Finding("none", Reason("feature_drift", why, worst.column, value))


def _champion(evidence: Evidence, usecase: UseCase) -> Iterator[_Finding]:
    """Look at the age of the champion, and at what could be learned since."""
    if evidence.champion_as_of is None:
        return
    days, most = (evidence.as_of - evidence.champion_as_of).days, usecase.retrain.max_age_days
    why = f"The champion was trained as of {evidence.champion_as_of:%Y-%m-%d}, {days:,} days ago; {most:,} are allowed."
    yield _Finding("retrain" if days > most else "none", Reason("age", why, seen=float(days), allowed=f"<= {most}"))
    least = usecase.retrain.min_new_labels
    why = f"{evidence.new_matured:,} labels became final that no training has seen; {least:,} make one worth while."
    yield _Finding("none", Reason("new_labels", why, seen=float(evidence.new_matured), allowed=f">= {least}"))


def _missing_moved(column: ColumnDrift) -> float:
    """Return by how much the share of missing values rose; 0 where it is not known on both sides."""
    if column.missing_current is None or column.missing_reference is None:
        return 0.0
    return column.missing_current - column.missing_reference


def _went_missing(column: ColumnDrift, usecase: UseCase) -> bool:
    return 100 * abs(_missing_moved(column)) >= usecase.drift.missing_points
