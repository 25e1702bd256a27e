"""One answer in the page's words."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from refit.console.answer import answer
from refit.loop.score import Scored
from refit.scoring.explain import Contribution, Explanation
from tests.unit.bentos.conftest import OF_CLASSES, USECASE

NOW = datetime(2026, 3, 17, 8, tzinfo=UTC)
PARTS = (
    Contribution("amount", "Amount", 250.0, 2.0, -40.0, "Amount is high"),
    Contribution("owner", "Owner", "not_yet", -1.0, 20.0, None),
    Contribution("state", "State", "new_york", 0.5, -10.0, "Defaults are frequent in the state"),
    Contribution("share", "share", None, 0.0, 0.0, None),
)


def scored(probability, threshold, *, parts=PARTS, probabilities=None):
    said = Explanation(probability, 600.0, "A", 610.0, 0.0, parts, "the average")
    return Scored(uuid4(), "toy-1", threshold, "approve", said, probabilities)


@pytest.mark.parametrize(
    ("probability", "threshold", "side"),
    [(0.25, 0.5, "below"), (0.5, 0.5, "at"), (0.75, 0.5, "above"), (0.0, 0.0, "at"), (0.3, 1.5, "below")],
)
def test_it_says_on_which_side_of_the_threshold_the_probability_lies(probability, threshold, side):
    found = answer(scored(probability, threshold), USECASE, NOW)
    assert f"is {probability:.2%}, {side} the threshold of {threshold:.2%}." in found.said
    assert "\u201cbad\u201d" in found.said


@pytest.mark.parametrize(("probability", "threshold"), [(0.0, 0.0), (1.0, 0.01), (0.01, 1.0), (0.02, 0.1), (0.3, 1.5)])
def test_both_marks_stand_on_the_gauge_in_their_order(probability, threshold):
    gauge = answer(scored(probability, threshold), USECASE, NOW).gauge
    assert 0 <= gauge.probability <= 100
    assert 0 <= gauge.threshold <= 100
    assert (gauge.probability < gauge.threshold) is (probability < threshold)


def test_each_input_has_a_bar_by_its_size_and_each_reason_the_bar_of_its_input():
    found = answer(scored(0.25, 0.5), USECASE, NOW)
    assert [(bar.title, bar.length, bar.is_against, bar.figure) for bar in found.bars] == [
        ("Amount", 100.0, True, "-40.0"),
        ("Owner", 50.0, False, "+20.0"),
        ("State", 25.0, True, "-10.0"),
        ("share", 0.0, False, "+0.0"),
    ]
    assert [(reason.text, reason.bar.title) for reason in found.reasons] == [
        ("Amount is high", "Amount"),
        ("Defaults are frequent in the state", "State"),
    ]


def test_a_value_is_told_with_its_unit_a_choice_in_words_and_a_text_as_it_was_written():
    values = [bar.value for bar in answer(scored(0.25, 0.5), USECASE, NOW).bars]
    assert values == ["250 USD", "not yet", "new_york", "not known"]


def test_nothing_that_moved_the_score_leaves_bars_without_length():
    still = tuple(Contribution(part.feature, part.title, part.value, 0.0, 0.0, None) for part in PARTS)
    assert {bar.length for bar in answer(scored(0.25, 0.5, parts=still), USECASE, NOW).bars} == {0.0}


def test_of_several_classes_there_is_no_gauge_and_the_share_of_the_chosen_one_is_told():
    found = answer(scored(0.6, 0.5, probabilities={"x": 0.6, "y": 0.2, "z": 0.2}), OF_CLASSES, NOW)
    assert (found.is_of_classes, found.gauge) == (True, None)
    assert found.said == "The most likely of 3, with a probability of 60.0%."
