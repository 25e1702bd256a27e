import dataclasses
import json
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from refit.monitoring.profile import profile
from refit.scoring.bundle import Bundle, named
from refit.scoring.calibration import Calibrator, ClassCalibrator, logit
from refit.scoring.encoder import Encoder
from refit.scoring.explain import along, explain, typical
from refit.scoring.points import band, points
from refit.training.learners.registry import LEARNERS
from refit.training.parallel import silenced
from tests.unit.scoring.learners import fitted
from tests.unit.training.book import as_inputs, book, usecase

CASE = usecase(score={"base": 600, "base_odds": 50, "to_double": 20, "bands": {"A": 560, "B": 500}})
FRAME = book(800)
COLUMNS = {name: FRAME[name].to_numpy() for name in CASE.features}
RECORDS = [as_inputs(row, CASE) for row in FRAME.head(60).to_dict("records")]
RECORDS[0] |= {"sector": "9911", "jobs": None}
RISK = (FRAME["sector"] == "22").to_numpy(float) + (FRAME["state"] == "NY") - FRAME["covered_share"].fillna(0.5)
LABEL = (np.random.default_rng(1).random(len(FRAME)) < 1 / (1 + np.exp(-1.5 * RISK))).astype(float).to_numpy()
CALIBRATORS = {
    "platt": Calibrator("platt", (), (0.9, -0.4)),
    "isotonic": Calibrator("isotonic", (0.0, 0.2, 0.35, 0.6, 1.0), (0.01, 0.1, 0.4, 0.45, 0.9)),
    "flat": Calibrator("platt", (), (0.0, -1.0)),
}
THREE = ("never", "late", "gone")


def made(learner: str, calibrator=CALIBRATORS["platt"], case=CASE, label=LABEL) -> Bundle:
    encoder = Encoder.fit(COLUMNS, CASE)
    with silenced():
        model = fitted(learner, encoder.encode(COLUMNS), label, encoder, n_classes=len(case.classes or (0, 1))).model
    return named(
        Bundle(
            usecase=case,
            version="",
            as_of=datetime(2003, 6, 30, tzinfo=UTC),
            learner=learner,
            model=model,
            encoder=encoder,
            calibrator=calibrator,
            threshold=0.25,
            profile=profile(FRAME, case).to_json(),
            card={"window": {"start": "1998-07-01T00:00:00+00:00", "end": "2002-06-30T00:00:00+00:00"}},
        )
    )


def total(explanation) -> float:
    return explanation.baseline + sum(part.contribution for part in explanation.contributions)


@pytest.fixture(scope="module", params=sorted(LEARNERS))
def bundle(request):
    return made(request.param)


@pytest.mark.parametrize("kind", CALIBRATORS)
@pytest.mark.slow
def test_baseline_and_contributions_add_up_to_the_calibrated_log_odds(bundle, kind):
    calibrated = dataclasses.replace(bundle, calibrator=CALIBRATORS[kind])
    for record in RECORDS[:20]:
        told = explain(calibrated, record)
        assert told.probability == calibrated.predict([record])[0]
        assert total(told) == pytest.approx(logit(np.array(told.probability)), abs=1e-4)


def test_points_add_up_and_fit_the_probability(bundle):
    for record in RECORDS[:10]:
        told = explain(bundle, record)
        assert told.points == pytest.approx(points(told.probability, CASE.score))
        assert told.baseline_points + sum(p.points for p in told.contributions) == pytest.approx(told.points, abs=1e-2)
        assert told.band == band(told.points, CASE.score)
        assert all(np.sign(part.points) == -np.sign(part.contribution) for part in told.contributions)


def test_every_feature_stands_once_the_largest_first(bundle):
    told = explain(bundle, RECORDS[1])
    assert sorted(part.feature for part in told.contributions) == sorted(CASE.features)
    sizes = [abs(part.contribution) for part in told.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_only_what_counts_against_a_record_is_a_reason(bundle):
    for record in RECORDS[:10]:
        told = explain(bundle, record)
        assert all((part.reason is not None) == (part.contribution > 0) for part in told.contributions)
        strongest = [part.reason for part in told.contributions if part.contribution > 0]
        assert list(told.reasons()) == strongest[:4]
        assert told.reasons(1) == tuple(strongest[:1])


def test_taking_every_contribution_away_leaves_the_typical_records_score(bundle):
    told = explain(bundle, RECORDS[2])
    if "typical" not in told.against:
        pytest.skip(f"against {told.against}")
    raw = bundle.model.probability(typical(bundle)[None, :])
    assert told.baseline == pytest.approx(logit(bundle.calibrator.apply(raw))[0], abs=1e-4)


def test_the_same_record_is_told_the_same_again(bundle):
    assert explain(bundle, RECORDS[3]) == explain(bundle, RECORDS[3])


def test_it_is_plain_json(bundle):
    told = explain(bundle, RECORDS[0])
    plain = json.loads(json.dumps(told.to_json(), allow_nan=False))
    assert plain["reasons"] == list(told.reasons())
    assert plain["contributions"][0] == dataclasses.asdict(told.contributions[0])
    assert plain["points"] == told.points


def test_a_reason_is_in_the_words_of_the_file_or_made_from_title_value_and_unit():
    features = {name: feature.model_dump(by_alias=True) for name, feature in CASE.features.items()}
    features["sector"] |= {"reason": "Your line of business fails often"}
    features["state"] |= {"title": "State"}
    features["amount"] |= {"title": "Amount asked", "unit": "USD"}
    told = [explain(made("xgboost", case=usecase(features=features)), record) for record in RECORDS]
    reasons = {p.feature: (p.reason, p.value) for one in told for p in one.contributions if p.reason is not None}
    assert reasons["sector"][0] == "Your line of business fails often"
    assert reasons["state"][0] == f"State: {reasons['state'][1]} counts against"
    assert reasons["amount"][0] == f"Amount asked: {reasons['amount'][1]:,.6g} USD counts against"
    unknown = [p.reason for one in told for p in one.contributions if p.feature == "jobs" and p.value is None]
    assert "jobs: not known, which counts against" in unknown


def test_the_words_of_the_file_are_not_said_of_a_value_that_is_not_known():
    words = {"jobs": "Number of jobs is low", "covered_share": "Share covered is low", "sector": "A risky sector"}
    features = {name: feature.model_dump(by_alias=True) for name, feature in CASE.features.items()}
    for name, reason in words.items():
        features[name] |= {"reason": reason, "title": f"The {name}"}
    bundle = made("xgboost", case=usecase(features=features))
    unknown = dict.fromkeys(("jobs", "covered", "sector"))  # without `covered` the share cannot be worked out
    known = [part for record in RECORDS for part in explain(bundle, record).contributions if part.value is not None]
    missing = [part for record in RECORDS for part in explain(bundle, record | unknown).contributions]
    for name, reason in words.items():
        said = {part.reason for part in known if part.feature == name} - {None}
        assert said == {reason}
        said = {part.reason for part in missing if part.feature == name} - {None}
        assert said <= {f"The {name}: not known, which counts against"}
    assert {part.feature for part in missing if part.reason is not None} & set(words)


def test_values_are_shown_as_the_model_reads_them():
    told = {part.feature: part.value for part in explain(made("xgboost"), RECORDS[0]).contributions}
    assert told["sector"] == "99"  # cut to two by its parse rule, and never seen in training
    assert told["jobs"] is None
    assert told["amount"] == RECORDS[0]["amount"]
    assert told["covered_share"] == pytest.approx(RECORDS[0]["covered"] / RECORDS[0]["amount"], rel=1e-6)


def test_the_typical_record_is_of_medians_and_commonest_categories():
    bundle = made("xgboost")
    record = dict(zip(bundle.encoder.features, typical(bundle), strict=True))
    assert record["amount"] == pytest.approx(FRAME["amount"].quantile(interpolation="lower"), rel=0.01)
    assert record["state"] == bundle.encoder.vocabularies["state"].index("TX") + 1


def test_a_bundle_whose_profile_tells_nothing_is_explained_against_the_unknown():
    bare = dataclasses.replace(made("logistic_regression"), profile={"n_records": 800})
    assert np.isnan(typical(bare)).all()
    assert total(explain(bare, RECORDS[1])) == pytest.approx(logit(bare.predict([RECORDS[1]]))[0], abs=1e-4)


@pytest.mark.slow
def test_the_chosen_class_of_several_is_explained_without_points():
    case = usecase(
        task="multiclass",
        label={"name": "outcome", "column": "status", "classes": list(THREE)},
        event_time={"column": "day"},
    )
    label = np.digitize(RISK + np.random.default_rng(4).normal(size=len(FRAME)), [-0.5, 0.5]).astype(float)
    for learner in sorted(LEARNERS):
        if learner == "scorecard":
            continue
        for calibrator in (ClassCalibrator("identity"), ClassCalibrator("temperature", (), ((0.7,),))):
            bundle = made(learner, calibrator, case, label)
            for record in RECORDS[:5]:
                told, answered = explain(bundle, record), bundle.predict([record])[0]
                assert (told.chosen, told.probability) == (bundle.choice(answered), answered.max())
                assert total(told) == pytest.approx(logit(answered.max()), abs=1e-4)
                assert (told.points, told.band, told.baseline_points) == (None, None, None)
                assert all(reason.endswith(f"speaks for {told.chosen}") for reason in told.reasons())


def test_the_mean_slope_along_a_way_brings_from_one_end_to_the_other():
    start, end = np.array([0.2, -1.0, 0.4]), np.array([1.5, 0.3, -0.7])

    def answer(points):
        return np.sin(points[:, 0]) * points[:, 1] + points[:, 2] ** 2

    slopes = along(answer, start, end)
    assert slopes @ (end - start) == pytest.approx(np.diff(answer(np.vstack([start, end])))[0], abs=1e-3)


@pytest.mark.parametrize(("learner", "at_most"), [("xgboost", 0.25), ("logistic_regression", 0.5)])
def test_one_record_is_explained_while_an_analyst_looks(learner, at_most):
    bundle = made(learner)
    explain(bundle, RECORDS[1])
    seconds = []
    for record in RECORDS[:9]:
        start = time.perf_counter()
        explain(bundle, record)
        seconds.append(time.perf_counter() - start)
    assert sorted(seconds)[4] < at_most
