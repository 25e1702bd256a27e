import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import DataError
from refit.scoring.scorecard import Characteristic, ScorecardModel
from refit.training.learners.registry import LEARNERS
from tests.unit.training.records import ENCODER, fit, records

AMOUNT = Characteristic(0, (10.0, 20.0), (), (-1.0, 0.0, 1.0, 0.25), (0.2, 0.5, 0.2, 0.1), 2.0)
KIND = Characteristic(1, (), (2, 0, 1), (-0.5, 0.5, 0.0), (0.4, 0.6, 0.0), 1.0)
CARD = ScorecardModel(-1.0, (AMOUNT, KIND))


@pytest.mark.parametrize(
    ("value", "place"),
    [(-5, 0), (10, 0), (10.5, 1), (20, 1), (20.5, 2), (1e30, 2), (math.nan, 3)],
    ids=["below", "on the first edge", "between", "on the last edge", "above", "enormous", "missing"],
)
def test_a_number_falls_into_the_first_bin_whose_edge_it_does_not_exceed(value, place):
    assert AMOUNT.bins(np.array([value], dtype=np.float32)).tolist() == [place]


@pytest.mark.parametrize(
    ("code", "place"),
    [(1, 0), (2, 1), (0, 2), (3, 2), (-1, 2), (math.nan, 2)],
    ids=["known", "another", "never there to learn from", "beyond", "below", "missing"],
)
def test_a_category_falls_into_its_group_and_all_else_into_the_last(code, place):
    assert KIND.bins(np.array([code], dtype=np.float32)).tolist() == [place]


def test_a_record_is_worth_the_intercept_and_what_its_bins_add():
    matrix = np.array([[5, 1], [25, 2], [np.nan, np.nan]], dtype=np.float32)
    assert CARD.log_odds(matrix).tolist() == [-1 - 2 - 0.5, -1 + 2 + 0.5, -1 + 0.5 + 0]
    assert CARD.probability(matrix) == pytest.approx(1 / (1 + np.exp(-CARD.log_odds(matrix))))


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), max_size=5))
def test_any_record_gets_a_probability(rows):
    probability = CARD.probability(np.array(rows, dtype=np.float32).reshape(-1, 2))
    assert ((probability > 0) & (probability < 1)).all()


def test_a_card_survives_its_bytes():
    assert ScorecardModel.from_bytes(CARD.to_bytes()) == CARD


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"intercept": 1, "characteristics": [{}]}'])
def test_what_is_no_scorecard_is_refused(content):
    with pytest.raises(DataError, match=r"model\.json: not a scorecard"):
        ScorecardModel.from_bytes(content)


MATRIX, LABEL = records(3000)


def card(**params):
    return fit(LEARNERS["scorecard"], MATRIX, LABEL, params=params).model


def test_evidence_is_the_log_odds_of_a_bin_less_those_of_all():
    model = card(smoothing=0.0)
    base = np.log(LABEL.mean() / (1 - LABEL.mean()))
    for part in model.characteristics:
        place = part.bins(MATRIX[:, part.feature])
        for number in np.unique(place):
            rate = LABEL[place == number].mean()
            assert part.woe[number] == pytest.approx(np.log(rate / (1 - rate)) - base)
            assert part.share[number] == pytest.approx((place == number).mean())


def test_noise_and_what_is_never_there_are_left_off_the_card():
    used = {ENCODER.features[part.feature] for part in card(min_information=0.05).characteristics}
    assert used == {"amount", "kind"}


def test_missing_values_and_categories_not_seen_have_bins_of_their_own():
    amount, kind = (next(p for p in card().characteristics if p.feature == feature) for feature in (0, 2))
    missing = np.isnan(MATRIX[:, 0])
    assert amount.share[-1] == pytest.approx(missing.mean())
    assert kind.bins(np.array([np.nan], dtype=np.float32)).tolist() == [len(kind.woe) - 1]


def test_a_monotone_card_only_rises_or_only_falls_with_a_number():
    random = np.random.default_rng(1)
    bent = MATRIX.copy()
    bent[:, 1] = random.standard_normal(len(bent))
    label = (np.abs(bent[:, 1]) + 0.3 * bent[:, 1] + random.standard_normal(len(bent)) > 1.5).astype(float)

    def steps(*, monotone):
        model = fit(LEARNERS["scorecard"], bent, label, params={"monotone": monotone}).model
        part = next(p for p in model.characteristics if p.feature == 1)
        return np.diff(part.woe[:-1])

    assert (steps(monotone=True) > 0).all() or (steps(monotone=True) < 0).all()
    assert (steps(monotone=False) > 0).any()
    assert (steps(monotone=False) < 0).any()


def test_every_weight_counts_with_its_evidence_never_against_it():
    copied = MATRIX.copy()
    copied[:, 1] = MATRIX[:, 0] * 1.0001 + np.random.default_rng(2).normal(0, 0.1, len(MATRIX))
    model = fit(LEARNERS["scorecard"], copied, LABEL, params={"C": 1e6}).model
    assert all(part.weight > 0 for part in model.characteristics)


def test_without_any_information_the_card_says_the_rate_of_all():
    model = card(min_information=100.0)
    assert model.characteristics == ()
    assert model.probability(MATRIX[:3]) == pytest.approx(LABEL.mean())
