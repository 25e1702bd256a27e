import hashlib
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg2
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from refit.errors import DataError
from refit.store.ledger import MIGRATIONS, Ledger
from refit.store.rows import NOT_YET, OverrideRow, PredictionRow, VerdictRow
from tests.integration.conftest import other_database, run

NOON = datetime(2024, 6, 30, 12, tzinfo=UTC)
AWKWARD = 'tab\t quote" backslash\\ dot\\. newline\n return\r null \\N é 中 😀'


def prediction(**changes) -> PredictionRow:
    made = PredictionRow(
        id=uuid4(),
        usecase="toy",
        version="toy-20240331-abc",
        at=NOON,
        request_id="r-1",
        inputs={"amount": 900.5, "sector": None, "owner": "yes"},
        probability=0.1 + 0.2,
        threshold=0.4,
        decision="approve",
        latency_ms=0.61,
    )
    return replace(made, **changes)


def test_a_prediction_comes_back_as_it_went_in_whatever_it_holds(ledger):
    plain = prediction()
    odd = prediction(
        request_id=AWKWARD,
        decision=AWKWARD,
        inputs={AWKWARD: AWKWARD, "n": 5e-324},
        reasons=(AWKWARD, "b"),
        threshold=None,
    )
    classes = prediction(probability=None, probabilities={"a": 0.2, "b": 0.8}, decision="b", threshold=None)
    assert ledger.keep_predictions([plain, odd, classes]) == 3
    for row in (plain, odd, classes):
        found = ledger.prediction(row.id)
        assert found == row
        assert found.created_at < NOT_YET
    assert ledger.prediction(uuid4()) is None


def test_a_probability_keeps_its_last_bit(ledger):
    values = [0.0, 1.0, 1 / 3, 5e-324, 0.1 + 0.2, 0.999999999999999889]
    rows = [prediction(probability=value, threshold=value) for value in values]
    ledger.keep_predictions(rows)
    assert [ledger.prediction(row.id).probability for row in rows] == values


def test_kept_twice_equals_once(ledger):
    rows = [prediction() for _ in range(5)]
    assert ledger.keep_predictions(rows[:3]) == 3
    assert ledger.keep_predictions(rows) == 2
    assert ledger.keep_predictions([rows[0], rows[0]]) == 0
    assert ledger.count_predictions("toy") == 5
    assert ledger.keep_predictions([]) == 0


def test_what_is_in_one_call_twice_is_kept_once(ledger):
    row = prediction()
    assert ledger.keep_predictions([row, row]) == 1


def test_where_one_has_no_room_none_is_kept_and_no_value_is_told(ledger):
    with pytest.raises(DataError) as caught:
        ledger.keep_predictions([prediction(), prediction(probability=None, inputs={"name": "Jane Doe"})])
    assert "Jane" not in str(caught.value)
    assert ledger.count_predictions("toy") == 0
    assert ledger.keep_predictions([prediction()]) == 1


def test_what_no_index_can_hold_is_no_outage_for_a_retry_cannot_help(ledger):
    endless = hashlib.shake_256(b"").hexdigest(10_000)  # nothing that could be made small
    with pytest.raises(DataError, match="no room for a prediction: ProgramLimitExceeded"):
        ledger.keep_predictions([prediction(usecase=endless)])


def test_what_postgres_cannot_hold_is_replaced(ledger):
    row = prediction(request_id="a\0b", inputs={"a": "\0\udcff", "n": float("nan")})
    other = prediction(inputs={"a\0": "\0"})
    ledger.keep_predictions([row, other])
    found = ledger.prediction(row.id)
    assert (found.request_id, found.inputs) == ("a\ufffdb", {"a": "\ufffd?", "n": None})
    assert ledger.prediction(other.id).inputs == {"a\ufffd": "\ufffd"}


def test_predictions_are_found_by_use_case_and_time_newest_first(ledger):
    rows = [prediction(at=NOON + timedelta(hours=hour)) for hour in range(4)]
    ledger.keep_predictions([*rows, prediction(usecase="demo")])
    assert ledger.predictions("toy") == rows[::-1]
    assert ledger.predictions("toy", limit=2) == [rows[3], rows[2]]
    since, until = rows[1].at, rows[3].at
    assert ledger.predictions("toy", since, until) == [rows[2], rows[1]]
    assert ledger.count_predictions("toy", since) == 3
    assert ledger.count_predictions("toy", since, until) == 2
    assert ledger.count_predictions("demo") == 1
    assert ledger.count_predictions("sba") == 0


# Append-only


def override(ledger: Ledger) -> OverrideRow:
    verdict = VerdictRow(usecase="toy", challenger="v1", champion=None, outcome="refuse", checks=(), as_of=NOON)
    ledger.record_verdict(verdict)
    return OverrideRow(usecase="toy", version="v1", verdict=verdict.id, by="Ann", reason="urgent", as_of=NOON)


@pytest.mark.parametrize("statement", ["UPDATE refit.prediction SET decision = 'x'", "DELETE FROM refit.prediction"])
def test_no_prediction_is_changed_or_taken_out_by_hand(ledger, database_url, statement):
    ledger.keep_predictions([prediction()])
    with pytest.raises(psycopg2.errors.RaiseException, match="append-only"):
        run(database_url, statement)
    with pytest.raises(psycopg2.errors.RaiseException, match="append-only"):
        run(database_url, "TRUNCATE refit.prediction")


def test_retention_takes_out_what_is_old_and_leaves_the_rest_append_only(ledger, database_url, monkeypatch):
    monkeypatch.setattr("refit.store.predictions.SWEPT_AT_ONCE", 2)
    rows = [prediction(at=NOON + timedelta(days=day)) for day in range(7)]
    ledger.keep_predictions([*rows, prediction(usecase="demo")])
    before = NOON + timedelta(days=5)
    assert ledger.sweep_predictions(before, dry_run=True) == 6
    assert ledger.sweep_predictions(before, "toy", dry_run=True) == 5
    assert ledger.sweep_predictions(before, "toy") == 5
    assert ledger.predictions("toy") == [rows[6], rows[5]]
    assert ledger.count_predictions("demo") == 1
    assert ledger.sweep_predictions(before) == 1
    assert ledger.sweep_predictions(before) == 0
    with pytest.raises(psycopg2.errors.RaiseException):
        run(database_url, "DELETE FROM refit.prediction")


# Migration


def test_a_ledger_of_the_first_version_keeps_its_rows_and_gains_the_log(server_url):
    run(server_url, "CREATE DATABASE older")
    url = other_database(server_url, "older")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA refit")
        config = Config()
        config.set_main_option("script_location", MIGRATIONS)
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    verdict = VerdictRow(usecase="toy", challenger="v1", champion=None, outcome="refuse", checks=(), as_of=NOON)
    with Ledger(url) as ledger:
        ledger.record_verdict(verdict)
        ledger.migrate()
        assert ledger.verdicts("toy") == [verdict]
        assert ledger.keep_predictions([prediction()]) == 1
    run(server_url, "DROP DATABASE older WITH (FORCE)")


# A million rows


MILLION = 1_000_000
FILL = """
INSERT INTO refit.prediction
    (id, usecase, version, at, request_id, inputs, probability, threshold, decision, latency_ms)
SELECT gen_random_uuid(), CASE WHEN i %% 10 = 0 THEN 'demo' ELSE 'toy' END, 'toy-' || i %% 7,
    %s + i * interval '1 second', 'r-' || i,
    jsonb_build_object('amount', i, 'share', i / 1e6, 'sector', 's' || i %% 20, 'text', repeat('x', 100)),
    i / 1e6, 0.4, 'approve', 0.6
FROM generate_series(1, %s) AS i
"""


@pytest.fixture(scope="module")
def million(server_url):
    run(server_url, "CREATE DATABASE million TEMPLATE refit_template")
    url = other_database(server_url, "million")
    run(url, FILL, NOON, MILLION)
    run(url, "ANALYZE refit.prediction")  # as the server does by itself within a minute
    with Ledger(url) as ledger:
        yield ledger
    run(server_url, "DROP DATABASE million WITH (FORCE)")


@pytest.mark.slow
@pytest.mark.parametrize(
    "ask",
    [
        lambda ledger: ledger.predictions("toy", limit=200),
        lambda ledger: ledger.predictions("toy", NOON + timedelta(days=3), NOON + timedelta(days=4), 200),
        lambda ledger: ledger.predictions("sba"),
        lambda ledger: ledger.prediction(UUID(int=7)),
        lambda ledger: ledger.about_predictions("toy"),
        lambda ledger: ledger.about_predictions("toy", NOON + timedelta(days=10)),
    ],
    ids=["newest", "a day", "none", "by id", "count all", "count some"],
)
def test_a_page_waits_less_than_300_ms_for_any_question_to_a_million_rows(million, ask):
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        ask(million)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.3


@pytest.mark.slow
def test_few_are_counted_and_many_are_estimated(million):
    n, exact = million.about_predictions("toy")
    assert not exact
    assert n == pytest.approx(900_000, rel=0.05)
    assert million.about_predictions("toy", until=NOON + timedelta(seconds=1000)) == (900, True)
    assert million.about_predictions("sba") == (0, True)


@pytest.mark.slow
def test_a_million_rows_are_swept_in_steps(million):
    assert million.sweep_predictions(NOON + timedelta(seconds=50_001)) == 50_000
    assert million.about_predictions("demo", until=NOON + timedelta(seconds=50_002)) == (0, True)
