"""What the ledger keeps, one frozen dataclass a table. Every moment is in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid4

Json = Mapping[str, Any]

NOT_YET: Final = datetime.max.replace(tzinfo=UTC)
"""Stands for `created_at` until the database gives it; no part of a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """The records one ingest run took in, up to and with its watermark."""

    usecase: str
    sha256: str
    path: str
    n_records: int
    n_rejected: int
    first_arrived_at: datetime | None  # None: every record was rejected
    last_arrived_at: datetime | None
    watermark_at: datetime
    watermark_key: str
    as_of: datetime
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRow:
    """A record the contract refused: `reasons` are `{"column": ..., "why": ...}`, `record` its own bytes."""

    usecase: str
    origin: Literal["load", "ingest"]
    source: str  # the file's name, or the batch's sha256
    place: str  # the line's number, or the record's key
    reasons: tuple[Json, ...]
    record: bytes
    as_of: datetime | None = None
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """What monitoring concluded, with its reasons."""

    id: UUID = field(default_factory=uuid4)
    usecase: str
    as_of: datetime
    action: Literal["none", "block", "wait", "recalibrate", "retrain"]
    reasons: tuple[Json, ...]
    drift: Json | None = None
    n_new: int
    champion: str | None = None
    snapshot: str | None = None
    number: int | None = field(default=None, compare=False)  # given by the ledger
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTakenRow:
    """Who carried a decision out, and what came of it."""

    decision_id: UUID
    by: str
    outcome: str
    at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRow:
    """An immutable set of batches, named by the hash of its content."""

    sha256: str
    usecase: str
    as_of: datetime
    batches: tuple[str, ...]
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRow:
    """A trained model with all it needs to predict, and where it lies."""

    version: str
    usecase: str
    as_of: datetime
    snapshot: str
    path: str
    learner: str
    metrics: Json
    card: Json
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleHead:
    """A bundle as a list shows it: without its card, which is large."""

    version: str
    usecase: str
    as_of: datetime
    snapshot: str
    path: str
    learner: str
    metrics: Json
    number: int | None = field(default=None, compare=False)  # given by the ledger
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """What the gate concluded, check by check. `champion` is None where there was none."""

    id: UUID = field(default_factory=uuid4)
    usecase: str
    challenger: str
    champion: str | None
    outcome: Literal["promote", "refuse"]
    checks: tuple[Json, ...]
    as_of: datetime
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRow:
    """Who had a refused bundle released nevertheless, and why."""

    id: UUID = field(default_factory=uuid4)
    usecase: str
    version: str
    verdict: UUID
    by: str
    reason: str
    as_of: datetime
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRow:
    """A bundle put live, put back, or refused; a refused row names in `refuses` the release it takes out again."""

    id: int | None = field(default=None, compare=False)  # given by the ledger
    usecase: str
    version: str
    bento_tag: str
    kind: Literal["release", "rollback", "refused"]
    reason: str
    as_of: datetime
    refuses: int | None = None
    created_at: datetime = field(default=NOT_YET, compare=False)

    @property
    def number(self) -> int | None:
        """Its place in the ledger, by the name that the other lists' rows have it under."""
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One step that ran to its end, well or badly; written once, then."""

    id: UUID = field(default_factory=uuid4)
    usecase: str
    kind: str
    as_of: datetime
    started_at: datetime
    finished_at: datetime
    outcome: str
    result: Json
    number: int | None = field(default=None, compare=False)  # given by the ledger
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """Where a report lies. Paths are relative to the reports' folder, so that it can move."""

    id: UUID = field(default_factory=uuid4)
    usecase: str
    kind: str
    run: UUID | None = None
    as_of: datetime
    path_html: str
    path_json: str | None = None
    title: str
    number: int | None = field(default=None, compare=False)  # given by the ledger
    created_at: datetime = field(default=NOT_YET, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """One answered prediction. Binary ones hold `probability`, multiclass ones `probabilities` by class."""

    id: UUID
    usecase: str
    version: str
    at: datetime
    request_id: str
    inputs: Json
    probability: float | None
    probabilities: Json | None = None
    threshold: float | None
    decision: str
    reasons: tuple[Any, ...] | None = None
    latency_ms: float
    created_at: datetime = field(default=NOT_YET, compare=False)
