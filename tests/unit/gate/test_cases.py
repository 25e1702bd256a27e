import numpy as np
import pytest

from refit.gate.cases import by_case
from refit.gate.delong import area, under_chance

N = 600


def said(seed, *, signal=0.0, n=N):
    random = np.random.default_rng(seed)
    label = (random.random(n) < 0.3).astype(float)
    return label, np.round(random.normal(signal * label, 1), 1)


def test_where_no_case_stands_twice_it_is_the_auc_with_the_error_of_guesses():
    label, probability = said(1)
    found = by_case(label, probability, np.arange(N))
    assert found.value == pytest.approx(area(label, probability).value)
    assert found.error == pytest.approx(under_chance(label, probability).error, rel=0.05)


def test_copies_move_neither_the_auc_nor_its_error():
    label, probability = said(1, signal=1.0)
    once = by_case(label, probability, np.arange(N))
    tenfold = by_case(np.repeat(label, 10), np.repeat(probability, 10), np.repeat(np.arange(N), 10))
    assert (tenfold.value, tenfold.error) == pytest.approx((once.value, once.error))


def test_of_several_classes_the_mean_counts():
    random = np.random.default_rng(3)
    label = random.integers(0, 3, N).astype(float)
    probability = random.dirichlet(np.ones(3), N)
    found = by_case(label, probability, np.arange(N))
    assert found.value == pytest.approx(area(label, probability).value)
    assert 0 < found.error <= under_chance(label, probability).error * 1.05


def test_without_one_outcome_nothing_is_known():
    found = by_case(np.zeros(10), np.arange(10.0), np.arange(10))
    assert np.isnan(found.value)
    assert np.isnan(found.error)


def test_of_guesses_on_sixty_cases_of_ten_records_hardly_one_in_a_thousand_looks_sure():
    case = np.repeat(np.arange(60), 10)
    drawn = [said(seed, n=60) for seed in range(1000)]
    told = [(label[case], probability[case]) for label, probability in drawn]
    assert sum(by_case(*one, case).low(0.999) > 0.5 for one in told) <= 3
    assert sum(under_chance(*one).low(0.999) > 0.5 for one in told) > 100
