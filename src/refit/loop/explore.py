"""Look at the records before or beside any model, and keep what was found as a report."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import structlog

from refit.loop import asof
from refit.loop.wiring import World
from refit.portfolio.page import page
from refit.portfolio.report import portfolio
from refit.store.rows import ReportRow
from refit.usecase.model import UseCase

log = structlog.get_logger()
Progress = Callable[[str, float | None], None]
KIND: Final = "portfolio"


@dataclass(frozen=True, slots=True)
class Explored:
    """Where the report lies, and what stands out in it. `path` leads to the page."""

    report_id: str
    path: str
    n_records: int
    n_known: int
    findings: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def explore(
    world: World, usecase: UseCase, as_of: datetime, progress: Progress = lambda _text, _fraction: None
) -> Explored:
    """Find in the records known at `as_of` what an analyst would find by hand, and keep it as a report.

    Needs no model and no matured record: without known outcomes the report tells of the records alone.

    Raises:
        DataError: There is no record yet, or a batch is missing or altered.
        OutageError: Postgres does not answer, or the disk is full.
    """
    progress("Reading the records", 0.0)
    seen = asof.read(world, usecase, as_of)
    n_rejected = world.ledger.count_rejects(usecase.name)
    found = portfolio(
        seen.frame,
        usecase,
        as_of,
        snapshot=seen.snapshot,
        n_rejected=n_rejected,
        n_ahead=seen.n_ahead,
        progress=progress,
    )
    progress("Drawing", 0.7)
    run_id = uuid4()
    paths = world.reports.write(usecase.name, KIND, run_id, page(found), found.to_json())
    world.ledger.record_report(
        ReportRow(
            id=run_id,
            usecase=usecase.name,
            kind=KIND,
            run=run_id,
            as_of=as_of,
            path_html=paths.html,
            path_json=paths.json,
            title=f"{usecase.title}: portfolio as of {as_of:%Y-%m-%d}",
        )
    )
    n_known = int(found.book.outcome.known.sum())
    log.info("explore.reported", usecase=usecase.name, n=found.book.n, known=n_known, warnings=len(found.warnings))
    path = str(world.settings.reports / paths.html)
    return Explored(str(run_id), path, found.book.n, n_known, found.findings, found.warnings)
