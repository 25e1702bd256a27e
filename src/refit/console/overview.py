"""What the overview says of one use case, put together from the ledger's rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from refit.console.live import Live
from refit.loop.days import SIMULATED
from refit.store.rows import DecisionRow, ReportRow, RunRow
from refit.usecase.model import UseCase

SHOWN_NIGHTS: Final = 10


@dataclass(frozen=True, slots=True)
class Night:
    """One run, in the words of the page. `told` is why it failed or had nothing to do, empty where it did its work."""

    usecase: str
    as_of: datetime
    finished_at: datetime
    outcome: str
    came_in: str
    action: str
    verdict: str
    report_id: str | None
    told: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a use case stands: what is live, what was decided last and why, and what the last nights did.

    `has_records`: whether any were ever taken in.
    """

    usecase: UseCase
    live: Live | None
    age_days: int | None
    decision: DecisionRow | None
    reasons: tuple[str, ...]
    open_decisions: int
    nights: tuple[Night, ...]
    has_more_nights: bool
    report_id: UUID | None
    has_records: bool

    @property
    def load_command(self) -> str:
        """What fills its table by hand."""
        name = self.usecase.name
        return "refit demo" if name == SIMULATED else f"refit load {name} FILE"

    @property
    def has_begun(self) -> bool:
        """Whether anything was ever done for it."""
        return self.live is not None or self.decision is not None or bool(self.nights)


def standing(
    usecase: UseCase,
    now: datetime,
    *,
    live: Live | None,
    runs: Sequence[RunRow],
    decisions: Sequence[DecisionRow],
    wanted: Sequence[DecisionRow],
    reports: Sequence[ReportRow],
    has_records: bool,
) -> Standing:
    """Return where a use case stands; runs, decisions and reports come newest first."""
    decision = decisions[0] if decisions else None
    return Standing(
        usecase,
        live,
        live.age(now).days if live is not None else None,
        decision,
        tuple(str(reason.get("why", "")) for reason in decision.reasons) if decision is not None else (),
        len(wanted),
        tuple(night(run) for run in runs[:SHOWN_NIGHTS]),
        len(runs) > SHOWN_NIGHTS,
        next((report.id for report in reports if report.kind == "drift"), None),
        has_records,
    )


def night(run: RunRow) -> Night:
    """Return a run in the words of the page."""
    result = run.result
    return Night(
        run.usecase,
        run.as_of,
        run.finished_at,
        run.outcome,
        _came_in(result),
        str(_part(result, "decision").get("action") or ""),
        str(_part(result, "verdict").get("outcome") or ""),
        str(result["report"]) if result.get("report") else None,
        str(_part(result, "error").get("message") or result.get("nothing") or ""),
    )


def _came_in(result: Mapping[str, Any]) -> str:
    taken, refused = result.get("ingested"), result.get("rejected")
    if not isinstance(taken, int):
        return ""
    return f"{taken:,}, {refused:,} refused" if isinstance(refused, int) and refused else f"{taken:,}"


def _part(result: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = result.get(name)
    return found if isinstance(found, Mapping) else {}
