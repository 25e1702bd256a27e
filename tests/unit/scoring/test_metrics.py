import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from refit.scoring import metrics
from refit.scoring.intervals import intervals, metric_interval, paired, statistics

CASES = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.05, 0.1, 0.1, 0.3, 0.5, 0.9])), min_size=2, max_size=60
).filter(lambda rows: len({label for label, _ in rows}) == 2)


def columns(rows):
    label, probability = zip(*rows, strict=True)
    return np.array(label), np.array(probability)


@given(CASES)
def test_metrics_agree_with_scikit_learn_ties_included(rows):
    label, p = columns(rows)
    assert metrics.roc_auc(label, p) == pytest.approx(reference.roc_auc_score(label, p))
    assert metrics.average_precision(label, p) == pytest.approx(reference.average_precision_score(label, p))
    assert metrics.log_loss(label, p) == pytest.approx(reference.log_loss(label, p))
    assert metrics.brier(label, p) == pytest.approx(reference.brier_score_loss(label, p))


@given(CASES, st.sampled_from([0.0, 0.1, 0.4, 1.0]))
def test_a_weighted_statistic_with_weights_of_one_is_the_metric(rows, threshold):
    label, p = columns(rows)
    seen = {name: value(np.ones(len(label))) for name, value in statistics(label, p, threshold).items()}
    at = metrics.at_threshold(label, p, threshold)
    for name in ("roc_auc", "average_precision", "log_loss", "brier", "accuracy"):
        assert seen[name] == pytest.approx(metrics.evaluate(name, label, p, threshold))
    assert seen["expected_calibration_error"] == pytest.approx(metrics.expected_calibration_error(label, p))
    for name in ("precision", "recall", "approval_rate"):
        assert seen[name] == pytest.approx(getattr(at, name), nan_ok=True)


@given(CASES, st.integers(0, 2**32))
def test_a_weight_counts_a_record_as_often_as_it_says(rows, seed):
    label, p = columns(rows)
    weights = np.random.default_rng(seed).integers(0, 4, len(label))
    repeated = statistics(np.repeat(label, weights), np.repeat(p, weights), 0.3)
    for name, value in statistics(label, p, 0.3).items():
        if name != "expected_calibration_error":  # its bins are those of the records as they are
            expected = repeated[name](np.ones(int(weights.sum())))
            assert value(weights.astype(float)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("name", [*metrics.METRICS, "expected_calibration_error"])
def test_without_records_every_metric_is_undefined(name):
    none = np.empty(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = getattr(metrics, name)(none, none)
        interval = metric_interval(name, none, none, seed=1)
    assert math.isnan(value)
    assert math.isnan(interval.low)


def test_the_auc_of_one_class_is_undefined():
    assert math.isnan(metrics.roc_auc(np.ones(3), np.array([0.1, 0.2, 0.3])))
    assert math.isnan(metrics.average_precision(np.zeros(3), np.array([0.1, 0.2, 0.3])))


def test_equal_probabilities_share_a_calibration_bin_whatever_their_order():
    label = np.array([0.0] * 50 + [1.0] * 50)
    assert metrics.expected_calibration_error(label, np.full(100, 0.5)) == 0.0


def test_calibration_bins_hold_as_many_records_each_where_there_are_no_ties():
    bins = metrics.equal_count_bins(np.random.default_rng(1).permutation(100) / 100)
    assert np.bincount(bins).tolist() == [10] * 10


def test_calibration_error_is_the_gap_weighted_by_records():
    p = np.repeat([0.1, 0.9], 50)
    label = np.concatenate([np.repeat([0.0, 1.0], [40, 10]), np.repeat([0.0, 1.0], [5, 45])])
    assert metrics.expected_calibration_error(label, p) == pytest.approx(0.05)


def test_precision_is_undefined_where_none_is_declined():
    at = metrics.at_threshold(np.array([0.0, 1.0]), np.array([0.1, 0.2]), 0.9)
    assert math.isnan(at.precision)
    assert (at.recall, at.approval_rate) == (0.0, 1.0)


def test_a_record_on_the_threshold_is_declined():
    assert metrics.at_threshold(np.array([1.0]), np.array([0.3]), 0.3).recall == 1.0


def test_the_same_seed_gives_the_same_interval_and_it_holds_the_value():
    random = np.random.default_rng(3)
    p = random.beta(2, 8, 800)
    label = (random.random(800) < p).astype(float)
    first, second = (intervals(label, p, 0.2, seed=5) for _ in range(2))
    assert first == second
    for name, interval in first.items():
        assert interval.low < interval.high, name
        if name != "expected_calibration_error":  # biased upward by its nature: chance adds to a sum of absolute gaps
            assert interval.low < interval.value < interval.high, name


def test_the_interval_of_the_auc_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(11)
    truth, covered = 0.7602499, 0  # Phi(1 / sqrt 2), for two normals one standard deviation apart
    for draw in range(60):
        label = (random.random(300) < 0.3).astype(float)
        interval = metric_interval("roc_auc", label, random.normal(label), seed=draw, draws=200)
        covered += interval.low <= truth <= interval.high
    assert covered >= 52


def test_a_pair_of_equals_differs_by_nothing():
    label = np.array([0.0, 1.0] * 20)
    value = statistics(label, np.linspace(0, 1, 40))["roc_auc"]
    assert paired(value, value, 40, seed=1).to_json() == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_an_undefined_interval_is_null_in_json():
    interval = metric_interval("roc_auc", np.zeros(5), np.linspace(0, 1, 5), seed=1)
    assert interval.to_json() == {"value": None, "low": None, "high": None}


CLASSES = st.lists(
    st.tuples(st.integers(0, 2), st.tuples(*[st.sampled_from([0.1, 0.2, 0.4, 0.4, 0.9])] * 3)), min_size=3, max_size=40
).filter(lambda rows: len({label for label, _ in rows}) == 3)


def of_classes(rows):
    label, probability = columns(rows)
    return label.astype(float), probability / probability.sum(axis=1, keepdims=True)


@given(CLASSES)
def test_metrics_of_several_classes_agree_with_scikit_learn(rows):
    label, p = of_classes(rows)
    hot = np.eye(3)[label.astype(int)]
    auc = reference.roc_auc_score(label, p, multi_class="ovr", average="macro")
    assert metrics.evaluate("roc_auc", label, p) == pytest.approx(auc)
    assert metrics.evaluate("average_precision", label, p) == pytest.approx(
        reference.average_precision_score(hot, p, average="macro")
    )
    assert metrics.evaluate("log_loss", label, p) == pytest.approx(reference.log_loss(label, p))
    assert metrics.evaluate("brier", label, p) == pytest.approx(reference.brier_score_loss(label, p))
    assert metrics.evaluate("accuracy", label, p) == pytest.approx(np.mean(p.argmax(axis=1) == label))


@given(CLASSES)
def test_a_statistic_of_classes_with_weights_of_one_is_the_metric(rows):
    label, p = of_classes(rows)
    for name, value in statistics(label, p).items():
        assert value(np.ones(len(label))) == pytest.approx(metrics.evaluate(name, label, p)), name


def test_a_class_that_does_not_come_leaves_ranks_undefined_and_the_rest_not():
    label, p = np.array([0.0, 1.0, 0.0, 1.0]), np.full((4, 3), 1 / 3)
    assert math.isnan(metrics.evaluate("roc_auc", label, p))
    assert metrics.evaluate("log_loss", label, p) == pytest.approx(math.log(3))
    found = intervals(label, p, seed=1)
    assert math.isnan(found["roc_auc"].value)
    assert found["brier"].value == pytest.approx(2 / 3)


def test_without_records_metrics_of_classes_are_undefined():
    none = np.empty((0, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(math.isnan(metrics.evaluate(name, np.empty(0), none)) for name in metrics.OF_CLASSES)
