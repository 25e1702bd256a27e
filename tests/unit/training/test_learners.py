import tracemalloc

import numpy as np
import pytest

from refit.errors import ContractError, DataError
from refit.scoring.encoder import Encoder
from refit.scoring.metrics import log_loss, roc_auc
from refit.scoring.model import read_model
from refit.training.learners import perceptron
from refit.training.learners.importance import shares
from refit.training.learners.registry import DEFAULTS, LEARNERS
from refit.training.parallel import StoppedError, silenced
from tests.unit.training.records import ENCODER, fit, records

QUICK = {
    "random_forest": {"trees": 30},
    "xgboost": {"trees": 40},
    "multilayer_perceptron": {"epochs": 6},
}
MANY = sorted(set(LEARNERS) - {"scorecard"})
MATRIX, LABEL = records()
UNSEEN, UNSEEN_LABEL = records(seed=4)


def fitted(name, matrix=MATRIX, label=LABEL, **rest):
    return fit(LEARNERS[name], matrix, label, **{"params": QUICK.get(name, {}), **rest})


@pytest.fixture(scope="module", params=LEARNERS)
def one(request):
    """A learner's name and its model of good and bad."""
    return request.param, fitted(request.param)


def test_it_ranks_and_prices_records_it_has_not_seen(one):
    _, done = one
    probability = done.model.probability(UNSEEN)
    assert probability.shape == (len(UNSEEN),)
    assert roc_auc(UNSEEN_LABEL, probability) > 0.75
    assert log_loss(UNSEEN_LABEL, probability) < 0.95 * log_loss(UNSEEN_LABEL, np.full(len(UNSEEN), LABEL.mean()))
    assert probability.mean() == pytest.approx(UNSEEN_LABEL.mean(), abs=0.08)


@pytest.mark.parametrize("name", MANY)
def test_four_classes_get_a_probability_each(name):
    label, unseen_label = records(n_classes=4)[1], records(seed=4, n_classes=4)[1]
    model = fitted(name, label=label, n_classes=4).model
    probability = model.probability(UNSEEN)
    assert probability.shape == (len(UNSEEN), 4)
    assert probability.sum(axis=1) == pytest.approx(1.0)
    for index in range(4):
        assert roc_auc((unseen_label == index).astype(float), probability[:, index]) > 0.6
    assert model.probability(UNSEEN[:0]).shape == (0, 4)
    again = read_model(model.file, model.to_bytes())
    assert np.array_equal(again.probability(UNSEEN), probability)
    assert model.n_classes == again.n_classes == 4


def test_the_scorecard_refuses_more_than_two_classes_and_names_who_can():
    with pytest.raises(ContractError, match="scorecard tells good from bad only") as refused:
        fitted("scorecard", label=records(n_classes=3)[1], n_classes=3)
    assert all(name in str(refused.value) for name in MANY)


def test_the_same_records_and_seed_give_the_same_bytes_and_reading_them_changes_nothing(one):
    name, done = one
    content = done.model.to_bytes()
    assert fitted(name).model.to_bytes() == content
    again = read_model(done.model.file, content)
    assert np.array_equal(again.probability(UNSEEN), done.model.probability(UNSEEN))
    assert again.to_bytes() == content
    assert again.n_classes == done.model.n_classes == 2


def test_each_record_is_judged_for_itself(one):
    _, done = one
    alone = np.concatenate([done.model.probability(UNSEEN[row : row + 1]) for row in range(20)])
    assert alone == pytest.approx(done.model.probability(UNSEEN)[:20], rel=1e-5)
    assert done.model.probability(UNSEEN[:0]).shape == (0,)


def test_it_looks_at_what_counts_and_not_at_what_is_never_there(one):
    _, done = one
    assert sum(done.importance.values()) == pytest.approx(1.0)
    assert list(done.importance) == list(ENCODER.features)
    assert done.importance["empty"] == 0.0
    assert done.importance["noise"] < min(done.importance["amount"], done.importance["kind"])


def test_records_beyond_all_experience_get_a_probability(one):
    _, done = one
    huge = np.finfo(np.float32).max
    strange = [[huge, -huge, 99, huge], [np.nan] * 4, [-huge, 0, 0, 0]]
    probability = done.model.probability(np.array(strange, dtype=np.float32))
    assert ((probability >= 0) & (probability <= 1)).all()


def test_a_record_of_weight_counts_for_as_many(one):
    name, done = one
    heavier = fitted(name, weight=np.where(LABEL == 1, 5.0, 1.0))
    assert heavier.model.probability(UNSEEN).mean() > done.model.probability(UNSEEN).mean() + 0.1
    assert roc_auc(UNSEEN_LABEL, heavier.model.probability(UNSEEN)) > 0.75


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_handful_of_records_is_enough(name, n_classes):
    if name == "scorecard" and n_classes > 2:
        return
    label = np.arange(8) % n_classes
    probability = fitted(name, MATRIX[:8], label.astype(float), n_classes=n_classes).model.probability(UNSEEN)
    assert np.isfinite(probability).all()


@pytest.mark.parametrize("kept", [[0, 1], [2]], ids=["only numbers", "only a category"])
@pytest.mark.parametrize("name", LEARNERS)
def test_features_of_one_kind_are_enough(name, kept):
    matrix = np.full_like(MATRIX, np.nan)
    matrix[:, kept] = MATRIX[:, kept]
    probability = fitted(name, matrix).model.probability(matrix)
    assert roc_auc(LABEL, probability) > 0.6


@pytest.mark.parametrize("name", LEARNERS)
def test_records_without_any_value_are_refused(name):
    with pytest.raises(DataError, match="every feature is missing in every training record"):
        fitted(name, np.full_like(MATRIX, np.nan))


def test_an_unknown_parameter_is_refused_and_the_known_ones_named():
    with pytest.raises(ContractError, match=r"decision_tree has no parameter depth; choose from max_depth, "):
        fitted("decision_tree", params={"depth": 3})


@pytest.mark.parametrize("name", LEARNERS)
def test_a_class_without_records_is_refused(name):
    with pytest.raises(DataError, match="no training record of class 1"):
        fitted(name, label=np.zeros(len(LABEL)))


@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_asked_for_differs_from_the_defaults_and_stands_on_the_card(name, one):
    if one[0] == name:
        assert {**DEFAULTS[name], **QUICK.get(name, {})}.items() <= dict(one[1].params).items()
        assert one[1].params["seed"] == 5


@pytest.mark.parametrize("name", LEARNERS)
def test_progress_ends_at_one(name):
    told = []
    with silenced():
        LEARNERS[name](MATRIX[:200], LABEL[:200], ENCODER, 5, told.append, params=QUICK.get(name, {}))
    assert told == sorted(told)
    assert told[-1] <= 1.0
    assert name == "multilayer_perceptron" or told[-1] == 1.0


@pytest.mark.parametrize("name", ["random_forest", "xgboost", "multilayer_perceptron"])
def test_a_long_fit_ends_when_it_is_told_to(name):
    told = []

    def stop(fraction):
        told.append(fraction)
        raise StoppedError

    with silenced(), pytest.raises(StoppedError):
        LEARNERS[name](MATRIX, LABEL, ENCODER, 5, stop, params={})
    assert told[0] < 0.5


def test_a_logistic_regression_that_did_not_settle_is_noted(monkeypatch):
    monkeypatch.setattr("refit.training.learners.linear.MAX_ITERATIONS", 1)
    assert fitted("logistic_regression").notes == ("logistic regression stopped unsettled after 1 steps",)


def test_neighbours_keep_a_sample_of_many_records_with_every_class_and_say_so(monkeypatch):
    monkeypatch.setattr("refit.training.learners.neighbours.MOST", 300)
    label = np.zeros(len(LABEL))
    label[7] = 1.0
    done = fitted("k_nearest_neighbours", label=label)
    assert done.notes == ("k nearest neighbours looks at 300 of 1,500 training records, drawn at random",)
    assert done.model.probability(UNSEEN).shape == (len(UNSEEN),)
    assert 300 <= done.params["records"] <= 301


def test_copies_of_a_record_do_not_tell_the_perceptron_when_to_stop():
    task = perceptron.Task(np.tile(MATRIX[:100], (3, 1)), np.tile(LABEL[:100], 3), ENCODER, 5, print, {})
    learnt, judged = (set(map(bytes, task.matrix[rows])) for rows in perceptron._parts(task))
    assert learnt
    assert judged
    assert not learnt & judged


@pytest.mark.slow
def test_the_perceptron_learns_of_many_categories_without_a_column_for_each_in_memory():
    random, n, many = np.random.default_rng(1), 10_000, 150
    encoder = Encoder(("town", "shop"), {name: tuple(map(str, range(many))) for name in ("town", "shop")}, {}, {})
    matrix = random.integers(0, many, (n, 2)).astype(np.float32)
    label = (random.random(n) < np.where(matrix[:, 0] < many / 2, 0.9, 0.1)).astype(float)
    tracemalloc.start()
    done = fitted("multilayer_perceptron", matrix, label, encoder=encoder)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < n * 2 * many * matrix.itemsize  # that many columns alone would take it
    assert roc_auc(label, done.model.probability(matrix)) > 0.8
    again = read_model(done.model.file, done.model.to_bytes())
    assert np.array_equal(again.probability(matrix), done.model.probability(matrix))


def test_a_model_that_looks_at_nothing_gives_every_feature_no_share():
    assert set(shares(ENCODER, np.zeros(4)).values()) == {0.0}
