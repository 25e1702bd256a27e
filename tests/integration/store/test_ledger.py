from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from threading import Thread
from uuid import uuid4

import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from refit.errors import ContractError, OutageError
from refit.store.ledger import Ledger
from refit.store.rows import (
    NOT_YET,
    BatchRow,
    BundleRow,
    DecisionRow,
    OverrideRow,
    PredictionRow,
    RejectRow,
    ReleaseRow,
    ReportRow,
    RunRow,
    SnapshotRow,
    VerdictRow,
)
from refit.store.tables import METADATA
from tests.integration.conftest import other_database, run

DAY = datetime(2003, 6, 30, tzinfo=UTC)


def batch(**changes) -> BatchRow:
    made = BatchRow(
        usecase="sba",
        sha256="a" * 64,
        path="batches/a.parquet",
        n_records=2,
        n_rejected=1,
        first_arrived_at=DAY - timedelta(days=10),
        last_arrived_at=DAY,
        watermark_at=DAY,
        watermark_key="17",
        as_of=DAY,
    )
    return replace(made, **changes)


def reject(**changes) -> RejectRow:
    made = RejectRow(
        usecase="sba",
        origin="ingest",
        source="a" * 64,
        place="18",
        reasons=({"column": "GrAppv", "why": "below 0"},),
        record=b'{"GrAppv": "-1"}',
        as_of=DAY,
    )
    return replace(made, **changes)


def decision(**changes) -> DecisionRow:
    made = DecisionRow(usecase="sba", as_of=DAY, action="retrain", reasons=({"code": "drift", "seen": 0.3},), n_new=9)
    return replace(made, **{"id": uuid4(), **changes})


# The tables


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(database_url):
    # the server's user is called refit as the schema is, which would make it the default that alembic leaves out
    engine = create_engine(database_url, connect_args={"options": "-c search_path=public"})
    with engine.connect() as connection:
        options = {"include_schemas": True, "version_table_schema": "refit", "compare_server_default": True}
        seen = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    engine.dispose()
    assert seen == []


def test_migrating_again_changes_nothing(ledger):
    ledger.acknowledge(batch())
    ledger.migrate()
    assert ledger.batches("sba") == [batch()]


def test_several_processes_may_migrate_at_once(server_url):
    run(server_url, "CREATE DATABASE crowded")
    ledgers = [Ledger(other_database(server_url, "crowded")) for _ in range(4)]
    threads = [Thread(target=ledger.migrate) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledgers[0].watermark("sba") is None
    for ledger in ledgers:
        ledger.close()
    run(server_url, "DROP DATABASE crowded")


def test_a_ledger_of_a_newer_refit_is_left_alone(ledger, database_url):
    run(database_url, "UPDATE refit.alembic_version SET version_num = '9999'")
    with pytest.raises(ContractError, match="newer refit"):
        ledger.migrate()


TABLES = sorted(table.name for table in METADATA.sorted_tables)


def fill(ledger: Ledger) -> None:
    """Put a row into every table."""
    ledger.acknowledge(batch(), [reject()])
    taken = decision()
    ledger.record_decision(taken)
    ledger.take_decision(taken.id, "run 1", "promoted")
    ledger.record_snapshot(SnapshotRow(sha256="s", usecase="sba", as_of=DAY, batches=("a", "b")))
    ledger.record_bundle(bundle())
    judged = verdict()
    ledger.record_verdict(judged)
    ledger.record_override(override(judged))
    ledger.record_release(release("v1"))
    ledger.record_run(finished())
    ledger.record_report(report())
    ledger.keep_predictions([prediction()])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"],
    ids=["update", "delete", "truncate"],
)
def test_no_row_is_ever_changed_or_taken_out(ledger, database_url, table, statement):
    fill(ledger)
    column = "at" if table == "decision_taken" else "created_at"
    with pytest.raises(psycopg2.errors.RaiseException, match="append-only"):
        run(database_url, statement.format(f"refit.{table}", column, column))


def test_retention_may_take_rows_out_in_its_own_transaction_only(ledger, database_url):
    fill(ledger)
    run(database_url, "BEGIN; SET LOCAL refit.retention = 'on'; DELETE FROM refit.reject; COMMIT")
    assert ledger.count_rejects("sba") == 0
    ledger.record_rejects([reject()])
    with pytest.raises(psycopg2.errors.RaiseException):
        run(database_url, "DELETE FROM refit.reject")


# What was taken in


def test_a_batch_moves_the_watermark_and_brings_its_rejects(ledger):
    assert ledger.watermark("sba") is None
    assert ledger.acknowledge(batch(), [reject()])
    assert ledger.watermark("sba") == (DAY, "17")
    assert ledger.batches("sba") == [batch()]
    assert ledger.rejects("sba") == [reject()]
    assert ledger.watermark("demo") is None


def test_acknowledging_twice_equals_once(ledger):
    assert ledger.acknowledge(batch(), [reject()])
    assert not ledger.acknowledge(batch(), [reject()])
    assert (len(ledger.batches("sba")), ledger.count_rejects("sba")) == (1, 1)


def test_the_same_content_belongs_to_each_use_case_apart(ledger):
    assert ledger.acknowledge(batch())
    assert ledger.acknowledge(batch(usecase="demo"))


def test_two_batches_of_nothing_but_rejects_both_move_the_watermark(ledger):
    empty = batch(n_records=0, first_arrived_at=None, last_arrived_at=None)
    later = replace(empty, watermark_key="18")
    assert ledger.acknowledge(empty, [reject()])
    assert ledger.acknowledge(later, [reject(place="19")])
    assert not ledger.acknowledge(later, [reject(place="19")])
    assert ledger.watermark("sba") == (DAY, "18")
    assert ledger.count_rejects("sba") == 2


def test_where_a_reject_cannot_be_kept_the_batch_is_not_kept_either(ledger):
    def breaking():
        yield reject()
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        ledger.acknowledge(batch(), breaking())
    assert ledger.batches("sba") == []
    assert ledger.count_rejects("sba") == 0
    assert ledger.watermark("sba") is None


def test_the_watermark_never_goes_back(ledger):
    ledger.acknowledge(batch())
    with pytest.raises(OutageError, match="gone further"):
        ledger.acknowledge(batch(sha256="b", watermark_at=DAY - timedelta(days=1)))
    assert ledger.watermark("sba") == (DAY, "17")


def test_an_as_of_read_skips_the_batches_that_had_not_begun_to_arrive(ledger):
    later = batch(sha256="b", first_arrived_at=DAY + timedelta(days=1), watermark_at=DAY + timedelta(days=2))
    ledger.acknowledge(batch())
    ledger.acknowledge(later)
    assert ledger.batches("sba", DAY) == [batch()]
    assert ledger.batches("sba", DAY + timedelta(days=1)) == ledger.batches("sba") == [batch(), later]


def test_rejects_are_counted_and_listed_by_where_they_came_from(ledger):
    ledger.record_rejects(reject(origin="load", source="loans.csv", place=str(n), as_of=None) for n in range(7))
    ledger.record_rejects([reject()])
    assert ledger.count_rejects("sba") == 8
    assert ledger.count_rejects("sba", origin="load") == 7
    assert ledger.count_rejects("sba", source="loans.csv") == 7
    assert ledger.count_rejects("demo") == 0
    assert [one.place for one in ledger.rejects("sba", 2, origin="load")] == ["6", "5"]


def test_rejects_are_summed_up_by_load_and_ingest_and_in_each_by_cause(ledger):
    below, missing = {"column": "GrAppv", "why": "below 0"}, {"column": "", "why": "a quote left open"}
    ledger.record_rejects(reject(origin="load", source="loans.csv", place=f"line {n}", as_of=None) for n in range(9))
    ledger.record_rejects(
        [reject(place="1", reasons=(below, missing)), reject(place="2", reasons=(missing,)), reject(reasons=())]
    )
    newest, oldest = ledger.refusals("sba")
    assert (newest.origin, newest.source, newest.as_of, newest.n) == ("ingest", "a" * 64, DAY, 3)
    assert (oldest.origin, oldest.source, oldest.as_of, oldest.n) == ("load", "loans.csv", None, 9)
    assert [(str(one), one.n, one.places) for one in ledger.causes_of("sba", newest)] == [
        ("a quote left open", 2, ("1", "2")),
        ("GrAppv: below 0", 1, ("1",)),
    ]
    (cause,) = ledger.causes_of("sba", oldest)
    assert (cause.n, cause.places) == (9, tuple(f"line {n}" for n in range(5)))
    assert ledger.refusals("demo") == []
    assert ledger.refusals("sba", DAY) == [newest]
    assert ledger.refusals("sba", source="loans") == [oldest]


def test_the_commonest_causes_of_batches_count_a_record_once_however_often_it_came(ledger):
    ledger.acknowledge(batch(), [reject(place="18"), reject(place="19"), reject(place=""), reject(place="")])
    missing = ({"column": "NAICS", "why": "missing"},)
    later = batch(sha256="b" * 64, watermark_at=DAY + timedelta(days=1))
    ledger.acknowledge(later, [reject(place="18"), reject(place="18", reasons=missing)])
    ledger.record_rejects([reject(origin="load", place="line 2")])
    first, second = ledger.batches("sba")
    assert [(str(one), one.n) for one in ledger.causes([first, second], 3)] == [
        ("GrAppv: below 0", 4),
        ("NAICS: missing", 1),
    ]
    assert [(str(one), one.n) for one in ledger.causes([second], 1)] == [("GrAppv: below 0", 1)]
    assert ledger.causes([], 3) == ()


AWKWARD = 'tab\t quote" backslash\\ dot\\. newline\n return\r null \\N é 中 😀'


def test_a_reject_comes_back_as_it_went_in_whatever_it_holds(ledger):
    odd = reject(
        source=AWKWARD, place=AWKWARD, reasons=({"column": AWKWARD, "why": AWKWARD},), record=bytes(range(256))
    )
    ledger.record_rejects([odd, reject(record=b"", reasons=())])
    assert ledger.rejects("sba") == [reject(record=b"", reasons=()), odd]


def test_what_postgres_cannot_hold_is_replaced_and_nothing_is_lost(ledger):
    ledger.record_rejects([reject(place="a\0b\udcff", reasons=({"column": "a\0", "why": "\udcff"},))])
    (kept,) = ledger.rejects("sba")
    assert kept.place == "a\ufffdb?"
    assert kept.reasons == ({"column": "a\ufffd", "why": "?"},)


@pytest.mark.timeout(120)
def test_half_a_million_rejects_are_kept_in_one_go(ledger):
    n = 500_000
    assert ledger.record_rejects(reject(place=str(i)) for i in range(n)) == n
    assert ledger.count_rejects("sba") == n


def test_a_moment_without_zone_is_refused(ledger):
    naive = datetime(2003, 6, 30)  # noqa: DTZ001 - the point of the test
    with pytest.raises(Exception, match="has no zone"):
        ledger.acknowledge(batch(as_of=naive))
    with pytest.raises(ValueError, match="has no zone"):
        ledger.record_rejects([reject(as_of=naive)])


def test_moments_come_back_in_utc_from_whatever_zone(ledger):
    jakarta = timezone(timedelta(hours=7))
    ledger.acknowledge(batch(watermark_at=DAY.astimezone(jakarta)))
    at, _ = ledger.watermark("sba")
    assert (at, at.tzinfo) == (DAY, UTC)
    (kept,) = ledger.batches("sba")
    assert kept.created_at.tzinfo is UTC
    assert abs(kept.created_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_two_ingests_of_one_use_case_never_run_at_once(ledger, database_url):
    with Ledger(database_url) as other, ledger.ingest_lock("sba"):
        with pytest.raises(OutageError, match="another ingest of sba is running"), other.ingest_lock("sba"):
            pytest.fail("both hold the lock")
        with other.ingest_lock("demo"):
            assert ledger.acknowledge(batch())
    with Ledger(database_url) as other, other.ingest_lock("sba"):
        pass


# Decisions


def test_a_decision_is_open_until_it_is_taken(ledger):
    older, newer = decision(), decision(action="recalibrate")
    for one in (older, decision(action="none"), decision(action="wait"), newer, decision(usecase="demo")):
        ledger.record_decision(one)
    assert ledger.open_decisions("sba") == [newer, older]
    assert ledger.take_decision(older.id, "retrain run", "refused")
    assert not ledger.take_decision(older.id, "another run", "promoted")
    assert ledger.open_decisions("sba") == [newer]
    assert ledger.decision_taken(older.id).by == "retrain run"
    assert ledger.decision_taken(newer.id) is None


def test_the_last_decision_is_that_of_the_latest_day_seen(ledger):
    june, replayed, july = decision(), decision(as_of=DAY, action="none"), decision(as_of=DAY + timedelta(days=31))
    for one in (june, july, replayed):
        ledger.record_decision(one)
    assert ledger.last_decision("sba") == july
    assert ledger.last_decision("sba", DAY + timedelta(days=30)) == replayed
    assert ledger.last_decision("sba", DAY - timedelta(days=1)) is None
    assert ledger.decisions("sba", 2) == [replayed, july]
    assert ledger.decision(june.id) == june


def test_figures_that_are_undefined_are_kept_as_null(ledger):
    ledger.record_decision(decision(drift={"psi": float("nan"), "columns": ({"seen": float("inf")},)}))
    assert ledger.last_decision("sba").drift == {"psi": None, "columns": [{"seen": None}]}


def test_no_drift_is_none_and_not_json_null(ledger, database_url):
    ledger.record_decision(decision(drift=None))
    assert run(database_url, "SELECT drift IS NULL FROM refit.decision") == [(True,)]


# Models


def bundle(version: str = "v1", **changes) -> BundleRow:
    made = BundleRow(
        version=version,
        usecase="sba",
        as_of=DAY,
        snapshot="s",
        path=f"sba/{version}",
        learner="xgboost",
        metrics={"roc_auc": 0.7},
        card={"n": 10},
    )
    return replace(made, **changes)


def verdict(**changes) -> VerdictRow:
    checks = ({"name": "gain", "outcome": "pass", "seen": 0.01},)
    made = VerdictRow(usecase="sba", challenger="v1", champion=None, outcome="promote", checks=checks, as_of=DAY)
    return replace(made, **{"id": uuid4(), **changes})


def override(judged: VerdictRow) -> OverrideRow:
    return OverrideRow(usecase="sba", version="v1", verdict=judged.id, by="Ann", reason="urgent", as_of=DAY)


def prediction() -> PredictionRow:
    scored = {"probability": 0.1, "threshold": 0.4, "decision": "approve", "latency_ms": 0.6}
    return PredictionRow(id=uuid4(), usecase="sba", version="v1", at=DAY, request_id="r", inputs={}, **scored)


def test_a_snapshot_and_a_bundle_are_kept_once(ledger):
    snapshot = SnapshotRow(sha256="s", usecase="sba", as_of=DAY, batches=("a", "b"))
    assert [ledger.record_snapshot(snapshot), ledger.record_snapshot(snapshot)] == [True, False]
    assert ledger.snapshot("sba", "s") == snapshot
    assert ledger.snapshot("demo", "s") is None
    assert [ledger.record_bundle(bundle()), ledger.record_bundle(bundle())] == [True, False]
    assert ledger.record_bundle(bundle("v2"))
    assert ledger.bundle("v1") == bundle()
    assert ledger.bundle("v3") is None
    assert [(one.version, one.metrics) for one in ledger.bundle_heads("sba")] == [
        ("v2", {"roc_auc": 0.7}),
        ("v1", {"roc_auc": 0.7}),
    ]
    assert [one.version for one in ledger.bundles("sba")] == ["v2", "v1"]


def test_verdicts_are_found_by_challenger(ledger):
    first, second = verdict(), verdict(challenger="v2", champion="v1", outcome="refuse")
    ledger.record_verdict(first)
    ledger.record_verdict(second)
    assert ledger.verdicts("sba") == [second, first]
    assert ledger.verdicts("sba", challenger="v1") == [first]


# Releases


def release(version: str, kind: str = "release", refuses: int | None = None) -> ReleaseRow:
    return ReleaseRow(
        usecase="sba",
        version=version,
        bento_tag=f"refit_sba:{version}",
        kind=kind,
        reason="the gate promoted it",
        as_of=DAY,
        refuses=refuses,
    )


def play(ledger: Ledger, story: str) -> None:
    """Play a story like "A B <A B!": releases of A and B, a rollback to A, a release of B that is refused."""
    for word in story.split():
        kept = ledger.record_release(release(word.strip("<!"), "rollback" if word.startswith("<") else "release"))
        if word.endswith("!"):
            ledger.record_release(release(kept.version, "refused", kept.id))


@pytest.mark.parametrize(
    ("story", "live", "earlier"),
    [
        ("", None, ""),
        ("A", "A", ""),
        ("A B", "B", "A"),
        ("A B!", "A", ""),
        ("A B! C", "C", "A"),
        ("A!", None, ""),
        ("A B C", "C", "BA"),
        ("A B C <B", "B", "A"),
        ("A B <A", "A", ""),
        ("A B <A C", "C", "A"),
        ("A B C <B <A", "A", ""),
        ("A B <A!", "B", "A"),
        ("A B C <B!", "C", "AB"),
        ("A B C <B! <A!", "C", "BA"),
        ("A B C <B! <A! <B!", "C", "AB"),
        ("A B A B!", "A", "B"),
        ("A B C <B! <A", "A", ""),
        ("A B C <B! B", "B", "CA"),
        ("A A", "A", ""),
        ("A B A", "A", "B"),
        ("A B C <A", "A", ""),
    ],
)
def test_what_is_live_and_what_one_would_go_back_to(ledger, story, live, earlier):
    play(ledger, story)
    seen_live = ledger.live("sba")
    assert (seen_live and seen_live.version) == live
    assert "".join(one.version for one in ledger.earlier("sba")) == earlier


def test_use_cases_are_released_apart(ledger):
    play(ledger, "A B")
    assert ledger.live("demo") is None
    ledger.record_release(replace(release("D"), usecase="demo"))
    assert ledger.live("sba").version == "B"
    assert ledger.live("demo").version == "D"
    assert [one.version for one in ledger.releases("sba")] == ["B", "A"]


def test_a_refusal_names_what_it_refuses(ledger):
    with pytest.raises(Exception, match="release_refuses_check"):
        ledger.record_release(release("A", "refused"))


# Runs and reports


def finished(**changes) -> RunRow:
    made = RunRow(
        usecase="sba",
        kind="nightly",
        as_of=DAY,
        started_at=DAY,
        finished_at=DAY + timedelta(minutes=2),
        outcome="done",
        result={"ingested": 2},
    )
    return replace(made, **{"id": uuid4(), **changes})


def report(**changes) -> ReportRow:
    made = ReportRow(usecase="sba", kind="drift", as_of=DAY, path_html="a.html", path_json="a.json", title="Drift")
    return replace(made, **{"id": uuid4(), **changes})


def test_runs_are_listed_newest_first(ledger):
    rows = [finished(), finished(outcome="failed"), finished(usecase="demo")]
    for row in rows:
        ledger.record_run(row)
    assert ledger.runs("sba") == [rows[1], rows[0]]
    assert ledger.runs("sba", 1) == [rows[1]]


def test_reports_are_found_by_use_case_and_by_id(ledger):
    rows = [report(run=uuid4()), report(usecase="demo"), report(path_json=None)]
    for row in rows:
        ledger.record_report(row)
    assert ledger.reports() == rows[::-1]
    assert ledger.reports("sba") == [rows[2], rows[0]]
    assert ledger.report(rows[1].id) == rows[1]
    assert ledger.report(uuid4()) is None


def test_what_the_ledger_gives_has_its_moment(ledger):
    fill(ledger)
    for (row,) in (ledger.runs("sba"), ledger.reports(), ledger.bundles("sba"), ledger.decisions("sba")):
        assert row.created_at < NOT_YET
