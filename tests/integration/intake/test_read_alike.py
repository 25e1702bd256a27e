"""Records that a changed contract reads in another way are not put beside the old ones."""

from datetime import UTC, datetime

import pytest

from refit.errors import DataError
from refit.loop import asof
from refit.loop.ingest import ingest

DAY = datetime(2003, 6, 30, tzinfo=UTC)
TABLE = (
    "CREATE SCHEMA source; CREATE TABLE source.loans (id text, changed_at timestamptz, asked_on date,"
    " amount float8, income text, region text, purpose text, sex text, lost_on date)"
)
INSERT = "INSERT INTO source.loans VALUES (%s, %s, '2003-01-01', 10, '$100', 'north', 'car', 'f', NULL)"


@pytest.fixture
def table(sql):
    """The lender's table, and how to put a loan into it."""
    sql(TABLE)
    return lambda key, changed="2003-06-01": sql(INSERT, key, changed)


def keys(world, usecase) -> list[str]:
    return sorted(asof.read(world, usecase, DAY).frame["_key"])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"features.region.parse": "prefix:3"}, "region: rule was text, is prefix:3"),
        ({"event_time.column": "changed_at"}, "_event_time: column was asked_on, is changed_at"),
    ],
    ids=["rule", "event"],
)
def test_records_read_in_another_way_are_not_taken_in_with_the_old_ones(world, declare, table, changes, why):
    usecase = declare()
    table("a")
    first = ingest(world, usecase, DAY)
    table("b", "2003-06-02")
    with pytest.raises(DataError, match=f"{why}.* needs a new name"):
        ingest(world, declare(changes), DAY)
    assert world.lake.paths("loans") == [f"loans/batches/{first.batch}.parquet"]
    assert ingest(world, declare(), DAY).n_records == 1
    with pytest.raises(DataError, match=why):
        asof.read(world, declare(changes), DAY)
    assert keys(world, declare()) == ["a", "b"]


def test_a_rule_that_refused_every_record_can_be_mended(world, declare, table):
    table("a")
    assert ingest(world, declare({"features.income.parse": "number"}), DAY).n_records == 0
    table("b", "2003-06-02")
    assert ingest(world, declare(), DAY).n_records == 1
    assert keys(world, declare()) == ["b"]
