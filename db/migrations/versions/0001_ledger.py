"""The ledger: its tables, and the trigger that keeps them append-only."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE refit.batch (
    usecase text NOT NULL,
    sha256 text NOT NULL,
    path text NOT NULL,
    n_records bigint NOT NULL,
    n_rejected bigint NOT NULL,
    first_arrived_at timestamptz,
    last_arrived_at timestamptz,
    watermark_at timestamptz NOT NULL,
    watermark_key text NOT NULL,
    as_of timestamptz NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX batch_newest ON refit.batch (usecase, number);
CREATE UNIQUE INDEX batch_content ON refit.batch (usecase, sha256) WHERE n_records > 0;
CREATE UNIQUE INDEX batch_step ON refit.batch (usecase, sha256, watermark_at, watermark_key);

CREATE TABLE refit.reject (
    usecase text NOT NULL,
    origin text NOT NULL CONSTRAINT reject_origin_check CHECK (origin IN ('load', 'ingest')),
    source text NOT NULL,
    place text NOT NULL,
    reasons jsonb NOT NULL,
    record bytea NOT NULL,
    as_of timestamptz,
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reject_newest ON refit.reject (usecase, number);

CREATE TABLE refit.decision (
    id uuid PRIMARY KEY,
    usecase text NOT NULL,
    as_of timestamptz NOT NULL,
    action text NOT NULL CONSTRAINT decision_action_check
        CHECK (action IN ('none', 'block', 'wait', 'recalibrate', 'retrain')),
    reasons jsonb NOT NULL,
    drift jsonb,
    n_new bigint NOT NULL,
    champion text,
    snapshot text,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX decision_newest ON refit.decision (usecase, number);
CREATE INDEX decision_as_of ON refit.decision (usecase, as_of, number);

CREATE TABLE refit.decision_taken (
    decision_id uuid PRIMARY KEY REFERENCES refit.decision (id),
    by text NOT NULL,
    outcome text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE refit.snapshot (
    usecase text NOT NULL,
    sha256 text NOT NULL,
    as_of timestamptz NOT NULL,
    batches jsonb NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (usecase, sha256)
);
CREATE INDEX snapshot_newest ON refit.snapshot (usecase, number);

CREATE TABLE refit.bundle (
    version text PRIMARY KEY,
    usecase text NOT NULL,
    as_of timestamptz NOT NULL,
    snapshot text NOT NULL,
    path text NOT NULL,
    learner text NOT NULL,
    metrics jsonb NOT NULL,
    card jsonb NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX bundle_newest ON refit.bundle (usecase, number);

CREATE TABLE refit.verdict (
    id uuid PRIMARY KEY,
    usecase text NOT NULL,
    challenger text NOT NULL,
    champion text,
    outcome text NOT NULL CONSTRAINT verdict_outcome_check CHECK (outcome IN ('promote', 'refuse')),
    checks jsonb NOT NULL,
    as_of timestamptz NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX verdict_newest ON refit.verdict (usecase, number);

CREATE TABLE refit.release (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    usecase text NOT NULL,
    version text NOT NULL,
    bento_tag text NOT NULL,
    kind text NOT NULL CONSTRAINT release_kind_check CHECK (kind IN ('release', 'rollback', 'refused')),
    reason text NOT NULL,
    as_of timestamptz NOT NULL,
    refuses bigint REFERENCES refit.release (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT release_refuses_check CHECK ((kind = 'refused') = (refuses IS NOT NULL))
);
CREATE INDEX release_newest ON refit.release (usecase, id);
CREATE INDEX release_refused ON refit.release (refuses) WHERE refuses IS NOT NULL;

CREATE TABLE refit.run (
    id uuid PRIMARY KEY,
    usecase text NOT NULL,
    kind text NOT NULL,
    as_of timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    outcome text NOT NULL,
    result jsonb NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX run_newest ON refit.run (usecase, number);

CREATE TABLE refit.report (
    id uuid PRIMARY KEY,
    usecase text NOT NULL,
    kind text NOT NULL,
    run uuid,
    as_of timestamptz NOT NULL,
    path_html text NOT NULL,
    path_json text,
    title text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX report_newest ON refit.report (usecase, number);
"""

# Retention alone may take rows out, and says so in its own transaction: SET LOCAL refit.retention = 'on'.
APPEND_ONLY = """
CREATE FUNCTION refit.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('refit.retention', true) = 'on' THEN
        RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
    END IF;
    RAISE EXCEPTION 'refit.% is append-only, so % is refused', TG_TABLE_NAME, TG_OP
        USING HINT = 'A retention job first runs SET LOCAL refit.retention = ''on''.';
END
$$;
"""


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(TABLES)
    connection.exec_driver_sql(APPEND_ONLY.replace("%", "%%"))
    for table in (
        "batch",
        "reject",
        "decision",
        "decision_taken",
        "snapshot",
        "bundle",
        "verdict",
        "release",
        "run",
        "report",
    ):
        connection.exec_driver_sql(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON refit.{table} "
            "FOR EACH ROW EXECUTE FUNCTION refit.append_only()"
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON refit.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refit.append_only()"
        )
