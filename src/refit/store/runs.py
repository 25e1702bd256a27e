"""What ran, and the reports it left."""

from datetime import date
from uuid import UUID

from sqlalchemy import Date, cast, func, select

from refit.store.database import Database, columns
from refit.store.rows import ReportRow, RunRow
from refit.store.tables import REPORT, RUN

_RUNS = select(*columns(RUN, RunRow))
_REPORTS = select(*columns(REPORT, ReportRow))


class Runs(Database):
    """The ledger's pages on runs and reports."""

    def record_run(self, run: RunRow) -> None:
        """Keep a run that has ended."""
        self._add(RUN, run)

    def runs(
        self, usecase: str | None = None, limit: int = 100, *, kind: str | None = None, before: int | None = None
    ) -> list[RunRow]:
        """Return runs, newest first, of one use case or of all, of one kind or of all.

        Args:
            before: Only those older than the run of this number.
        """
        query = _RUNS if usecase is None else _RUNS.where(RUN.c.usecase == usecase)
        if kind is not None:
            query = query.where(RUN.c.kind == kind)
        if before is not None:
            query = query.where(RUN.c.number < before)
        return self._rows(RunRow, query.order_by(RUN.c.number.desc()).limit(limit))

    def record_report(self, report: ReportRow) -> None:
        """Keep where a report lies."""
        self._add(REPORT, report)

    def reports(
        self,
        usecase: str | None = None,
        limit: int = 100,
        *,
        kind: str | None = None,
        day: date | None = None,
        before: int | None = None,
    ) -> list[ReportRow]:
        """Return reports, newest first, of one use case or of all, of one kind or of all.

        Args:
            day: Only those whose `as_of` lies on it, in UTC.
            before: Only those older than the report of this number.
        """
        query = _REPORTS if usecase is None else _REPORTS.where(REPORT.c.usecase == usecase)
        if kind is not None:
            query = query.where(REPORT.c.kind == kind)
        if day is not None:
            query = query.where(cast(func.timezone("UTC", REPORT.c.as_of), Date) == day)
        if before is not None:
            query = query.where(REPORT.c.number < before)
        return self._rows(ReportRow, query.order_by(REPORT.c.number.desc()).limit(limit))

    def report(self, report_id: UUID) -> ReportRow | None:
        """Return one report."""
        return self._row(ReportRow, _REPORTS.where(REPORT.c.id == report_id))
