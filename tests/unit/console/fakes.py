"""A ledger and a folder of reports that live in memory."""

from dataclasses import dataclass, field, fields
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
    broken: Exception | None = None

    def live(self, usecase):
        if self.broken is not None:
            raise self.broken
        return next((row for row in self.kept_releases if row.usecase == usecase), None)

    def runs(self, usecase, limit=100, *, kind=None):
        return [row for row in self.kept_runs if row.usecase == usecase and kind in {None, row.kind}][:limit]

    def decisions(self, usecase, limit=100):
        return [row for row in self.kept_decisions if row.usecase == usecase][:limit]

    def open_decisions(self, usecase):
        return [row for row in self.wanted if row.usecase == usecase]

    def reports(self, usecase=None, limit=100, *, kind=None):
        found = [row for row in self.kept_reports if usecase in {None, row.usecase} and kind in {None, row.kind}]
        return found[:limit]

    def bundle_heads(self, usecase, limit=100):
        heads = [field.name for field in fields(BundleHead)]
        return [
            BundleHead(**{name: getattr(row, name) for name in heads})
            for row in self.kept_bundles
            if row.usecase == usecase
        ][:limit]

    def bundle(self, version):
        return next((row for row in self.kept_bundles if row.version == version), None)

    def bundle_head(self, version):
        return self.bundle(version)

    def verdicts(self, usecase, limit=100, *, challenger=None):
        found = [row for row in self.kept_verdicts if row.usecase == usecase]
        return [row for row in found if challenger in {None, row.challenger}][:limit]

    def releases(self, usecase, limit=100):
        return [row for row in self.kept_releases if row.usecase == usecase][:limit]

    def keep_predictions(self, rows):
        self.kept_predictions += rows
        return len(rows)

    def report(self, report_id: UUID):
        return next((row for row in self.kept_reports if row.id == report_id), None)


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
