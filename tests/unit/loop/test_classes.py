"""What a champion of several classes says once the use case names others, or the same in another order."""

import numpy as np
import pytest

from refit.loop.classes import in_todays_classes
from refit.loop.judging import judged
from refit.loop.performance import performance
from refit.training.train import train
from tests.unit.loop.classed import EARLIER, as_read, of_classes
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

OWN = of_classes("A", "B", "C")
TURNED = of_classes("C", "B", "A")
RENAMED = of_classes("A", "B", "Z")
MORE = of_classes("A", "B", "C", "D")


@pytest.fixture(scope="module")
def champion():
    return train(as_read(OWN, EARLIER), OWN, EARLIER, **MADE_WITH).bundle


def checks(case, champion):
    frame = as_read(case, AS_OF)
    made = train(frame, case, AS_OF, **MADE_WITH)
    return {check.name: check for check in judged(case, made, champion, frame, 1.0).checks}


def test_columns_follow_todays_order_and_other_classes_have_no_answer():
    said = np.array([[0.5, 0.3, 0.2]])
    assert in_todays_classes(said, OWN, OWN) is said
    assert in_todays_classes(said, OWN, TURNED).tolist() == [[0.2, 0.3, 0.5]]
    assert in_todays_classes(said, OWN, RENAMED) is None
    assert in_todays_classes(said, OWN, MORE) is None


def test_two_outcomes_and_several_classes_answer_nothing_of_each_other():
    assert in_todays_classes(np.array([[0.5, 0.3, 0.2]]), OWN, usecase()) is None
    assert in_todays_classes(np.array([0.5]), usecase(), OWN) is None


@pytest.mark.slow
def test_classes_in_another_order_give_the_same_verdict_on_the_gain(champion):
    turned, same = checks(TURNED, champion)["gain"], checks(OWN, champion)["gain"]
    assert turned.outcome == same.outcome == "fail"
    assert turned.seen == pytest.approx(same.seen, abs=0.01)


@pytest.mark.slow
def test_of_a_class_that_was_renamed_the_gain_cannot_be_measured(champion):
    frame = as_read(OWN, AS_OF)
    made = train(frame, RENAMED, AS_OF, **MADE_WITH)
    gain = next(check for check in judged(RENAMED, made, champion, frame, 1.0).checks if check.name == "gain")
    assert gain.outcome == "fail"
    assert "made for other columns or classes" in gain.why


def test_against_a_champion_of_another_task_the_gain_cannot_be_measured(champion):
    case, frame = usecase(learners=["logistic_regression"]), book(2000)
    made = train(frame, case, AS_OF, **MADE_WITH)
    gain = next(check for check in judged(case, made, champion, frame, 1.0).checks if check.name == "gain")
    assert gain.outcome == "fail"
    assert "made for other columns or classes" in gain.why


def test_classes_in_another_order_give_the_same_performance(champion):
    turned = performance(champion, as_read(TURNED, AS_OF), TURNED)
    same = performance(champion, as_read(OWN, AS_OF), OWN)
    assert turned.seen == pytest.approx(same.seen)
    assert turned.seen > turned.promised - 0.1


@pytest.mark.parametrize("case", [RENAMED, MORE, usecase()], ids=["renamed", "one more", "two outcomes"])
def test_nothing_is_told_of_a_champion_that_knows_other_classes(champion, case):
    frame = as_read(OWN, AS_OF)
    newest = frame.index[-len(frame) // 4 :]
    frame.loc[newest, "_label"] = float(len(case.classes or "01") - 1)
    assert performance(champion, frame, case) is None
