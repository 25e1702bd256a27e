"""The decision log, and who overrode a verdict."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE refit.override (
    id uuid PRIMARY KEY,
    usecase text NOT NULL,
    version text NOT NULL,
    verdict uuid NOT NULL REFERENCES refit.verdict (id),
    by text NOT NULL,
    reason text NOT NULL,
    as_of timestamptz NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX override_newest ON refit.override (usecase, number);

CREATE TABLE refit.prediction (
    id uuid PRIMARY KEY,
    usecase text NOT NULL,
    version text NOT NULL,
    at timestamptz NOT NULL,
    request_id text NOT NULL,
    inputs jsonb NOT NULL,
    probability double precision,
    probabilities jsonb,
    threshold double precision,
    decision text NOT NULL,
    reasons jsonb,
    latency_ms double precision NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT prediction_scored_check CHECK ((probability IS NULL) <> (probabilities IS NULL))
);
CREATE INDEX prediction_newest ON refit.prediction (usecase, at);
"""


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(TABLES)
    for table in ("override", "prediction"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON refit.{table} "
            "FOR EACH ROW EXECUTE FUNCTION refit.append_only()"
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON refit.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refit.append_only()"
        )
