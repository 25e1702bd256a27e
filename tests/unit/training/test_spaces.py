import optuna
import pytest

from refit.training.learners.registry import DEFAULTS, LEARNERS
from refit.training.spaces import enqueue, starts, suggest
from tests.unit.training.records import fit, records

SIZES = [60, 5_000, 300_000]


def study(seed=1):
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("learner", LEARNERS)
def test_the_first_suggestion_is_the_defaults_whatever_the_size(learner, n):
    asked = study()
    asked.enqueue_trial(enqueue(learner))
    assert suggest(learner, asked.ask(), n, 12) == pytest.approx(DEFAULTS[learner])


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("learner", LEARNERS)
def test_every_parameter_is_searched_and_no_two_suggestions_are_alike(learner, n):
    asked = study()
    found = [suggest(learner, asked.ask(), n, 12) for _ in range(6)]
    assert all(set(params) == set(DEFAULTS[learner]) for params in found)
    assert len({str(params) for params in found}) > 4


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.slow
def test_what_is_suggested_for_few_records_can_be_fitted_to_few_records(learner):
    matrix, label = records(60)
    asked = study(3)
    for _ in range(3):
        params = suggest(learner, asked.ask(), len(label), 4)
        assert fit(LEARNERS[learner], matrix, label, params=params).model.probability(matrix).shape == (60,)


def test_all_learners_fit_into_one_study():
    asked = study()
    trial = asked.ask()
    for learner in LEARNERS:
        suggest(learner, trial, 5_000, 12)
    assert {name.split(".")[0] for name in trial.params} == set(LEARNERS)


@pytest.mark.parametrize("learner", ["xgboost", "random_forest", "k_nearest_neighbours"])
def test_more_records_allow_larger_models(learner):
    def most(n):
        trial = study().ask()
        suggest(learner, trial, n, 12)
        return max(range_.high for range_ in trial.distributions.values() if hasattr(range_, "high"))

    assert most(500) < most(300_000)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("learner", LEARNERS)
def test_every_start_lies_in_the_space_and_the_defaults_come_first(learner, n):
    asked = study()
    assert starts(learner)[0] == enqueue(learner)
    for start in starts(learner):
        asked.enqueue_trial(start)
        trial = asked.ask()
        suggest(learner, trial, n, 12)
        assert trial.params == pytest.approx(start)
