"""What ran, and the reports it left."""

from uuid import UUID

from sqlalchemy import select

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

    def runs(self, usecase: str, limit: int = 100, *, kind: str | None = None) -> list[RunRow]:
        """Return runs, newest first, of one kind or of all."""
        query = _RUNS.where(RUN.c.usecase == usecase)
        if kind is not None:
            query = query.where(RUN.c.kind == kind)
        return self._rows(RunRow, query.order_by(RUN.c.number.desc()).limit(limit))

    def record_report(self, report: ReportRow) -> None:
        """Keep where a report lies."""
        self._add(REPORT, report)

    def reports(self, usecase: str | None = None, limit: int = 100, *, kind: str | None = None) -> list[ReportRow]:
        """Return reports, newest first, of one use case or of all, of one kind or of all."""
        query = _REPORTS if usecase is None else _REPORTS.where(REPORT.c.usecase == usecase)
        if kind is not None:
            query = query.where(REPORT.c.kind == kind)
        return self._rows(ReportRow, query.order_by(REPORT.c.number.desc()).limit(limit))

    def report(self, report_id: UUID) -> ReportRow | None:
        """Return one report."""
        return self._row(ReportRow, _REPORTS.where(REPORT.c.id == report_id))
