from dataclasses import dataclass

import numpy as np
import pytest

from refit.scoring.encoder import Encoder
from refit.training import crossfit
from refit.training.crossfit import Config, Encoded, held
from refit.training.learners.fitted import Fitted
from refit.training.learners.registry import LEARNERS
from refit.training.split import Parts
from tests.unit.training.book import book, usecase

CASE = usecase()
FRAME = book(600)
COLUMNS = {name: FRAME[name].to_numpy() for name in CASE.features}
ENCODER = Encoder.fit(COLUMNS, CASE)
MATRIX = ENCODER.encode(COLUMNS)
MATRIX[300:350] = MATRIX[250:300]  # copies within the calibration records
LABEL = (np.random.default_rng(1).random(600) < 0.2).astype(float)
ENCODED = Encoded(ENCODER, MATRIX, LABEL)
PARTS = Parts(np.arange(200), np.arange(200, 400), np.arange(400, 600))


@dataclass(frozen=True)
class Memory:
    """A model that knows the records it was fitted on by heart, and nothing else."""

    known: frozenset[bytes]
    file: str = "model.memory"

    def probability(self, matrix):
        return np.array([float(row.tobytes() in self.known) for row in matrix])

    def to_bytes(self):
        return b""


def by_heart(matrix, label, encoder, seed, step, *, params, n_classes=2, weight=None):  # noqa: ARG001 - a learner's
    step(1.0)
    return Fitted(Memory(frozenset(row.tobytes() for row in matrix)), {}, {})


@pytest.fixture(autouse=True)
def _with_a_learner_by_heart(monkeypatch):
    monkeypatch.setattr(crossfit, "LEARNERS", {**LEARNERS, "memory": by_heart})


def crossed(*learners, held=PARTS.calibration):
    configs = [Config(learner) for learner in learners]
    return crossfit.crossfit(ENCODED, configs, PARTS.before_test, held, 20, lambda _: None)


def test_no_record_nor_a_copy_of_it_is_judged_by_a_model_that_saw_it():
    [memory] = crossed("memory")
    seen_before = memory.fitted.model.known & {row.tobytes() for row in MATRIX[PARTS.fit]}
    in_fit = np.array([row.tobytes() in seen_before for row in MATRIX[PARTS.calibration]])
    assert memory.held_out[~in_fit].tolist() == [0.0] * int((~in_fit).sum())
    assert int((~in_fit).sum()) == len(PARTS.calibration)


def test_all_before_the_test_can_be_held_out_in_turn():
    [memory] = crossed("memory", held=PARTS.before_test)
    assert memory.held_out.tolist() == [0.0] * len(PARTS.before_test)


def test_by_time_the_newest_calibrate_and_at_random_all_before_the_test():
    assert held(PARTS, usecase()).tolist() == PARTS.calibration.tolist()
    assert held(PARTS, usecase(split={"by": "random"})).tolist() == PARTS.before_test.tolist()


def test_the_last_model_learns_from_all_before_the_test_and_nothing_of_it():
    model = crossed("memory")[0].fitted.model
    assert model.probability(MATRIX[PARTS.before_test]).all()
    assert not model.probability(MATRIX[PARTS.test]).any()


def test_each_is_fitted_once_a_fold_and_once_on_all_and_keeps_its_own_results(monkeypatch):
    fits = []

    def counted(matrix, label, encoder, seed, step, **how):
        fits.append(len(matrix))
        return LEARNERS["xgboost"](matrix, label, encoder, seed, step, **how)

    monkeypatch.setattr(crossfit, "LEARNERS", {"memory": by_heart, "xgboost": counted})
    memory, boosted = crossed("memory", "xgboost")
    assert len(fits) == crossfit.FOLDS + 1
    assert max(fits) == len(PARTS.before_test)
    assert isinstance(memory.fitted.model, Memory)
    assert 0 < boosted.held_out.min() < boosted.held_out.max() < 1


def test_training_records_alone_are_balanced_before_a_fit(monkeypatch):
    seen = []

    def counted(matrix, label, encoder, seed, step, **how):
        seen.append(float(label.mean()))
        return by_heart(matrix, label, encoder, seed, step, **how)

    monkeypatch.setattr(crossfit, "LEARNERS", {"xgboost": counted})
    found = crossfit.crossfit(
        ENCODED, [Config("xgboost", "under")], PARTS.before_test, PARTS.calibration, 20, lambda _: None
    )
    assert seen == [0.5] * 4
    assert len(found[0].held_out) == len(PARTS.calibration)


def test_another_seed_gives_another_model():
    rows = PARTS.before_test
    first, again, other = (
        LEARNERS["xgboost"](MATRIX[rows], LABEL[rows], ENCODER, seed, lambda _: None, params={}).model.to_bytes()
        for seed in (1, 1, 2)
    )
    assert first == again != other
