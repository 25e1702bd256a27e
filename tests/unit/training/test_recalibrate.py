from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import threadpoolctl  # type: ignore[import-untyped] # it has no types

from refit.errors import DataError
from refit.gate.judge import judge
from refit.scoring import bundle as bundles
from refit.scoring.metrics import log_loss
from refit.training.learners import boosting
from refit.training.recalibrate import recalibrate
from refit.training.train import train
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

EARLIER = datetime(2001, 12, 31, tzinfo=UTC)
ALL = book(6000, signal=3.0)
FEATURES = usecase().model_dump(by_alias=True)["features"]


def as_known(day, every=ALL):
    """Return the book as it was known on a day; of loans since 2001 far more fail."""
    moment = pd.Timestamp(day)
    frame = every[every["_event_time"] <= moment].copy()
    frame["_ripe"] = frame["_event_time"] + pd.DateOffset(months=12) <= moment
    worse = (frame["_event_time"] >= "2001-01-01") & (np.random.default_rng(2).random(len(frame)) < 0.2)
    frame["_label"] = frame["_label"].where(~worse, 1.0).where(frame["_ripe"])
    return frame


@pytest.fixture(scope="module")
def champion():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(boosting.DEFAULTS, "trees", 40)
        return train(as_known(EARLIER), usecase(), EARLIER, **MADE_WITH).bundle


@pytest.fixture(scope="module")
def renewed(champion):
    return recalibrate(champion, as_known(AS_OF), usecase(), AS_OF, **MADE_WITH)


def columns(frame):
    return {name: frame[name].to_numpy() for name in usecase().features}


def test_the_model_stays_and_what_its_probabilities_say_is_put_right(champion, renewed):
    assert renewed.bundle.model.to_bytes() == champion.model.to_bytes()
    assert renewed.bundle.encoder == champion.encoder
    label = renewed.test["_label"].to_numpy()
    before = champion.predict_columns(columns(renewed.test))
    assert abs(renewed.probability.mean() - label.mean()) < abs(before.mean() - label.mean()) / 2
    assert log_loss(label, renewed.probability) < log_loss(label, before)


def test_only_records_matured_since_are_used_the_older_to_calibrate_the_newest_to_test(champion, renewed):
    parts = renewed.bundle.card["parts"]
    assert pd.Timestamp(parts["calibration"]["start"]) > pd.Timestamp(champion.window_end)
    assert parts["calibration"]["end"] <= parts["test"]["start"]
    assert parts["fit"] == champion.card["parts"]["fit"]
    assert renewed.bundle.window_end == renewed.test["_event_time"].max()


def test_it_is_a_bundle_of_its_own_that_says_where_it_comes_from(champion, renewed, tmp_path):
    assert renewed.bundle.version != champion.version
    assert any(champion.version in note for note in renewed.bundle.card["notes"])
    bundles.save(renewed.bundle, tmp_path / "bundle")
    again = bundles.load(tmp_path / "bundle")
    golden = renewed.bundle.golden
    assert again.predict([record.inputs for record in golden]).tolist() == [record.probability for record in golden]


def test_it_passes_the_gate_by_log_loss_since_ranks_are_the_same(champion, renewed):
    verdict = judge(
        usecase(gate={"floor": {"roc_auc": 0.55}, "calibration_error_max": 0.1}),
        renewed.test["_label"].to_numpy(),
        renewed.probability,
        champion.predict_columns(columns(renewed.test)),
        threshold=renewed.bundle.threshold,
        seed=20,
    )
    gain = next(check for check in verdict.checks if check.name == "gain")
    assert gain.outcome == "pass"
    assert "same order" in gain.why
    assert verdict.outcome == "promote"


def test_too_little_that_is_new_is_refused_with_its_number(champion):
    with pytest.raises(DataError, match=r"0 records have matured since those of book-20011231"):
        recalibrate(champion, as_known(EARLIER), usecase(), EARLIER, **MADE_WITH)


AT_RANDOM = usecase(split={"by": "random"})


@pytest.fixture(scope="module")
def at_random():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(boosting.DEFAULTS, "trees", 50)
        case = usecase(split={"by": "random"}, search={"trials": 3}, learners=["xgboost"])
        return train(as_known(EARLIER), case, EARLIER, **MADE_WITH)


@pytest.mark.slow
def test_at_random_no_record_a_champion_learned_from_calibrates_or_tests_it_later(at_random):
    renewed = recalibrate(at_random.bundle, as_known(AS_OF), AT_RANDOM, AS_OF, **MADE_WITH)
    learnt = set(at_random.matured["_key"].iloc[at_random.parts.before_test])
    used = renewed.matured.iloc[renewed.parts.used]
    assert not learnt & set(used["_key"])
    assert (used["_event_time"] > at_random.bundle.window_end).all()
    assert renewed.bundle.model.to_bytes() == at_random.bundle.model.to_bytes()
    assert renewed.bundle.card["search"] == at_random.bundle.card["search"]


@pytest.mark.slow
def test_at_random_a_later_challenger_tests_on_nothing_its_champion_learned_from(at_random):
    later = train(as_known(AS_OF), AT_RANDOM, AS_OF, **MADE_WITH)
    learnt = set(at_random.matured["_key"].iloc[at_random.parts.before_test])
    tested = set(later.test["_key"])
    assert set(at_random.test["_key"]) <= tested
    assert not learnt & tested


@pytest.mark.slow
def test_at_random_too_little_that_is_new_is_refused_with_its_number(at_random):
    with pytest.raises(DataError, match="0 records have matured since"):
        recalibrate(at_random.bundle, as_known(EARLIER), AT_RANDOM, EARLIER, **MADE_WITH)


def test_at_random_what_had_arrived_before_the_training_and_matured_since_counts_as_new(at_random):
    day = datetime(2002, 9, 30, tzinfo=UTC)
    frame = as_known(day)
    renewed = recalibrate(at_random.bundle, frame, AT_RANDOM, day, **MADE_WITH)
    used = renewed.matured.iloc[renewed.parts.used]
    assert (used["_arrived_at"] <= EARLIER).all()
    seen_by_monitoring = frame["_ripe"] & (frame["_event_time"] > at_random.bundle.window_end)
    assert len(used) == seen_by_monitoring.sum()
    assert not set(at_random.matured["_key"].iloc[at_random.parts.used]) & set(used["_key"])


def test_without_a_date_only_what_first_arrived_since_calibrates():
    label = {"name": "l", "column": "l", "bad": ["x"], "good": ["y"]}
    case = usecase(event_time=None, label=label, split={"by": "random"}, learners=["logistic_regression"])
    loaded, later = (pd.Timestamp(day, tz="UTC").as_unit("us") for day in ("2003-01-01", "2003-03-01"))
    ripe = ALL[ALL["_ripe"]].iloc[:2400]
    old = ripe[:1200].assign(_event_time=loaded, _arrived_at=loaded, _first_arrived_at=loaded)
    made = train(old, case, datetime(2003, 1, 2, tzinfo=UTC), **MADE_WITH)
    corrected = old.assign(_event_time=later, _arrived_at=later)
    with pytest.raises(DataError, match="0 records have arrived and matured since"):
        recalibrate(made.bundle, corrected, case, AS_OF, **MADE_WITH)
    new = ripe[1200:].assign(_event_time=later, _arrived_at=later, _first_arrived_at=later)
    renewed = recalibrate(made.bundle, pd.concat([corrected, new], ignore_index=True), case, AS_OF, **MADE_WITH)
    assert set(renewed.matured["_key"].iloc[renewed.parts.used]) == set(new["_key"])


def test_the_threshold_follows_what_is_decided_by_now_and_the_model_reads_on_as_it_did(champion):
    approve = {"metric": "log_loss", "decide": {"approval_rate": 0.8}}
    left = {name: feature for name, feature in FEATURES.items() if name != "zip"}
    today = usecase(
        objective=approve, score={"base": 500}, features=left, seed=4, gate={"segments": ["sector"]}, protected=["age"]
    )
    frame = as_known(AS_OF).assign(age="30-39")
    renewed = recalibrate(champion, frame, today, AS_OF, **MADE_WITH).bundle
    own = renewed.usecase
    assert (own.objective, own.score, own.gate, own.protected) == (
        today.objective, today.score, today.gate, today.protected
    )  # fmt: skip
    assert (own.features, own.seed, own.split) == (champion.usecase.features, champion.usecase.seed, today.split)
    assert renewed.card["decide"] == {"approval_rate": 0.8}
    assert renewed.card["at_threshold"]["approval_rate"] == pytest.approx(0.8, abs=0.05)
    assert renewed.card["candidates"][0]["metric"] == "log_loss"
    assert bundles.from_files(bundles.to_files(renewed)).usecase == own


def test_a_segment_the_model_does_not_read_is_for_the_gate_alone(champion):
    features = {**FEATURES, "branch": {"type": "category"}}
    today = usecase(features=features, gate={"segments": ["branch", "state"]})
    frame = as_known(AS_OF).assign(branch=pd.Categorical(["b"] * len(as_known(AS_OF))))
    renewed = recalibrate(champion, frame, today, AS_OF, **MADE_WITH).bundle
    assert renewed.usecase.gate.segments == ("state",)


def test_a_model_that_reads_what_is_barred_by_now_is_to_be_retrained(champion):
    left = {name: feature for name, feature in FEATURES.items() if name != "zip"}
    with pytest.raises(DataError, match=r"zip: protected, so no feature may read it\); retrain it instead"):
        recalibrate(champion, as_known(AS_OF), usecase(features=left, protected=["zip"]), AS_OF, **MADE_WITH)


def test_a_model_that_tells_other_classes_apart_is_to_be_retrained(champion):
    label = {"name": "segment", "column": "segment", "classes": ["A", "B", "C"]}
    today = usecase(task="multiclass", label=label)
    with pytest.raises(DataError, match=r"tells apart good, bad, in this order, .* names A, B, C by now; retrain it"):
        recalibrate(champion, as_known(AS_OF), today, AS_OF, **MADE_WITH)


@pytest.mark.slow
def test_the_number_of_cores_changes_no_byte_of_what_is_recalibrated():
    case = usecase(learners=["decision_tree"], split={"by": "random", "test_share": 0.85})
    many = book(48_000)  # OpenBLAS divides a sum over more than 10,000 test records among its threads
    made = train(as_known(EARLIER, many), case, EARLIER, **MADE_WITH).bundle
    found = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            done = recalibrate(made, as_known(AS_OF, many), case, AS_OF, **MADE_WITH)
        found.append(bundles.to_files(done.bundle))
    assert len(done.test) > 10_000
    assert found[0] == found[1]
