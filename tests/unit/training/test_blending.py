import numpy as np
import pytest

from refit.scoring import bundle as bundles
from refit.scoring.blend import BLEND_FILE
from refit.scoring.calibration import expit
from refit.scoring.metrics import evaluate
from refit.training import blending
from refit.training.blending import blended
from refit.training.crossfit import Config, CrossFitted
from refit.training.learners import boosting
from refit.training.learners.fitted import Fitted
from refit.training.train import train
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

RANDOM = np.random.default_rng(3)
ODDS = RANDOM.normal(size=4000) - 1
LABEL = (RANDOM.random(4000) < expit(ODDS)).astype(float)
CONFIGS = [Config("xgboost"), Config("random_forest", "over"), Config("logistic_regression")]


def crossed(*said):
    """Return what models were fitted that say so, each by the name of its place."""
    return [
        CrossFitted(
            Fitted(f"model {n}", {"size": n}, {"a": float(n), "b": 1 - float(n)}, (f"note {n}", "both")), expit(odds)
        )
        for n, odds in enumerate(said)
    ]


def wrong(size):
    return ODDS + RANDOM.normal(size=4000) * size


def test_models_that_err_apart_say_more_together():
    said = crossed(wrong(1.0), wrong(1.0))
    found = blended(CONFIGS[:2], said, LABEL)
    alone = min(evaluate("log_loss", LABEL, one.held_out) for one in said)
    assert evaluate("log_loss", LABEL, found.held_out) < alone - 0.01
    assert found.fitted.model.members == ("model 0", "model 1")


def test_models_that_err_alike_are_not_mixed():
    odds = wrong(0.5)
    assert blended(CONFIGS[:2], crossed(odds, odds + 0.01), LABEL) is None
    assert blended(CONFIGS[:1], crossed(odds), LABEL) is None


def test_a_poor_model_is_left_out():
    found = blended(CONFIGS, crossed(wrong(1.0), wrong(20.0), wrong(1.0)), LABEL)
    assert found.fitted.model.members == ("model 0", "model 2")


def test_the_card_of_a_blend_tells_each_members_parameters_and_the_mean_of_their_importances():
    fitted = blended(CONFIGS[:2], crossed(wrong(1.0), wrong(1.0)), LABEL).fitted
    assert fitted.params == {"1 xgboost.size": 0, "2 random_forest.size": 1, "2 random_forest.balancing": "over"}
    assert fitted.importance == {"a": 0.5, "b": 0.5}
    assert fitted.notes == ("blend: the average log odds of xgboost, random forest", "note 0", "both", "note 1")


def test_several_classes_are_mixed_too():
    odds = RANDOM.normal(size=(4000, 3))
    truth = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    label = (truth.cumsum(axis=1) < RANDOM.random(4000)[:, None]).sum(axis=1).astype(float)
    one, other = (np.exp(odds + RANDOM.normal(size=odds.shape)) for _ in range(2))
    said = [CrossFitted(Fitted("m", {}, {"a": 1.0}), raw / raw.sum(axis=1, keepdims=True)) for raw in (one, other)]
    found = blended(CONFIGS[:2], said, label)
    assert found.held_out.sum(axis=1) == pytest.approx(1.0)
    assert evaluate("log_loss", label, found.held_out) < evaluate("log_loss", label, said[0].held_out) - 0.05


@pytest.mark.slow
def test_a_searched_blend_is_one_bundle_the_same_byte_for_byte(monkeypatch):
    monkeypatch.setitem(boosting.DEFAULTS, "trees", 50)
    monkeypatch.setattr(blending, "LEAST_GAIN", -1.0)
    monkeypatch.setattr("refit.training.train.ahead", lambda attempts, _label: attempts)
    monkeypatch.setattr("refit.training.train.best_of", lambda attempts, _usecase: attempts[-1])
    case = usecase(split={"by": "random"}, search={"trials": 4})
    first, second = (train(book(900), case, AS_OF, **MADE_WITH) for _ in range(2))
    assert blending.NAME in {candidate.learner for candidate in first.candidates}
    files = bundles.to_files(first.bundle)
    assert files == bundles.to_files(second.bundle)
    assert BLEND_FILE in files
    inputs = [record.inputs for record in first.bundle.golden]
    assert bundles.from_files(files).predict(inputs).tolist() == first.bundle.predict(inputs).tolist()


def test_learners_as_they_come_are_not_mixed(monkeypatch):
    monkeypatch.setattr(blending, "LEAST_GAIN", -1.0)
    done = train(book(900), usecase(), AS_OF, **MADE_WITH)
    assert blending.NAME not in {candidate.learner for candidate in done.candidates}
