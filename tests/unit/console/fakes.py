"""A ledger and a folder of reports that live in memory."""

from dataclasses import dataclass, field
from uuid import UUID

from refit.errors import ContractError, DataError
from refit.store.rows import DecisionRow, ReleaseRow, ReportRow, RunRow


@dataclass
class FakeLedger:
    releases: list[ReleaseRow] = field(default_factory=list)
    kept_runs: list[RunRow] = field(default_factory=list)
    kept_decisions: list[DecisionRow] = field(default_factory=list)
    kept_reports: list[ReportRow] = field(default_factory=list)
    wanted: list[DecisionRow] = field(default_factory=list)
    broken: Exception | None = None

    def live(self, usecase):
        if self.broken is not None:
            raise self.broken
        return next((row for row in self.releases if row.usecase == usecase), None)

    def runs(self, usecase, limit=100):
        return [row for row in self.kept_runs if row.usecase == usecase][:limit]

    def decisions(self, usecase, limit=100):
        return [row for row in self.kept_decisions if row.usecase == usecase][:limit]

    def open_decisions(self, usecase):
        return [row for row in self.wanted if row.usecase == usecase]

    def reports(self, usecase=None, limit=100):
        return [row for row in self.kept_reports if usecase in {None, row.usecase}][:limit]

    def report(self, report_id: UUID):
        return next((row for row in self.kept_reports if row.id == report_id), None)


@dataclass
class FakeReports:
    files: dict[str, bytes] = field(default_factory=dict)

    def read(self, path):
        if ".." in path:
            raise ContractError("a report's path must lie in the folder of reports")
        if path not in self.files:
            raise DataError(f"there is no report {path}")
        return self.files[path]
