import numpy as np
import pytest

from refit.scoring.likeness import contradicted, few_differ

RANDOM = np.random.default_rng(1)


def test_few_differ_below_a_twentieth():
    assert few_differ(np.arange(1000) % 49)
    assert not few_differ(np.arange(1000) % 50)


@pytest.mark.parametrize("n_each", [2, 25])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_copies_end_alike_and_contradict_nothing(n_each, n_classes):
    alike = np.repeat(np.arange(300), n_each)
    assert not contradicted(alike, RANDOM.integers(0, n_classes, 300)[alike])


def test_what_few_columns_of_few_values_make_alike_ends_as_it_may():
    cell = RANDOM.integers(0, 48, 30_000)
    assert contradicted(cell, RANDOM.random(30_000) < 0.02 + 0.01 * (cell % 7))


def test_a_missing_outcome_is_one_of_its_own():
    assert contradicted(np.zeros(100), np.where(np.arange(100) % 2, np.nan, 1.0))
