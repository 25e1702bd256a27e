import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.gate.delong import area, difference, under_chance
from refit.scoring.intervals import metric_interval
from refit.scoring.metrics import roc_auc

SCORES = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.1, 0.2, 0.3, 0.7])), min_size=1)


@given(SCORES)
def test_the_area_is_the_roc_auc_ties_and_all(records):
    label, probability = (np.array(column) for column in zip(*records, strict=True))
    seen = area(label, probability)
    if min(label.sum(), len(label) - label.sum()) < 2:
        assert math.isnan(seen.value)
    else:
        assert seen.value == pytest.approx(roc_auc(label, probability))


@given(SCORES)
def test_a_model_is_no_better_than_itself(records):
    label, probability = (np.array(column) for column in zip(*records, strict=True))
    seen = difference(label, probability, probability)
    assert math.isnan(seen.value) or (seen.value, seen.error) == (0, 0)


def test_the_error_is_that_of_the_bootstrap():
    random = np.random.default_rng(3)
    label = (random.random(800) < 0.3).astype(float)
    probability = np.clip(0.3 + 0.2 * label + random.normal(0, 0.2, 800), 0, 1)
    drawn = metric_interval("roc_auc", label, probability, seed=1, draws=2000)
    assert area(label, probability).error == pytest.approx((drawn.high - drawn.low) / 3.92, rel=0.08)


def test_what_knows_nothing_scatters_as_much_as_the_error_under_chance_says():
    random = np.random.default_rng(5)
    label = (random.random(300) < 0.2).astype(float)
    tied = [np.round(random.random(300), 1) for _ in range(2000)]
    spread = np.std([roc_auc(label, probability) for probability in tied])
    assert under_chance(label, tied[0]).error == pytest.approx(spread, rel=0.06)
