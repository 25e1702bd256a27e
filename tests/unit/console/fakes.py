"""A ledger and a folder of reports that live in memory."""

from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace
from uuid import UUID

from refit.errors import ContractError, DataError
from refit.loop.score import Scorer
from refit.store.rows import (
    BundleHead,
    BundleRow,
    DecisionRow,
    PredictionRow,
    ReleaseRow,
    ReportRow,
    RunRow,
    VerdictRow,
)


@dataclass
class FakeLedger:
    kept_releases: list[ReleaseRow] = field(default_factory=list)
    kept_runs: list[RunRow] = field(default_factory=list)
    kept_decisions: list[DecisionRow] = field(default_factory=list)
    kept_reports: list[ReportRow] = field(default_factory=list)
    wanted: list[DecisionRow] = field(default_factory=list)
    kept_bundles: list[BundleRow] = field(default_factory=list)
    kept_verdicts: list[VerdictRow] = field(default_factory=list)
    kept_predictions: list[PredictionRow] = field(default_factory=list)
    kept_batches: set[str] = field(default_factory=lambda: {"demo"})
    broken: Exception | None = None

    def live(self, usecase):
        if self.broken is not None:
            raise self.broken
        return next((row for row in self.kept_releases if row.usecase == usecase), None)

    def taken_in(self):
        return self.kept_batches

    def runs(self, usecase=None, limit=100, *, kind=None, before=None):
        found = [row for row in numbered(self.kept_runs) if usecase in {None, row.usecase}]
        return older([row for row in found if kind in {None, row.kind}], before)[:limit]

    def decisions(self, usecase, limit=100, *, checked=False, before=None):
        found = [row for row in numbered(self.kept_decisions) if row.usecase == usecase]
        return older([row for row in found if "columns" in (row.drift or {}) or not checked], before)[:limit]

    def open_decisions(self, usecase):
        return [row for row in self.wanted if row.usecase == usecase]

    def reports(self, usecase=None, limit=100, *, kind=None, day=None, before=None):
        found = [row for row in numbered(self.kept_reports) if usecase in {None, row.usecase}]
        found = [row for row in found if kind in {None, row.kind} and day in {None, row.as_of.date()}]
        return older(found, before)[:limit]

    def bundle_heads(self, usecase=None, limit=100, *, before=None):
        names = [field.name for field in fields(BundleHead) if field.name != "number"]
        heads = [BundleHead(**{name: getattr(row, name) for name in names}) for row in self.kept_bundles]
        return older([row for row in numbered(heads) if usecase in {None, row.usecase}], before)[:limit]

    def bundle(self, version):
        return next((row for row in self.kept_bundles if row.version == version), None)

    def bundle_head(self, version):
        return self.bundle(version)

    def verdicts(self, usecase, limit=100, *, challenger=None):
        found = [row for row in self.kept_verdicts if row.usecase == usecase]
        return [row for row in found if challenger in {None, row.challenger}][:limit]

    def last_verdicts(self, challengers):
        return {row.challenger: row for row in reversed(self.kept_verdicts) if row.challenger in challengers}

    def releases(self, usecase=None, limit=100, *, before=None):
        return older([row for row in self.kept_releases if usecase in {None, row.usecase}], before)[:limit]

    def keep_predictions(self, rows):
        self.kept_predictions += rows
        return len(rows)

    def report(self, report_id: UUID):
        return next((row for row in self.kept_reports if row.id == report_id), None)


def numbered(rows):
    """Number rows as the ledger does; they stand newest first."""
    return [replace(row, number=len(rows) - place) for place, row in enumerate(rows)]


def older(rows, before):
    return [row for row in rows if before is None or row.number < before]


@dataclass
class FakeReports:
    files: dict[str, bytes] = field(default_factory=dict)

    def size(self, path):
        self._within(path)
        return len(self.files[path]) if path in self.files else None

    def read(self, path):
        self._within(path)
        if path not in self.files:
            raise DataError(f"there is no report {path}")
        return self.files[path]

    def _within(self, path):
        if ".." in path:
            raise ContractError("a report's path must lie in the folder of reports")


class FakeScorer(Scorer):
    """Scores with the bundles it is given."""

    def __init__(self, ledger=None, **bundles):
        super().__init__(SimpleNamespace(ledger=ledger or FakeLedger()))
        self.bundles = bundles

    def bundle(self, usecase):
        return self.bundles.get(usecase)
