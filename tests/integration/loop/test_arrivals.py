"""How much is new, and how much of it stands refused: what was repaired no longer counts against the data."""

from datetime import UTC, datetime

import pytest

from refit.loop import asof
from refit.loop.arrivals import arrivals
from refit.loop.ingest import ingest
from refit.loop.monitor import monitor
from refit.store.rows import DecisionRow
from tests.integration.conftest import run
from tests.unit.usecase.declared import usecase as declared

TABLE = (
    "CREATE SCHEMA source; CREATE TABLE source.loans (id text, changed_at timestamptz, asked_on date,"
    " amount float8, income text, region text, purpose text, sex text, lost_on date)"
)
BROKEN, SOUND = -1, 10


def night(day: int) -> datetime:
    return datetime(2003, 6, day, 23, tzinfo=UTC)


@pytest.fixture
def usecase():
    return declared({"drift.min_records": 10})


@pytest.fixture
def put(database_url):
    """Write loans into the lender's table, each under its key, in place of what stood there under it."""
    run(database_url, TABLE)

    def written(day: int, amount: float, *keys: str | None) -> None:
        run(database_url, "DELETE FROM source.loans WHERE id = ANY(%s)", list(keys))
        insert = (
            "INSERT INTO source.loans SELECT one, %s, '2003-01-01', %s, '$100', 'north', 'car', 'f', NULL"
            " FROM unnest(%s::text[]) one"
        )
        run(database_url, insert, datetime(2003, 6, day, tzinfo=UTC), amount, list(keys))

    return written


@pytest.fixture
def counted(world, usecase):
    """Take in a night, and count what is new and what stands refused since a decision, or since ever."""

    def of(day: int, last=None) -> tuple[int, int]:
        ingest(world, usecase, night(day))
        found = arrivals(world, usecase, last, asof.read(world, usecase, night(day)).frame, night(day))
        return len(found.keys), found.n_refused

    return of


def keys(name: str, n: int) -> list[str]:
    return [f"{name}{i}" for i in range(n)]


def test_a_block_by_refused_records_lifts_once_they_are_repaired(world, usecase, put):
    def looked(day: int):
        ingest(world, usecase, night(day))
        return monitor(world, usecase, night(day)).decision

    put(1, SOUND, *keys("sound", 14))
    put(1, BROKEN, *keys("broken", 6))
    assert (looked(1).action, looked(2).action) == ("block", "block")
    assert looked(2).reasons[0].why.startswith("6 of 20 new records (30.0%)")
    put(3, SOUND, *keys("broken", 2))
    assert looked(3).action != "block"
    put(4, SOUND, *keys("broken", 6))
    assert looked(4).action != "block"


def test_a_record_stands_refused_until_a_later_batch_takes_it_in(counted, put):
    put(1, SOUND, "a", "b")
    put(1, BROKEN, "c", "d")
    assert counted(1) == (2, 2)
    put(2, BROKEN, "a", "c")
    assert counted(2) == (2, 3)
    put(3, SOUND, "a", "c")
    assert counted(3) == (3, 1)
    put(4, BROKEN, "c")
    assert counted(4) == (3, 2)


def test_a_batch_of_nothing_but_refused_records_is_told_from_the_next_like_it(counted, put):
    """Both are the same empty file."""
    put(1, BROKEN, "a", "b")
    assert counted(1) == (0, 2)
    put(2, SOUND, "a", "b")
    assert counted(2) == (2, 0)
    put(3, BROKEN, "b")
    assert counted(3) == (2, 1)


def test_refused_records_without_a_key_each_count(counted, put):
    put(1, SOUND, None, None, "a")
    assert counted(1) == (1, 2)


def test_since_a_decision_a_record_that_came_twice_is_one(world, usecase, counted, put):
    put(1, SOUND, *keys("sound", 12))
    put(1, BROKEN, "late")
    ingest(world, usecase, night(1))
    monitor(world, usecase, night(1))
    last = world.ledger.last_decision("loans", night(1))
    assert counted(1, last) == (0, 0)
    put(2, SOUND, "a", "b")
    assert counted(2, last) == (2, 0)
    put(3, SOUND, "a")
    put(3, BROKEN, "b", "late")
    assert counted(3, last) == (2, 2)
    put(4, SOUND, "late")
    assert counted(4, last) == (3, 1)
    assert counted(2, last) == (2, 0)


@pytest.fixture
def looked(world, usecase, monkeypatch):
    """Take in a night and decide; `meanwhile` comes to pass before the decision is kept."""

    def of(day: int, meanwhile=lambda: None):
        ingest(world, usecase, night(day))
        keep = type(world.ledger).record_decision

        def late(ledger, decision) -> None:
            meanwhile()
            keep(ledger, decision)

        with monkeypatch.context() as patched:
            patched.setattr(type(world.ledger), "record_decision", late)
            monitor(world, usecase, night(day))
        return world.ledger.last_decision("loans", night(day))

    return of


def test_a_batch_taken_in_while_a_decision_is_made_is_new_to_the_next_one(world, usecase, counted, put, looked):
    put(1, SOUND, *keys("sound", 12))

    def by_hand() -> None:
        put(1, SOUND, *keys("t", 14))
        put(1, BROKEN, *keys("unsound", 6))
        assert ingest(world, usecase, night(1)).n_rejected == 6

    last = looked(1, by_hand)
    assert counted(2, last) == (14, 6)
    assert looked(2).action == "block"


def test_what_was_taken_in_before_a_decision_and_arrived_after_its_day_is_new_with_its_refusals(
    world, usecase, counted, put, looked
):
    put(1, SOUND, *keys("sound", 12))
    ingest(world, usecase, night(1))
    put(3, SOUND, "a")
    put(3, BROKEN, "b")
    ingest(world, usecase, night(3))
    last = looked(1)
    assert [counted(day, last) for day in (2, 3)] == [(0, 0), (1, 1)]


def test_a_decision_without_a_snapshot_is_followed_by_what_was_taken_in_after_it(world, usecase, counted, put):
    put(1, SOUND, *keys("sound", 12))
    ingest(world, usecase, night(1))
    world.ledger.record_decision(DecisionRow(usecase="loans", as_of=night(1), action="none", reasons=(), n_new=12))
    last = world.ledger.last_decision("loans", night(1))
    assert counted(1, last) == (0, 0)
    put(2, SOUND, "a")
    assert counted(2, last) == (1, 0)
