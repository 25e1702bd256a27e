"""Learners fitted on all that is not tested on, and still judged and calibrated on records they had not seen.

On SBA loans matured by mid-2003 a model that stopped at the calibration records, 20 months before the test, reached an
AUC of 0.65 where one that went on to the test reached 0.71; and a year later the former way chose the worse learner. So
a model learns from both, and what it says of the calibration records comes from models that each left a third of those
out: the way of scikit-learn's `CalibratedClassifierCV(ensemble=False)`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring.encoder import Encoder, Matrix
from refit.scoring.metrics import Floats
from refit.training.calibration import folds
from refit.training.learners import Fitted, Learner
from refit.training.parallel import Step, side_by_side
from refit.training.split import Parts, Rows

FOLDS: Final = 3


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """The model fitted on all before the test, and the (n_calibration,) raw probabilities, each held out."""

    fitted: Fitted
    held_out: Floats


def crossfit(
    learners: Mapping[str, Learner],
    encoder: Encoder,
    matrix: Matrix,
    label: Floats,
    parts: Parts,
    seed: int,
    step: Step,
) -> dict[str, CrossFitted]:
    """Fit each learner on the fit and calibration records, and three times more to hold each of the latter out once.

    Args:
        matrix: (n_records, n_features) of all matured records.
        label: (n_records,) 1.0 bad, 0.0 good.
    """
    fold = _folds(matrix[parts.calibration], label[parts.calibration], seed)
    without = [np.concatenate([parts.fit, parts.calibration[fold != number]]) for number in range(FOLDS)]

    def fit(learner: Learner, rows: Rows) -> Callable[[Step], Fitted]:
        return lambda step: learner(matrix[rows], label[rows], encoder, seed, step)

    plans = [(name, rows) for name in learners for rows in (*without, parts.before_test)]
    done = side_by_side([fit(learners[name], rows) for name, rows in plans], step)
    found = {}
    for number, name in enumerate(learners):
        *models, last = done[number * (FOLDS + 1) : (number + 1) * (FOLDS + 1)]
        held_out = np.empty(len(parts.calibration))
        for out, fitted in enumerate(models):
            rows = parts.calibration[fold == out]
            held_out[fold == out] = fitted.model.probability(matrix[rows])
        found[name] = CrossFitted(last, held_out)
    return found


def _folds(matrix: Matrix, label: Floats, seed: int) -> NDArray[np.intp]:
    """Deal the records out, the bad ones evenly, records alike in every feature together: no copy tells on another."""
    rows = np.ascontiguousarray(matrix).view(np.dtype((np.void, matrix.itemsize * matrix.shape[1]))).ravel()
    _, group = np.unique(rows, return_inverse=True)
    bad = (np.bincount(group, weights=label) > 0).astype(np.float64)
    return folds(bad, seed, FOLDS)[group]
