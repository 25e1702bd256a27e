from types import SimpleNamespace

import numpy as np
import pytest

from refit.scoring.calibration import Calibrator, expit
from refit.training.attempts import Attempt, _may_blend, ahead
from refit.training.calibration import Calibrated
from refit.training.card import Candidate
from refit.training.learners import boosting
from refit.training.train import START_NOTE, train
from refit.usecase.policy import Search
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

RANDOM = np.random.default_rng(8)
ODDS = RANDOM.normal(size=3000) - 2
LABEL = (RANDOM.random(3000) < expit(ODDS)).astype(float)
UNSURE = ODDS + RANDOM.normal(size=3000)


def attempt(name, said):
    as_it_is = Calibrator("platt", (), (1.0, 0.0))
    return Attempt(name, Candidate(name, "roc_auc", 0.7, 0.3), SimpleNamespace(), Calibrated(as_it_is, {}, said), said)


def names(*attempts, label=LABEL):
    return [a.learner for a in ahead(attempts, label)]


def test_what_is_clearly_nearer_to_the_truth_stands_beside_the_start():
    start, found = attempt("start", expit(UNSURE)), attempt("found", expit(ODDS))
    assert names(start, found) == ["start", "found"]
    assert names(found, start) == ["found"]


def test_what_is_better_by_chance_alone_does_not():
    start = attempt("start", expit(ODDS))
    chance = [attempt(f"chance {n}", expit(ODDS + 0.02 * RANDOM.normal(size=3000))) for n in range(20)]
    kept = names(start, *chance)
    assert kept[0] == "start"
    assert len(kept) < 8  # one in six is beyond one standard error


def test_a_tie_keeps_the_start():
    assert names(attempt("start", expit(ODDS)), attempt("same", expit(ODDS))) == ["start"]


@pytest.mark.parametrize(("n", "stands"), [(20, ["start"]), (20_000, ["start", "found"])])
def test_the_same_gain_counts_where_there_are_records_enough_to_see_it(n, stands):
    start, found = attempt("start", np.full(n, 0.5)), attempt("found", np.tile([0.6, 0.425], n // 2))
    assert names(start, found, label=np.ones(n)) == stands


def test_several_classes_are_compared_by_what_was_said_of_the_one_that_came():
    label = RANDOM.integers(0, 3, 900).astype(float)
    hot = np.eye(3)[label.astype(int)]
    start, found = attempt("start", np.full((900, 3), 1 / 3)), attempt("found", 0.1 + 0.7 * hot)
    assert names(start, found, label=label) == ["start", "found"]


@pytest.mark.parametrize(("by", "members"), [("time", [0, 2]), ("random", [0, 1, 2])])
def test_by_time_only_what_is_clearly_ahead_by_itself_may_blend(by, members):
    tried = [attempt(name, expit(odds)) for name, odds in (("start", UNSURE), ("alike", UNSURE), ("better", ODDS))]
    assert _may_blend(tried, LABEL, usecase(split={"by": by})) == members


@pytest.mark.slow
def test_a_search_among_noise_keeps_the_learner_as_it_comes_and_says_so(monkeypatch):
    monkeypatch.setitem(boosting.DEFAULTS, "trees", 50)
    noise = book(900)
    noise["_label"] = np.where(noise["_label"].isna(), np.nan, np.random.default_rng(5).random(900) < 0.2)
    done = train(noise, usecase(), AS_OF, **MADE_WITH, search=Search(trials=8))
    card = done.bundle.card
    assert START_NOTE in card["notes"]
    assert done.bundle.learner in {"logistic_regression", "xgboost"}


def test_without_a_search_nothing_is_said_of_one(monkeypatch):
    monkeypatch.setitem(boosting.DEFAULTS, "trees", 20)
    done = train(book(900), usecase(), AS_OF, **MADE_WITH, search=Search(trials=0))
    assert START_NOTE not in done.bundle.card["notes"]
