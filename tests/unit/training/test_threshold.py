import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.drawing.shares import wilson
from refit.scoring.metrics import at_threshold
from refit.training.threshold import threshold
from refit.usecase.policy import Decide

LABEL = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
P = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.8])
ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.01, 0.1, 0.2, 0.35, 0.5, 0.9])), min_size=2, max_size=30
).filter(lambda rows: any(bad for bad, _ in rows))


def decide(**how):
    return Decide.model_validate(how)


def cost(label, p, line, miss, refusal):
    declined = p >= line
    return miss * label[~declined].sum() + refusal * (1 - label[declined]).sum()


@given(ROWS, st.sampled_from([0.2, 1.0, 5.0]))
def test_no_threshold_is_cheaper_than_the_chosen_one(rows, miss):
    label, p = np.array([float(bad) for bad, _ in rows]), np.array([value for _, value in rows])
    chosen = threshold(label, p, decide(minimise="cost", cost={"false_negative": miss, "false_positive": 1}))
    best = min(cost(label, p, line, miss, 1) for line in [0.0, *np.unique(p), 1.0])
    assert cost(label, p, chosen, miss, 1) == pytest.approx(best)


def test_where_declining_none_is_cheapest_the_threshold_is_that_of_theory():
    chosen = threshold(
        np.array([0.0] * 99 + [1.0]),
        np.linspace(0.001, 0.02, 100)[::-1],
        decide(minimise="cost", cost={"false_negative": 5, "false_positive": 1}),
    )
    assert chosen == pytest.approx(1 / 6)


@given(ROWS, st.sampled_from([0.1, 0.3, 0.8, 1.0]))
def test_a_recall_floor_is_kept_by_a_margin_for_chance_with_the_best_precision_there_is(rows, floor):
    label, p = np.array([float(bad) for bad, _ in rows]), np.array([value for _, value in rows])
    chosen = at_threshold(label, p, threshold(label, p, decide(recall_at_least=floor)))
    assert chosen.recall >= floor - 1e-12
    possible = [at_threshold(label, p, line) for line in np.unique(p)]
    sure = [at for at in possible if wilson(round(at.recall * label.sum()), label.sum())[0] >= floor]
    sure = sure or [at for at in possible if at.recall == 1]
    assert chosen.precision == pytest.approx(max(at.precision for at in sure))


def test_a_recall_floor_holds_on_records_to_come_in_all_but_a_few_of_many_draws():
    random = np.random.default_rng(2)

    def drawn(n):
        odds = random.normal(size=n)
        return (random.random(n) < 1 / (1 + np.exp(1.5 - 2 * odds))).astype(float), 1 / (1 + np.exp(1.5 - odds))

    label, p = drawn(200_000)
    lines = [threshold(*drawn(800), decide(recall_at_least=0.9)) for _ in range(100)]
    met = [at_threshold(label, p, line).recall >= 0.9 for line in lines]
    assert np.mean(met) >= 0.93


def test_where_the_bad_are_too_few_to_be_sure_of_a_recall_all_of_them_are_caught():
    chosen = at_threshold(LABEL, P, threshold(LABEL, P, decide(recall_at_least=0.9)))
    assert chosen.recall == 1
    assert chosen.precision == pytest.approx(3 / 5)


@given(ROWS)
def test_no_threshold_has_a_higher_f1(rows):
    label, p = np.array([float(bad) for bad, _ in rows]), np.array([value for _, value in rows])
    chosen = at_threshold(label, p, threshold(label, p, decide(maximise="f1"))).f1
    assert chosen == pytest.approx(max(at_threshold(label, p, line).f1 for line in np.unique(p)))


@pytest.mark.parametrize(("rate", "approved"), [(0.5, 4), (0.75, 6), (0.99, 8), (0.01, 0)])
def test_an_approval_rate_is_met_as_closely_as_the_records_allow(rate, approved):
    chosen = threshold(LABEL, P, decide(approval_rate=rate))
    assert int((chosen > P).sum()) == approved


def test_a_threshold_lies_between_two_records():
    for how in ({"maximise": "f1"}, {"recall_at_least": 0.6}, {"approval_rate": 0.5}):
        assert threshold(LABEL, P, decide(**how)) not in P
