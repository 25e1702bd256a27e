"""The ledger's tables. `db/migrations` makes them; a test holds the two together."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA: Final = "refit"


class Moment(TypeDecorator[datetime]):
    """A timestamptz that is UTC in Python, and refuses a moment without zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the hook's signature
        """Check what is written."""
        return None if value is None else utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the hook's signature
        """Turn what is read to UTC, whatever zone the session is in."""
        return None if value is None else value.astimezone(UTC)


def utc(moment: datetime) -> datetime:
    """Return `moment` in UTC.

    Raises:
        ValueError: It has no zone, so nobody knows which moment it is.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no zone; give a moment in UTC")
    return moment.astimezone(UTC)


METADATA: Final = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    },
)


def _text(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=primary_key, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, Moment, nullable=nullable)


def _json(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, JSONB(none_as_null=True), nullable=nullable)


def _table(name: str, *columns: Column[Any] | CheckConstraint) -> Table:
    """Make a table that is listed newest first, by `number`, for each use case."""
    keyed = any(isinstance(column, Column) and column.primary_key for column in columns)
    table = Table(
        name,
        METADATA,
        *columns,
        Column("number", BigInteger, Identity(always=True), nullable=False, primary_key=not keyed, unique=keyed),
        Column("created_at", Moment, nullable=False, server_default=func.now()),
    )
    Index(f"{name}_newest", table.c.usecase, table.c.number)
    return table


BATCH: Final = _table(
    "batch",
    _text("usecase"),
    _text("sha256"),
    _text("path"),
    Column("n_records", BigInteger, nullable=False),
    Column("n_rejected", BigInteger, nullable=False),
    _moment("first_arrived_at", nullable=True),
    _moment("last_arrived_at", nullable=True),
    _moment("watermark_at"),
    _text("watermark_key"),
    _moment("as_of"),
)
# Two batches without a record are the same file, so only their watermarks tell them apart.
Index("batch_content", BATCH.c.usecase, BATCH.c.sha256, unique=True, postgresql_where=text("n_records > 0"))
Index("batch_step", BATCH.c.usecase, BATCH.c.sha256, BATCH.c.watermark_at, BATCH.c.watermark_key, unique=True)

REJECT: Final = _table(
    "reject",
    _text("usecase"),
    CheckConstraint("origin IN ('load', 'ingest')", name="origin"),
    _text("origin"),
    _text("source"),
    _text("place"),
    _json("reasons"),
    Column("record", LargeBinary, nullable=False),
    _moment("as_of", nullable=True),
)

DECISION: Final = _table(
    "decision",
    Column("id", Uuid, primary_key=True),
    _text("usecase"),
    _moment("as_of"),
    CheckConstraint("action IN ('none', 'block', 'wait', 'recalibrate', 'retrain')", name="action"),
    _text("action"),
    _json("reasons"),
    _json("drift", nullable=True),
    Column("n_new", BigInteger, nullable=False),
    _text("champion", nullable=True),
    _text("snapshot", nullable=True),
)
Index("decision_as_of", DECISION.c.usecase, DECISION.c.as_of, DECISION.c.number)

DECISION_TAKEN: Final = Table(
    "decision_taken",
    METADATA,
    Column("decision_id", Uuid, ForeignKey(DECISION.c.id), primary_key=True),
    _text("by"),
    _text("outcome"),
    Column("at", Moment, nullable=False, server_default=func.now()),
)

SNAPSHOT: Final = _table(
    "snapshot",
    _text("usecase", primary_key=True),
    _text("sha256", primary_key=True),
    _moment("as_of"),
    _json("batches"),
)

BUNDLE: Final = _table(
    "bundle",
    _text("version", primary_key=True),
    _text("usecase"),
    _moment("as_of"),
    _text("snapshot"),
    _text("path"),
    _text("learner"),
    _json("metrics"),
    _json("card"),
)

VERDICT: Final = _table(
    "verdict",
    Column("id", Uuid, primary_key=True),
    _text("usecase"),
    _text("challenger"),
    _text("champion", nullable=True),
    CheckConstraint("outcome IN ('promote', 'refuse')", name="outcome"),
    _text("outcome"),
    _json("checks"),
    _moment("as_of"),
)

RELEASE: Final = Table(
    "release",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("usecase"),
    _text("version"),
    _text("bento_tag"),
    CheckConstraint("kind IN ('release', 'rollback', 'refused')", name="kind"),
    _text("kind"),
    _text("reason"),
    _moment("as_of"),
    CheckConstraint("(kind = 'refused') = (refuses IS NOT NULL)", name="refuses"),
    Column("refuses", BigInteger, ForeignKey("refit.release.id")),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
)
Index("release_newest", RELEASE.c.usecase, RELEASE.c.id)
Index("release_refused", RELEASE.c.refuses, postgresql_where=text("refuses IS NOT NULL"))

RUN: Final = _table(
    "run",
    Column("id", Uuid, primary_key=True),
    _text("usecase"),
    _text("kind"),
    _moment("as_of"),
    _moment("started_at"),
    _moment("finished_at"),
    _text("outcome"),
    _json("result"),
)

REPORT: Final = _table(
    "report",
    Column("id", Uuid, primary_key=True),
    _text("usecase"),
    _text("kind"),
    Column("run", Uuid),
    _moment("as_of"),
    _text("path_html"),
    _text("path_json", nullable=True),
    _text("title"),
)

OVERRIDE: Final = _table(
    "override",
    Column("id", Uuid, primary_key=True),
    _text("usecase"),
    _text("version"),
    Column("verdict", Uuid, ForeignKey(VERDICT.c.id), nullable=False),
    _text("by"),
    _text("reason"),
    _moment("as_of"),
)

# A million rows and more, so neither a number nor an index that no page asks for.
PREDICTION: Final = Table(
    "prediction",
    METADATA,
    Column("id", Uuid, primary_key=True),
    _text("usecase"),
    _text("version"),
    _moment("at"),
    _text("request_id"),
    _json("inputs"),
    Column("probability", Double),
    _json("probabilities", nullable=True),
    CheckConstraint("(probability IS NULL) <> (probabilities IS NULL)", name="scored"),
    Column("threshold", Double),
    _text("decision"),
    _json("reasons", nullable=True),
    Column("latency_ms", Double, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
)
Index("prediction_newest", PREDICTION.c.usecase, PREDICTION.c.at)
