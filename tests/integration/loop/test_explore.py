"""The portfolio report on the simulated book, on a real Postgres, before any model exists."""

import json
from datetime import UTC, datetime

import pytest

from refit.errors import DataError
from refit.loop.explore import explore
from refit.loop.ingest import ingest
from refit.loop.load import load_demo
from tests.integration.loop.conftest import FIRST

YOUNG = datetime(2022, 10, 31, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def lake(world):
    load_demo(world, FIRST, months=20, per_month=300)
    ingest(world, world.usecase("demo"), FIRST)
    return world


def test_the_report_is_kept_where_the_console_lists_it(lake):
    usecase, told = lake.usecase("demo"), []
    found = explore(lake, usecase, FIRST, progress=lambda text, _: told.append(text))
    (row,) = lake.ledger.reports("demo")
    assert (str(row.id), row.kind, row.as_of) == (found.report_id, "portfolio", FIRST)
    assert row.title == f"{usecase.title}: portfolio as of 2024-03-31"
    text = lake.reports.read(row.path_html).decode()
    assert text.startswith("<!doctype html>")
    assert usecase.title in text
    content = json.loads(lake.reports.read(row.path_json))
    assert content["records"]["n"] == found.n_records > 5000
    assert content["records"]["known"] == found.n_known > 0
    assert found.path.endswith(row.path_html)
    assert told[0] == "Reading the records"
    assert told[-1] == "Drawing"


def test_the_same_day_gives_the_same_report(lake):
    usecase = lake.usecase("demo")
    explore(lake, usecase, FIRST)
    explore(lake, usecase, FIRST)
    first, second = (lake.reports.read(row.path_html) for row in lake.ledger.reports("demo"))
    assert first == second


def test_an_earlier_day_sees_no_later_outcome(lake):
    usecase = lake.usecase("demo")
    young = explore(lake, usecase, YOUNG)
    assert young.n_records < 1500
    assert young.n_known == 0
    assert "no outcome is known for good yet" in young.findings[0]


def test_an_empty_lake_says_to_load_and_ingest(world):
    with pytest.raises(DataError, match="demo: no records at 2024-03-31; load and ingest some first"):
        explore(world, world.usecase("demo"), FIRST)
    assert world.ledger.reports("demo") == []
