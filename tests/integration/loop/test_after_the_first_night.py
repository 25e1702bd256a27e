"""The nights that follow the first one, on the simulated book and a real Postgres."""

import numpy as np
import pandas as pd
import pytest

from refit.errors import ReleaseError
from refit.loop import asof
from refit.loop.ingest import ingest
from refit.loop.load import load_demo
from refit.loop.nightly import Night, nightly
from refit.loop.release import bundle_folder, release, rollback
from refit.loop.retrain import retrain
from refit.loop.status import status
from refit.scoring import bundle as bundles
from tests.integration.loop.conftest import FIRST, LATER

PER_MONTH = 700


@pytest.fixture(scope="module")
def past(remembered):
    def first(world) -> Night:
        load_demo(world, FIRST, months=20, per_month=PER_MONTH)
        return nightly(world, world.usecase("demo"), FIRST)

    return remembered(first)


@pytest.fixture
def settings(past, copied):
    return copied(past)


@pytest.fixture
def first_night(past) -> Night:
    return past.told


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


def test_rollback_brings_the_release_before_back_and_needs_one(world):
    usecase = world.usecase("demo")
    with pytest.raises(ReleaseError, match="no earlier release"):
        rollback(world, usecase, FIRST)
    load_demo(world, LATER, months=23, per_month=PER_MONTH)
    nightly(world, usecase, LATER)
    first, *_ = reversed(world.ledger.releases("demo"))
    if len(world.ledger.releases("demo")) > 1:
        assert rollback(world, usecase, LATER).version == first.version


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
