import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.scoring.metrics import at_threshold, average_precision, expected_calibration_error, roc_auc
from refit.training.curves import POINTS, calibration, curves, gains, precision_recall, roc, scores, thinned, trade_off
from refit.usecase.policy import Cost

LABEL = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
PROBABILITY = np.array([0.9, 0.8, 0.8, 0.3, 0.1])


@st.composite
def scored(draw):
    n = draw(st.integers(2, 60))
    label = np.array(draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n)))
    label[:2] = 0.0, 1.0
    grid = st.integers(0, 8).map(lambda k: k / 8)  # few values, so that there are ties
    return label, np.array(draw(st.lists(grid | st.floats(0, 1), min_size=n, max_size=n)))


@given(scored())
def test_a_roc_curve_rises_from_corner_to_corner(case):
    curve = roc(*case)
    for axis in ("fpr", "tpr"):
        assert (np.diff(curve[axis]) >= 0).all()
        assert curve[axis][0] == 0
        assert curve[axis][-1] == 1


@given(scored())
def test_the_area_under_the_roc_curve_is_the_metric(case):
    curve = roc(*case)
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(roc_auc(*case), abs=1e-9)


@given(scored())
def test_the_steps_of_precision_and_recall_add_up_to_average_precision(case):
    curve = precision_recall(*case)
    steps = np.diff(curve["recall"], prepend=0.0)
    assert float(steps @ curve["precision"]) == pytest.approx(average_precision(*case), abs=1e-9)


@given(scored())
def test_gains_end_where_all_records_are_and_all_bad_ones_are_found(case):
    curve = gains(*case)
    assert (curve["share"][0], curve["found"][0]) == (0, 0)
    assert (curve["share"][-1], curve["found"][-1]) == (1, 1)
    assert (np.diff(curve["found"]) >= 0).all()


@given(scored(), st.floats(0, 1))
@pytest.mark.slow
def test_every_point_of_the_trade_off_is_what_its_threshold_gives(case, threshold):
    label, probability = case
    found = trade_off(label, probability, threshold, Cost(false_negative=5, false_positive=1))
    assert threshold in found["threshold"]
    assert found["approval_rate"] == sorted(found["approval_rate"])
    assert found["approval_rate"][-1] == 1
    assert len(found["threshold"]) <= POINTS
    for place, cut in enumerate(found["threshold"]):
        there = at_threshold(label, probability, cut)
        for name in ("precision", "recall", "approval_rate", "f1"):
            value = found[name][place]
            assert (np.isnan(getattr(there, name)) and value is None) or value == pytest.approx(
                getattr(there, name), abs=1e-6
            )
        missed = label[probability < cut].sum()
        refused = (1 - label)[probability >= cut].sum()
        assert found["cost"][place] == pytest.approx((5 * missed + refused) / len(label), abs=1e-6)


def test_curves_of_five_records_are_those_computed_by_hand():
    curve = roc(LABEL, PROBABILITY)
    assert curve["tpr"].tolist() == [0, 0.5, 1, 1, 1]
    assert curve["fpr"].tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])
    assert precision_recall(LABEL, PROBABILITY)["precision"].tolist() == pytest.approx([1, 2 / 3, 2 / 4, 2 / 5])
    assert gains(LABEL, PROBABILITY)["share"].tolist() == pytest.approx([0, 0.2, 0.6, 0.8, 1])


def test_calibration_groups_count_every_record_and_mean_the_metric():
    random = np.random.default_rng(3)
    probability = np.round(random.uniform(0, 1, 1000), 2)
    label = (random.uniform(0, 1, 1000) < probability).astype(float)
    groups = calibration(label, probability)
    assert sum(group["n"] for group in groups) == 1000
    gap = sum(group["n"] * abs(group["expected"] - group["seen"]) for group in groups) / 1000
    assert gap == pytest.approx(expected_calibration_error(label, probability), abs=1e-5)
    assert all(group["low"] <= group["seen"] <= group["high"] for group in groups)


def test_score_bins_count_every_record_of_either_outcome():
    random = np.random.default_rng(4)
    probability = random.beta(1, 9, 3000)
    label = (random.uniform(0, 1, 3000) < probability).astype(float)
    found = scores(label, probability)
    assert sum(found["bad"]) == label.sum()
    assert sum(found["good"]) == 3000 - label.sum()
    assert found["edges"] == sorted(found["edges"])
    assert len(found["edges"]) == len(found["bad"]) + 1


def test_a_model_that_says_one_thing_has_curves_all_the_same():
    found = curves(LABEL, np.full(5, 0.4), 0.5)
    assert found["roc"] == {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}
    assert sum(found["scores"]["bad"]) == 2
    assert found["trade_off"]["approval_rate"] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("label", [np.zeros(4), np.empty(0)], ids=["all good", "no record"])
def test_what_is_undefined_is_empty_and_never_nan(label):
    found = curves(label, np.linspace(0.1, 0.9, len(label)), 0.5)
    assert found["roc"] == {"fpr": [], "tpr": []}
    assert found["precision_recall"] == {"recall": [], "precision": []}


def test_a_long_curve_keeps_its_ends_and_its_area():
    random = np.random.default_rng(5)
    probability = random.uniform(0, 1, 20_000)
    label = (random.uniform(0, 1, 20_000) < probability).astype(float)
    thin = thinned(roc(label, probability), ("fpr", "tpr"))
    assert len(thin["fpr"]) <= POINTS
    assert (thin["fpr"][0], thin["tpr"][-1]) == (0, 1)
    assert np.trapezoid(thin["tpr"], thin["fpr"]) == pytest.approx(roc_auc(label, probability), abs=5e-4)
