import itertools
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from refit.scoring import bundle as bundles
from refit.scoring.encoder import Encoder
from refit.training import crossfit, search
from refit.training.crossfit import Config, Encoded
from refit.training.learners import boosting
from refit.training.learners.fitted import Fitted
from refit.training.learners.registry import DEFAULTS
from refit.training.search import KEPT, described
from refit.training.search import search as find
from refit.training.split import Parts
from refit.training.train import train
from refit.training.validation import Fold, folds
from refit.usecase.policy import Search
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

CASE = usecase(learners=["logistic_regression", "xgboost"], balancing=["none", "under"])
FRAME = book(900)
COLUMNS = {name: FRAME[name].to_numpy() for name in CASE.features}
ENCODER = Encoder.fit(COLUMNS, CASE)
LABEL = np.where(FRAME["sector"] == "22", 0.7, 0.1) > np.random.default_rng(4).random(900)
ENCODED = Encoded(ENCODER, ENCODER.encode(COLUMNS), LABEL.astype(float))
PARTS = Parts(np.arange(560), np.arange(560, 700), np.arange(700, 900))


def quiet(_text, _done):
    pass


@dataclass(frozen=True)
class Says:
    """A model that knows the truth as well as its parameter says."""

    strength: float
    file: str = "model.says"

    def probability(self, matrix):
        known = matrix[:, 3] == matrix[:, 3].max()
        return np.where(known, 0.5 + self.strength / 2, 0.5 - self.strength / 2)


@pytest.fixture
def strengths(monkeypatch):
    """One learner, `xgboost` by name, with one parameter: the closer to 0.8, the better."""
    tried = []

    def learner(matrix, label, encoder, seed, step, *, params, n_classes=2, weight=None):  # noqa: ARG001
        tried.append(params["strength"])
        step(1.0)
        signal = (1 - abs(params["strength"] - 0.8)) * 0.9
        noise = np.random.default_rng(int(params["strength"] * 1e9)).random(900) * (1 - signal)
        truth = LABEL.astype(float) * signal + noise
        return Fitted(SimpleNamespace(probability=lambda matrix: truth[rows_of(matrix)]), params, {})

    monkeypatch.setattr(crossfit, "LEARNERS", {"xgboost": learner})
    monkeypatch.setattr(search, "DEFAULTS", {"xgboost": {"strength": 0.1}})
    monkeypatch.setattr(search, "starts", lambda _name: ({"strength": 0.1},))
    monkeypatch.setattr(
        search, "suggest", lambda _name, trial, _n, _k: {"strength": trial.suggest_float("strength", 0, 1)}
    )
    return tried


PLACE = {row.tobytes(): number for number, row in enumerate(ENCODED.matrix)}


def rows_of(matrix):
    return np.array([PLACE[row.tobytes()] for row in matrix])


ALONE = usecase(learners=["xgboost"])


def run(trials=None, seconds=None, case=ALONE, **how):
    return find(ENCODED, PARTS, case, Search(trials=trials, seconds=seconds), how.pop("tell", quiet), **how)


def test_no_trials_mean_each_learner_as_it_comes():
    found = run(0, case=CASE)
    assert found.best == (Config("logistic_regression"), Config("xgboost"))
    assert found.told == {"trials": 0}


def test_a_search_comes_closer_to_the_best_parameter_than_the_default_and_keeps_a_few(strengths):
    found = run(30)
    assert len(found.best) == KEPT
    assert found.start == Config("xgboost", "none", {"strength": 0.1})
    assert found.tried == (found.start, *found.best)
    assert abs(found.best[0].params["strength"] - 0.8) < 0.1
    assert strengths[0] == 0.1
    assert found.told["trials"] == 30
    assert found.told["best"][0]["params"] == found.best[0].params


def test_what_is_known_to_do_well_is_tried_first_each_learners_first_before_any_second(monkeypatch, strengths):
    monkeypatch.setattr(search, "starts", lambda _name: ({"strength": 0.2}, {"strength": 0.9}, {"strength": 0.4}))
    run(3)
    assert set(strengths) == {0.2, 0.9, 0.4}
    turns = search._in_turns([[{"a": 1}, {"a": 2}], [{"b": 1}], [{"c": 1}, {"c": 2}]])
    assert list(turns) == [{"a": 1}, {"b": 1}, {"c": 1}, {"a": 2}, {"c": 2}]


def test_the_start_is_the_best_learner_as_it_comes_whatever_was_found_beside_it():
    found = run(5, case=CASE)
    as_they_come = {
        best["learner"]: best["loss"] for best in found.told["best"] if best["params"] == DEFAULTS[best["learner"]]
    }
    assert found.start is not None
    assert found.start.params == DEFAULTS[found.start.learner]
    assert found.start.balancing == "none"
    assert found.start not in found.best
    assert as_they_come.get(found.start.learner, 0.0) <= min(as_they_come.values(), default=0.0)


def judged(value, losses):
    config = {"learner": "xgboost", "balancing": "none", "params": {}}
    return optuna.trial.create_trial(value=value, user_attrs={"config": config, "losses": losses})


@pytest.mark.parametrize(
    ("losses", "ahead"),
    [([0.39, 0.29, 0.19], True), ([0.20, 0.10, 0.21], False), ([0.39, 0.29, 0.20], False)],
    ids=["in each block", "by much in two of three", "a tie in one"],
)
def test_by_time_what_is_found_must_beat_the_start_in_each_block(losses, ahead):
    start = judged(0.3, [0.4, 0.3, 0.2])
    assert search._always_ahead(judged(float(np.mean(losses)), losses), start) is ahead


def test_by_time_nothing_stands_beside_a_start_that_no_trial_always_beats(monkeypatch, strengths):
    monkeypatch.setattr(search, "_always_ahead", lambda trial, _start: trial.params["strength"] > 0.9)
    assert {config.params["strength"] > 0.9 for config in run(12).best} <= {True}
    by_chance = run(12, case=usecase(learners=["xgboost"], split={"by": "random"})).best
    assert any(config.params["strength"] <= 0.9 for config in by_chance)
    assert strengths


def test_the_best_of_another_learner_is_kept_where_it_is_near():
    def trial(learner, value):
        config = {"learner": learner, "balancing": "none", "params": {"C": value}}
        return optuna.trial.create_trial(value=value, user_attrs={"config": config})

    ranked = [*(trial("xgboost", value) for value in (0.40, 0.401, 0.402, 0.403)), trial("random_forest", 0.41)]
    far = [trial("random_forest", 0.415), trial("scorecard", 0.5)]
    kept = [(config.learner, config.params["C"]) for config in search._kept([*ranked, *far])]
    assert kept == [("xgboost", 0.40), ("xgboost", 0.401), ("xgboost", 0.402), ("random_forest", 0.41)]


def test_what_is_behind_after_the_first_fold_goes_no_further(strengths):
    found = run(30)
    pruned = found.told["pruned"]
    assert 0 < pruned < 30
    assert len(strengths) == 30 + 2 * (30 - pruned)


@pytest.mark.usefixtures("strengths")
def test_the_same_seed_finds_the_same_on_any_number_of_cores_and_another_seed_something_else(monkeypatch):
    first = run(14)
    monkeypatch.setattr("refit.training.parallel.MOST", 1)
    assert run(14) == first
    assert run(14, case=usecase(learners=["xgboost"], seed=21)).best != first.best


def test_a_search_that_was_stopped_goes_on_as_if_it_never_had_been(strengths):
    whole = run(16)
    storage = optuna.storages.InMemoryStorage()
    run(8, storage=storage, name="book")
    before = len(strengths)
    went_on = run(16, storage=storage, name="book")
    assert went_on == whole
    assert len(strengths) - before < 3 * 8 + 1
    assert run(16, storage=storage, name="book") == whole


class StoppedError(Exception):
    """What a test stops a search with."""


class Kept(optuna.storages.InMemoryStorage):
    """What outlives a stop."""

    def create_new_trial(self, study_id, template_trial=None):
        return super().create_new_trial(study_id, template_trial)


def stops_after(n_calls, does):
    """Return what does so many times what `does` does, and then stops."""
    left = itertools.count(n_calls, -1)

    def stopping(*args, **kwargs):
        if next(left) <= 0:
            raise StoppedError
        return does(*args, **kwargs)

    return stopping


@pytest.mark.usefixtures("strengths")
@pytest.mark.parametrize("n_calls", [3, 6])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (search, "suggest"),
        (search._Run, "_loss"),
        (optuna.Study, "tell"),
        (optuna.storages.InMemoryStorage, "set_trial_intermediate_value"),
        (Kept, "create_new_trial"),
    ],
    ids=["asking", "fitting", "telling", "reporting", "keeping"],
)
def test_wherever_a_search_is_stopped_it_goes_on_as_if_it_never_had_been(monkeypatch, owner, name, n_calls):
    monkeypatch.setattr(search, "starts", lambda _name: tuple({"strength": n / 10} for n in range(1, 7)))
    whole = run(14)
    storage = Kept()
    with monkeypatch.context() as cut:
        cut.setattr(owner, name, stops_after(n_calls, getattr(owner, name)))
        with pytest.raises(StoppedError):
            run(14, storage=storage, name="book")
    before = len(optuna.load_study(study_name="book", storage=storage).trials)
    assert run(14, storage=storage, name="book") == whole
    assert len(optuna.load_study(study_name="book", storage=storage).trials) == 14 + before % 4


def test_another_budget_goes_on_from_the_last_batch_that_it_would_have_asked_for_too(strengths):
    whole, shorter = run(14), run(6)
    storage = optuna.storages.InMemoryStorage()
    assert run(6, storage=storage, name="book") == shorter
    assert run(14, storage=storage, name="book") == whole
    before = len(strengths)
    assert run(6, storage=storage, name="book") == shorter
    assert len(strengths) == before


@pytest.mark.slow
def test_a_bundle_of_a_search_that_was_stopped_in_a_batch_is_the_same_byte_for_byte(tmp_path):
    case = usecase(learners=["decision_tree"], search={"trials": 14}, split={"by": "random"})

    def kept():
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "search")))

    def stop_at_the_third_batch(text, _done):
        if "12 of 14" in text:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(FRAME, case, AS_OF, **MADE_WITH, storage=kept(), progress=stop_at_the_third_batch)
    assert (tmp_path / "search").read_text().count('"place"') == 8
    went_on = train(FRAME, case, AS_OF, **MADE_WITH, storage=kept()).bundle
    assert bundles.to_files(went_on) == bundles.to_files(train(FRAME, case, AS_OF, **MADE_WITH).bundle)


@pytest.mark.usefixtures("strengths")
def test_a_batch_that_the_end_of_the_time_cut_into_is_not_kept():
    now = iter(np.arange(0, 1000, 0.25))
    storage = optuna.storages.InMemoryStorage()
    found = run(seconds=20.0, clock=lambda: float(next(now)), storage=storage, name="book")
    n_kept = len(optuna.load_study(study_name="book", storage=storage).trials)
    assert n_kept > 0
    assert n_kept % 4 == 0
    assert n_kept <= found.told["trials"] < n_kept + 4


@pytest.mark.usefixtures("strengths")
def test_seconds_end_a_search_and_what_was_not_finished_is_not_counted():
    now = iter(np.arange(0, 1000, 0.25))
    found = run(seconds=20.0, clock=lambda: float(next(now)))
    assert 0 < found.told["trials"] < 80
    assert found.told["repeatable"] is False
    assert len(found.best) > 0


@pytest.mark.usefixtures("strengths")
def test_a_time_too_short_for_a_single_trial_leaves_each_learner_as_it_comes():
    now = iter(np.arange(0, 1000, 0.25))
    found = run(seconds=0.3, clock=lambda: float(next(now)))
    assert found.best == found.tried == (Config("xgboost"),)
    assert found.told["trials"] == 0


@pytest.mark.usefixtures("strengths")
def test_whichever_budget_is_used_up_first_ends_it():
    assert run(5, 3600.0).told["trials"] == 5


@pytest.mark.slow
def test_progress_names_what_is_tried_and_the_best_so_far_and_never_goes_back():
    told = []
    run(8, case=CASE, tell=lambda text, done: told.append((done, text)))
    done = [fraction for fraction, _ in told]
    assert done == sorted(done)
    assert 0 <= done[0] <= done[-1] <= 1
    assert "none is judged yet" in told[0][1]
    assert "logistic regression and xgboost" in told[0][1]
    assert "best so far" in told[-1][1]
    assert "log loss 0." in told[-1][1]


def test_by_time_each_fold_is_foretold_from_what_is_before_it_newest_first():
    found = folds(ENCODED, PARTS, CASE)
    assert len(found) == 3
    assert found[0].judge[-1] == PARTS.before_test[-1]
    for fold in found:
        assert fold.fit.max() < fold.judge.min()
    assert all(newer.judge.min() > older.judge.max() for newer, older in itertools.pairwise(found))
    assert not np.isin(PARTS.test, np.concatenate([np.concatenate([f.fit, f.judge]) for f in found])).any()


def test_at_random_each_record_is_judged_once_and_copies_stay_together():
    matrix = ENCODED.matrix.copy()
    matrix[350:450] = matrix[:100]
    found = folds(Encoded(ENCODER, matrix, ENCODED.label), PARTS, usecase(split={"by": "random"}))
    judged = np.concatenate([fold.judge for fold in found])
    assert sorted(judged) == PARTS.before_test.tolist()
    for fold in found:
        assert not np.isin(fold.judge, fold.fit).any()
        assert np.isin(np.arange(100), fold.judge).tolist() == np.isin(np.arange(350, 450), fold.judge).tolist()


def test_a_search_looks_at_so_many_records_at_most(monkeypatch):
    monkeypatch.setattr("refit.training.validation.MOST", 120)
    monkeypatch.setattr("refit.training.validation.MOST_JUDGED", 50)
    monkeypatch.setattr("refit.training.validation.ENOUGH", 5)
    found = folds(ENCODED, PARTS, CASE)
    assert [(len(fold.fit), len(fold.judge)) for fold in found] == [(120, 50)] * 3
    assert isinstance(found[0], Fold)


def test_where_an_outcome_is_rare_a_search_looks_at_as_many_as_hold_enough_of_it(monkeypatch):
    monkeypatch.setattr("refit.training.validation.MOST", 20)
    monkeypatch.setattr("refit.training.validation.MOST_JUDGED", 20)
    monkeypatch.setattr("refit.training.validation.ENOUGH", 30)
    label = np.zeros(900)
    label[::7] = 1.0  # 40 of 280 before the newest block
    found = folds(Encoded(ENCODER, ENCODED.matrix, label), PARTS, CASE)
    for fold in found:
        assert label[fold.fit].sum() == pytest.approx(30, abs=10)
        assert 20 < len(fold.fit) < 280
        assert len(fold.judge) == 105  # none to spare


def test_a_fold_without_one_of_the_outcomes_is_passed_over():
    label = ENCODED.label.copy()
    label[595:] = 0.0
    assert len(folds(Encoded(ENCODER, ENCODED.matrix, label), PARTS, CASE)) == 2


def test_balancing_is_named_where_there_is_any():
    assert [described(Config("xgboost", b)) for b in ("none", "smote")] == ["xgboost", "xgboost with smote"]


@pytest.mark.slow
def test_a_searched_bundle_is_the_same_byte_for_byte_and_its_card_tells_of_the_search(monkeypatch):
    monkeypatch.setitem(boosting.DEFAULTS, "trees", 50)
    case = usecase(balancing=["none", "over"], search={"trials": 7})
    first, second = (train(FRAME, case, AS_OF, **MADE_WITH) for _ in range(2))
    assert bundles.to_files(first.bundle) == bundles.to_files(second.bundle)
    told = first.bundle.card["search"]
    assert told["trials"] == 7
    assert told["repeatable"] is True
    assert {best["learner"] for best in told["best"]} <= {"logistic_regression", "xgboost"}
    assert len(first.candidates) <= 1 + KEPT + 1  # the start before them, a blend after


def test_a_budget_of_seconds_is_noted_as_not_repeatable():
    done = train(FRAME, CASE, AS_OF, **MADE_WITH, search=Search(trials=2, seconds=3600))
    assert any("3600 seconds" in note for note in done.bundle.card["notes"])
    assert done.bundle.card["search"]["repeatable"] is False


def test_the_clock_of_a_search_only_goes_forward():
    assert search.search.__kwdefaults__["clock"] is time.monotonic
