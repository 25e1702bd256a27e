"""A use case that nobody has loaded, on real stores: its flows have nothing to do, and nobody is alarmed."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
import yaml
from prefect.logging import disable_run_logger

from flows import nightly as nights
from flows import retrain as retrains
from flows import steps
from flows.artifacts_summary import summary
from flows.nightly import nightly
from flows.retrain import retrain
from refit.console.metrics import exposition
from refit.errors import ContractError
from refit.loop.doctor import LATE, examine
from refit.loop.ingest import ingest
from refit.loop.wiring import now, open_world
from refit.settings import Settings
from tests.integration.conftest import run
from tests.unit.usecase.declared import content

DAY = date(2003, 6, 30)
TABLE = (
    "CREATE SCHEMA source; CREATE TABLE source.loans (id text, changed_at timestamptz, asked_on date,"
    " amount float8, income text, region text, purpose text, sex text, lost_on date)"
)
LOAN = "INSERT INTO source.loans VALUES ('a', '2003-06-01', '2003-01-01', 10, '$100', 'north', 'car', 'f', NULL)"


@pytest.fixture
def sql(database_url) -> Callable[[str], list[tuple]]:
    return lambda statement: run(database_url, statement)


@pytest.fixture
def world(database_url, tmp_path, monkeypatch):
    """The stores of a use case `loans` without a table, which the flows find too."""
    (tmp_path / "usecases").mkdir()
    (tmp_path / "usecases" / "loans.yaml").write_text(yaml.safe_dump(content()))
    given = {"HOME": tmp_path / "home", "DATABASE_URL": database_url, "USECASES": tmp_path / "usecases"}
    for name, value in given.items():
        monkeypatch.setenv(f"REFIT_{name}", str(value))
    with open_world(Settings.read()) as world:
        world.settings.folder.mkdir(exist_ok=True)
        yield world


@pytest.fixture
def told(world, monkeypatch):  # noqa: ARG001 - the stores that the steps open for themselves
    """Run the steps without a Prefect server; keep the summaries and the alerts."""
    summaries, alerts = [], []
    names = ("nothing_yet", "nothing_to_learn", "catch_up", "ingest", "monitor", "retrain", "release", "record")
    for name in names:
        monkeypatch.setattr(steps, name, getattr(steps, name).fn)
    monkeypatch.setattr(steps, "send", lambda _settings, alert: alerts.append(alert))
    for module in (nights, retrains):
        monkeypatch.setattr(module, "leave_summary", lambda account: summaries.append(summary(account)))
    with disable_run_logger():
        yield summaries, alerts


def gauges(world) -> list[str]:
    lines = exposition(world.ledger, ["loans"], now()).decode().splitlines()
    return [line for line in lines if line.startswith("refit_last_night_success{")]


def seen_of(world, part, at=None) -> str:
    found = {finding.part: finding for finding in examine(world, [world.usecase("loans")], at or now())}
    return found[f"loans: {part}"].state


def nights_of(world, at=None) -> str:
    return seen_of(world, "nights", at)


def test_a_night_without_a_table_says_so_and_leaves_nothing_that_alarms(world, told):
    summaries, alerts = told
    assert nightly.fn("loans", DAY) == "none"
    assert "there is no table source.loans yet" in summaries[0]
    assert alerts == []
    assert world.ledger.runs("loans") == []
    assert world.ledger.decisions("loans") == []
    assert gauges(world) == []
    assert (nights_of(world), seen_of(world, "source")) == ("ok", "warning")


def test_a_weekly_retrain_without_a_table_says_so(told):
    summaries, _ = told
    assert retrain.fn("loans") == "none"
    assert "there is no table source.loans yet" in summaries[0]


def test_a_weekly_retrain_before_the_first_night_says_what_it_waits_for(told, sql):
    summaries, _ = told
    sql(TABLE)
    assert retrain.fn("loans") == "none"
    assert "nothing of source.loans was taken in yet" in summaries[0]


@pytest.mark.usefixtures("told")
def test_a_night_that_failed_before_does_not_stand_as_the_last_one_for_ever(world, sql):
    sql("CREATE SCHEMA source; CREATE TABLE source.loans (id text)")
    with pytest.raises(ContractError, match="has no column"):
        nightly.fn("loans", DAY)
    assert (gauges(world), nights_of(world)) == (['refit_last_night_success{use_case="loans"} 0.0'], "wrong")
    sql("DROP TABLE source.loans")
    assert nightly.fn("loans", DAY) == "none"
    assert (gauges(world), nights_of(world)) == (['refit_last_night_success{use_case="loans"} 1.0'], "ok")
    assert nights_of(world, now() + LATE + timedelta(minutes=1)) == "warning"
    assert nightly.fn("loans", DAY) == "none"
    assert len(world.ledger.runs("loans", kind="nightly")) == 3


@pytest.mark.usefixtures("told")
def test_a_table_that_was_read_before_and_is_gone_still_fails_the_night(world, sql):
    sql(TABLE)
    sql(LOAN)
    ingest(world, world.usecase("loans"), now())
    sql("DROP TABLE source.loans")
    assert seen_of(world, "source") == "wrong"
    with pytest.raises(ContractError, match=r"no table source\.loans"):
        nightly.fn("loans", DAY)
    assert [row.outcome for row in world.ledger.runs("loans", kind="nightly")] == ["failed"]
    assert nights_of(world) == "wrong"
