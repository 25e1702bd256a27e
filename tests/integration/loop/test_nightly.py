"""The loop on the simulated book, night after night, on a real Postgres."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from refit.cli import app
from refit.errors import ReleaseError
from refit.loop import asof
from refit.loop.ingest import ingest
from refit.loop.load import load_demo
from refit.loop.monitor import monitor
from refit.loop.nightly import nightly
from refit.loop.release import bundle_folder, catch_up, release, rollback
from refit.loop.retrain import retrain
from refit.loop.status import status
from refit.scoring import bundle as bundles
from tests.integration.loop.conftest import FIRST, LATER

PER_MONTH = 700


@pytest.fixture
def first_night(world):
    load_demo(world, FIRST, months=20, per_month=PER_MONTH)
    return nightly(world, world.usecase("demo"), FIRST)


def test_the_first_night_trains_for_there_is_no_champion(world, first_night):
    told = first_night.to_json()
    assert told["ingested"] > 20 * PER_MONTH * 0.9
    assert told["rejected"] == 0
    assert told["decision"]["action"] == "retrain"
    assert [reason["code"] for reason in told["decision"]["reasons"]] == ["no_champion"]
    assert told["verdict"]["outcome"] == "promote"
    assert told["release"]["version"] == told["model"]
    assert world.ledger.live("demo").version == told["model"]


def test_the_first_night_reports_the_drift_of_the_newest_records_too(world, first_night):
    report = world.ledger.reports("demo", kind="drift")[0]
    assert str(report.id) == first_night.monitored.report_id
    assert b"<html" in world.reports.read(report.path_html)[:2000].lower()
    watched = {column["column"] for column in first_night.to_json()["drift"]["columns"]}
    usecase = world.usecase("demo")
    assert watched == {*usecase.features, *usecase.inputs, *usecase.protected}


@pytest.mark.usefixtures("first_night")
def test_a_second_run_on_the_same_day_takes_in_nothing_and_decides_none(world):
    told = nightly(world, world.usecase("demo"), FIRST).to_json()
    assert (told["ingested"], told["decision"]["action"]) == (0, "none")
    assert told["verdict"] is told["release"] is told["drift"] is None


def test_a_drifted_quarter_comes_as_new_records_and_new_versions_and_is_decided_on_with_reasons(world, first_night):
    load_demo(world, LATER, months=23, per_month=PER_MONTH, drift=True)
    told = nightly(world, world.usecase("demo"), LATER).to_json()
    known = status(world, world.usecase("demo"), LATER)
    new = known.n_records - first_night.ingested.n_records
    assert told["ingested"] > new > 0  # loans that defaulted or were paid back meanwhile came again
    assert told["decision"]["action"] == "retrain"
    assert {"feature_drift", "missing_values"} & {reason["code"] for reason in told["decision"]["reasons"]}
    assert told["verdict"]["outcome"] in {"promote", "refuse"}
    assert told["report"] is not None


@pytest.mark.usefixtures("first_night")
def test_the_lake_shows_of_an_earlier_day_only_what_had_arrived_by_then(world):
    usecase = world.usecase("demo")
    load_demo(world, LATER, months=23, per_month=PER_MONTH)
    before = asof.read(world, usecase, FIRST).frame
    nightly(world, usecase, LATER)
    pd.testing.assert_frame_equal(asof.read(world, usecase, FIRST).frame, before)


def test_a_bundle_predicts_from_records_what_it_predicts_from_the_frame(world, first_night):
    usecase = world.usecase("demo")
    bundle = bundles.load(bundle_folder(world, first_night.retrained.version))
    frame = asof.read(world, usecase, FIRST).frame.tail(300)
    inputs = frame[list(usecase.inputs)].astype(object)
    records = inputs.where(inputs.notna(), None).to_dict("records")
    columns = {name: frame[name].to_numpy() for name in usecase.features}
    np.testing.assert_allclose(bundle.predict(records), bundle.predict_columns(columns), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("first_night")
def test_rollback_brings_the_release_before_back_and_needs_one(world):
    usecase = world.usecase("demo")
    with pytest.raises(ReleaseError, match="no earlier release"):
        rollback(world, usecase, FIRST)
    load_demo(world, LATER, months=23, per_month=PER_MONTH)
    nightly(world, usecase, LATER)
    first, *_ = reversed(world.ledger.releases("demo"))
    if len(world.ledger.releases("demo")) > 1:
        assert rollback(world, usecase, LATER).version == first.version


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


def test_a_challenger_judged_against_another_champion_is_not_released(world, first_night):
    usecase = world.usecase("demo")
    easy = usecase.model_copy(update={"gate": usecase.gate.model_copy(update={"min_gain": -1.0})})
    load_demo(world, LATER, months=23, per_month=PER_MONTH)
    ingest(world, usecase, LATER)
    stale = retrain(world, easy, LATER)
    other = retrain(world, easy.model_copy(update={"seed": 7}), LATER)
    assert (stale.verdict.outcome, other.verdict.outcome) == ("promote", "promote")
    release(world, usecase, other.version, LATER)
    with pytest.raises(ReleaseError, match=f"was judged against {first_night.released.version}"):
        release(world, usecase, stale.version, LATER)
    assert world.ledger.live("demo").version == other.version


def test_refit_monitor_says_what_it_decided_and_where_the_report_lies(world, settings, monkeypatch):
    load_demo(world, FIRST, months=20, per_month=PER_MONTH)
    ingest(world, world.usecase("demo"), FIRST)
    monkeypatch.setenv("REFIT_HOME", str(settings.home))
    monkeypatch.setenv("REFIT_DATABASE_URL", settings.database_url.get_secret_value())
    told = CliRunner().invoke(app, ["monitor", "demo", "--as-of", "2024-03-31"])
    assert told.exit_code == 0, told.output
