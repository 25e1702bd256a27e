import numpy as np
import pytest

from refit.gate.calibration import calibration


def drawn(n, seed):
    random = np.random.default_rng(seed)
    truth = random.beta(2, 6, n)
    return (random.random(n) < truth).astype(float), truth


def test_probabilities_that_are_right_pass_on_200_records_nearly_always():
    failed = sum(calibration(*drawn(200, seed), 0.02, seed=seed).outcome == "fail" for seed in range(100))
    assert failed <= 3


@pytest.mark.parametrize("seed", range(5))
def test_probabilities_that_are_wrong_fail_on_5000_records(seed):
    label, truth = drawn(5000, seed)
    check = calibration(label, np.clip(truth + 0.07, 0, 1), 0.05, seed=1)
    assert check.outcome == "fail"
    assert check.seen == pytest.approx(0.07, abs=0.02)
    assert "cannot be taken at their word" in check.why


def test_a_gap_that_is_allowed_passes_however_many_records_show_it():
    label, truth = drawn(50_000, 1)
    assert calibration(label, np.clip(truth + 0.03, 0, 1), 0.05, seed=1).outcome == "pass"


@pytest.mark.parametrize(("shift", "outcome"), [(0.0, "pass"), (0.15, "fail")], ids=["right", "wrong"])
def test_of_four_classes_the_mean_counts(shift, outcome):
    random = np.random.default_rng(4)
    truth = random.dirichlet([2, 2, 2, 2], 4000)
    label = (truth.cumsum(axis=1) < random.random((4000, 1))).sum(axis=1).clip(max=3).astype(float)
    told = truth + np.array([shift, -shift, shift, -shift])
    assert calibration(label, np.clip(told, 0.001, 1), 0.05, seed=1).outcome == outcome
