"""Learners fitted on all that is not tested on, and still judged and calibrated on records they had not seen.

On SBA loans matured by mid-2003 a model that stopped at the calibration records, 20 months before the test, reached an
AUC of 0.65 where one that went on to the test reached 0.71; and a year later the former way chose the worse learner. So
a model learns from both, and what it says of the calibration records comes from models that each left a third of those
out: the way of scikit-learn's `CalibratedClassifierCV(ensemble=False)`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from refit.scoring.encoder import Encoder, Matrix
from refit.scoring.metrics import Floats
from refit.training.balancing import balanced
from refit.training.calibration import folds
from refit.training.learners.fitted import Fitted
from refit.training.learners.registry import LEARNERS
from refit.training.parallel import Step, side_by_side
from refit.training.split import Parts, Rows, row_hashes, together
from refit.usecase.model import UseCase
from refit.usecase.policy import Balancing, LearnerName

FOLDS: Final = 3
FEW: Final = 20_000
FOLDS_OF_FEW: Final = 5
"""Of fewer records more folds: each model that holds some out then learns from nearly as many as the last."""


@dataclass(frozen=True, slots=True)
class Config:
    """A learner, how its training records are balanced, and what is changed about its defaults."""

    learner: LearnerName
    balancing: Balancing = "none"
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encoded:
    """All matured records as a learner takes them.

    `matrix` is (n_records, n_features), `label` (n_records,) 1.0 bad and 0.0 good or the class index.
    """

    encoder: Encoder
    matrix: Matrix
    label: Floats
    n_classes: int = 2

    def fit(self, config: Config, rows: Rows, seed: int, step: Step) -> Fitted:
        """Return the model that a configuration makes of these records, which are balanced first."""
        matrix, label = balanced(self.matrix[rows], self.label[rows], self.encoder, config.balancing, seed)
        learner = LEARNERS[config.learner]
        return learner(matrix, label, self.encoder, seed, step, params=config.params, n_classes=self.n_classes)

    def empty(self, n: int) -> Floats:
        """Return room for the probabilities of n records."""
        return np.empty(n) if self.n_classes == 2 else np.empty((n, self.n_classes))  # noqa: PLR2004 - good and bad


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """The model fitted on all before the test, and the raw probabilities of those that calibrate, each held out."""

    fitted: Fitted
    held_out: Floats


def held(parts: Parts, usecase: UseCase) -> Rows:
    """Return the records that calibrate: by time the newest before the test, at random all before it."""
    return parts.calibration if usecase.split.by == "time" else parts.before_test


def crossfit(
    encoded: Encoded, configs: Sequence[Config], before: Rows, held: Rows, seed: int, step: Step
) -> list[CrossFitted]:
    """Fit each on all records before the test, and a few times more to hold each of those that calibrate out once.

    Args:
        before: Row numbers to learn from.
        held: Those of them that calibrate.
    """
    count = FOLDS_OF_FEW if len(held) == len(before) < FEW else FOLDS
    fold = dealt(encoded.matrix[held], encoded.label[held], seed, count)
    without = [np.setdiff1d(before, held[fold == number], assume_unique=True) for number in range(count)]

    def fit(config: Config, number: int) -> Callable[[Step], Fitted | Floats]:
        def run(step: Step) -> Fitted | Floats:
            if number == count:
                return encoded.fit(config, before, seed, step)
            fitted = encoded.fit(config, without[number], seed, step)
            return fitted.model.probability(encoded.matrix[held[fold == number]])

        return run

    done = side_by_side([fit(config, number) for config in configs for number in range(count + 1)], step)
    found = []
    for place in range(0, len(done), count + 1):
        held_out = encoded.empty(len(held))
        for number, said in enumerate(done[place : place + count]):
            held_out[fold == number] = cast("Floats", said)
        found.append(CrossFitted(cast("Fitted", done[place + count]), held_out))
    return found


def dealt(matrix: Matrix, label: Floats, seed: int, count: int) -> NDArray[np.intp]:
    """Deal the records out, each outcome evenly, records alike in every feature together: no copy tells on another."""
    group = together(row_hashes(matrix), label)
    outcome = np.zeros(int(group.max()) + 1)
    np.maximum.at(outcome, group, label)
    return folds(outcome, seed, count)[group]
