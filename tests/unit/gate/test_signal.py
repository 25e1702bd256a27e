"""Noise is kept out, and signal let in, whatever the number of records or classes."""

import numpy as np
import pytest

from refit.gate.judge import judge
from refit.gate.signal import enough_records, no_signal
from refit.scoring.intervals import Interval, metric_interval
from refit.training.train import train
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

FOUR = {"task": "multiclass", "label": {"name": "segment", "column": "s", "classes": ["A", "B", "C", "D"]}}
LOOSE = {"floor": {}, "min_test_records": 100}


def classes(n, seed, signal):
    random = np.random.default_rng(seed)
    label = random.integers(0, 4, n).astype(float)
    score = random.gamma(1, 1, (n, 4))
    score[np.arange(n), label.astype(int)] *= signal
    return label, score / score.sum(axis=1, keepdims=True)


def seen(label, probability):
    return no_signal(label, probability, metric_interval("roc_auc", label, probability, seed=1, draws=50))


@pytest.mark.parametrize("n", [200, 1000], ids=["few records", "many"])
def test_of_200_models_of_pure_noise_at_most_two_pass(n):
    passed = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        label, probability = (random.random(n) < 0.25).astype(float), random.random(n)
        passed += no_signal(label, probability, Interval(0.5, 0.4, 0.6)).outcome == "pass"
    assert passed <= 2


def test_of_200_four_class_models_of_pure_noise_at_most_two_pass():
    passed = sum(
        no_signal(*classes(300, seed, signal=1), Interval(0.5, 0.4, 0.6)).outcome == "pass" for seed in range(200)
    )
    assert passed <= 2


@pytest.mark.parametrize("seed", range(6))
def test_a_real_training_on_records_whose_outcome_is_drawn_by_lot_is_refused(seed):
    case = usecase(gate=LOOSE, learners=["logistic_regression"])
    frame = book(900, seed=seed)
    lot = np.random.default_rng(100 + seed).permutation(frame["_label"].dropna().to_numpy())
    frame.loc[frame["_label"].notna(), "_label"] = lot
    made = train(frame, case, AS_OF, **MADE_WITH)
    verdict = judge(case, made.test["_label"].to_numpy(), made.probability, None, 0.5, seed)
    assert "no signal" in {check.name for check in verdict.failed}


@pytest.mark.parametrize("seed", range(10))
def test_a_model_of_fair_strength_passes_on_200_records(seed):
    random = np.random.default_rng(seed)
    label = np.repeat([1.0, 0.0], [50, 150])
    assert seen(label, random.normal(1.2 * label, 1)).outcome == "pass"


def test_four_classes_that_are_told_apart_pass():
    assert seen(*classes(300, 1, signal=3)).outcome == "pass"


def test_a_model_that_says_the_same_of_every_record_is_refused_in_words_of_its_own():
    check = seen(np.repeat([1.0, 0.0], 100), np.full(200, 0.3))
    assert check.outcome == "fail"
    assert "the same of every record" in check.why


def test_a_class_that_never_came_is_named():
    check = enough_records(usecase(**FOUR, split={"by": "random"}), np.array([0.0, 1.0, 3.0] * 100))
    assert check.outcome == "fail"
    assert "none of them is C" in check.why


def test_a_champion_of_four_classes_is_compared_and_a_tie_keeps_it():
    case = usecase(**FOUR, gate=LOOSE | {"calibration_error_max": 0.5}, split={"by": "random"})
    label, good = classes(1000, 1, signal=4)
    _, vague = classes(1000, 1, signal=1.5)
    assert judge(case, label, good, vague, 0.5, 1).outcome == "promote"
    assert [check.name for check in judge(case, label, good, good, 0.5, 1).failed] == ["gain"]
    assert [check.name for check in judge(case, label, vague, good, 0.5, 1).failed] == ["gain"]


def test_a_champion_that_cannot_answer_is_left_for_a_person_to_replace():
    random = np.random.default_rng(2)
    label = (random.random(500) < 0.3).astype(float)
    verdict = judge(usecase(gate=LOOSE), label, 0.2 + 0.5 * label, np.full(500, np.nan), 0.5, 1)
    assert next(check for check in verdict.checks if check.name == "gain").outcome == "fail"


def test_so_few_of_an_outcome_that_no_model_could_pass_are_named_as_the_reason():
    label = np.zeros(400)
    label[:2] = 1
    check = seen(label, 0.9 * label + np.linspace(0, 0.05, 400))  # right of every record
    assert check.outcome == "fail"
    assert "Only 2 of 400 records are of the rarest outcome" in check.why
    assert "guess reaches" not in check.why
