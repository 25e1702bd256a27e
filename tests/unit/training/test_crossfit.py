from dataclasses import dataclass

import numpy as np
import pytest

from refit.scoring.encoder import Encoder
from refit.training.crossfit import FOLDS, crossfit
from refit.training.learners import LEARNERS, Fitted
from refit.training.split import Parts
from tests.unit.training.book import book, usecase

CASE = usecase()
FRAME = book(600)
COLUMNS = {name: FRAME[name].to_numpy() for name in CASE.features}
ENCODER = Encoder.fit(COLUMNS, CASE)
MATRIX = ENCODER.encode(COLUMNS)
MATRIX[300:350] = MATRIX[250:300]  # copies within the calibration records
LABEL = (np.random.default_rng(1).random(600) < 0.2).astype(float)
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


def by_heart(matrix, label, encoder, seed, step):  # noqa: ARG001 - a learner's signature
    step(1.0)
    return Fitted(Memory(frozenset(row.tobytes() for row in matrix)), {}, {})


@pytest.fixture(scope="module")
def crossed():
    return crossfit({"memory": by_heart}, ENCODER, MATRIX, LABEL, PARTS, 20, lambda _: None)["memory"]


def test_no_record_nor_a_copy_of_it_is_judged_by_a_model_that_saw_it(crossed):
    seen_before = crossed.fitted.model.known & {row.tobytes() for row in MATRIX[PARTS.fit]}
    in_fit = np.array([row.tobytes() in seen_before for row in MATRIX[PARTS.calibration]])
    assert crossed.held_out[~in_fit].tolist() == [0.0] * int((~in_fit).sum())
    assert int((~in_fit).sum()) == len(PARTS.calibration)


def test_the_last_model_learns_from_all_before_the_test_and_nothing_of_it(crossed):
    model = crossed.fitted.model
    assert model.probability(MATRIX[PARTS.before_test]).all()
    assert not model.probability(MATRIX[PARTS.test]).any()


def test_each_learner_is_fitted_once_a_fold_and_once_on_all_and_keeps_its_own_results():
    fits = []

    def counted(matrix, label, encoder, seed, step):
        fits.append(len(matrix))
        return LEARNERS["xgboost"](matrix, label, encoder, seed, step)

    found = crossfit({"a": by_heart, "b": counted}, ENCODER, MATRIX, LABEL, PARTS, 20, lambda _: None)
    assert list(found) == ["a", "b"]
    assert len(fits) == FOLDS + 1
    assert max(fits) == len(PARTS.before_test)
    assert isinstance(found["a"].fitted.model, Memory)
    assert 0 < found["b"].held_out.min() < found["b"].held_out.max() < 1


def test_another_seed_gives_another_model():
    rows = PARTS.before_test
    first, again, other = (
        LEARNERS["xgboost"](MATRIX[rows], LABEL[rows], ENCODER, seed, lambda _: None).model.to_bytes()
        for seed in (1, 1, 2)
    )
    assert first == again != other
