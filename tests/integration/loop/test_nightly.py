"""A night on the simulated book and a real Postgres: refused, cut off, replayed."""

import pytest
from typer.testing import CliRunner

from refit.cli import app
from refit.errors import ReleaseError
from refit.loop.ingest import ingest
from refit.loop.load import load_demo
from refit.loop.monitor import monitor
from refit.loop.nightly import nightly
from refit.loop.release import catch_up, release
from refit.loop.retrain import retrain
from refit.loop.status import status
from tests.integration.loop.conftest import FIRST, LATER

PER_MONTH = 700


def test_a_bundle_the_gate_refused_is_not_released(world):
    usecase = world.usecase("demo")
    load_demo(world, FIRST, months=20, per_month=PER_MONTH)
    strict = usecase.model_copy(update={"gate": usecase.gate.model_copy(update={"floor": {"roc_auc": 0.999}})})
    night = nightly(world, strict, FIRST)
    assert night.retrained.verdict.outcome == "refuse"
    assert night.released is None
    with pytest.raises(ReleaseError, match="refused"):
        release(world, strict, night.retrained.version, FIRST)


def test_a_night_cut_off_before_the_release_is_caught_up_on_the_next(world):
    usecase = world.usecase("demo")
    load_demo(world, FIRST, months=20, per_month=PER_MONTH)
    ingest(world, usecase, FIRST)
    monitored = monitor(world, usecase, FIRST)
    made = retrain(world, usecase, FIRST, decision_id=monitored.decision_id)
    assert world.ledger.live("demo") is None
    night = nightly(world, usecase, FIRST)
    assert night.released.version == made.version
    assert catch_up(world, usecase, FIRST) is None


def test_a_decision_nobody_carried_out_is_taken_up_by_the_next_night(world):
    usecase = world.usecase("demo")
    load_demo(world, FIRST, months=20, per_month=PER_MONTH)
    ingest(world, usecase, FIRST)
    monitor(world, usecase, FIRST)
    assert len(world.ledger.open_decisions("demo")) == 1
    night = nightly(world, usecase, FIRST)
    assert night.retrained is not None
    assert world.ledger.open_decisions("demo") == []


def test_history_that_was_taken_in_at_once_is_replayed_night_by_night(world):
    usecase = world.usecase("demo")
    load_demo(world, LATER, months=23, per_month=PER_MONTH)
    assert ingest(world, usecase, LATER).n_records > 0
    first = monitor(world, usecase, FIRST)
    later = monitor(world, usecase, LATER)
    assert "nothing_new" not in {reason.code for reason in (*first.decision.reasons, *later.decision.reasons)}
    assert later.n_reference > first.n_reference
    assert status(world, usecase, FIRST).last_decision["as_of"] == FIRST.isoformat()


def test_refit_monitor_says_what_it_decided_and_where_the_report_lies(world, settings, monkeypatch):
    load_demo(world, FIRST, months=20, per_month=PER_MONTH)
    ingest(world, world.usecase("demo"), FIRST)
    monkeypatch.setenv("REFIT_HOME", str(settings.home))
    monkeypatch.setenv("REFIT_DATABASE_URL", settings.database_url.get_secret_value())
    told = CliRunner().invoke(app, ["monitor", "demo", "--as-of", "2024-03-31"])
    assert told.exit_code == 0, told.output
