"""Each feature's share of what a model looks at."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring.encoder import Encoder
from refit.scoring.metrics import EPSILON, Floats
from refit.scoring.model import Model
from refit.training.learners.fitted import Task

SAMPLE: Final = 500
"""So many records are shuffled and scored again for each feature of a model that cannot say itself."""


def shares(encoder: Encoder, weight: NDArray[Any]) -> dict[str, float]:
    """Return each feature's share, summing to 1; all 0 for a model that looks at nothing."""
    total = float(weight.sum())
    return {name: float(part) / total if total else 0.0 for name, part in zip(encoder.features, weight, strict=True)}


def permuted(model: Model, task: Task) -> dict[str, float]:
    """Return shares of how much worse the log loss of training records gets when one feature is shuffled.

    Breiman 2001, Random Forests, section 10. A feature without which the model does better counts nothing.
    """
    random = np.random.default_rng(task.seed)
    rows = random.permutation(len(task.matrix))[:SAMPLE]
    matrix, label = task.matrix[rows], task.label[rows].astype(np.intp)
    plain = _loss(model.probability(matrix), label)
    worse = np.zeros(matrix.shape[1])
    for index in range(matrix.shape[1]):
        shuffled = matrix.copy()
        shuffled[:, index] = matrix[random.permutation(len(rows)), index]
        worse[index] = _loss(model.probability(shuffled), label) - plain
    return shares(task.encoder, np.maximum(worse, 0.0))


def _loss(probability: Floats, label: NDArray[np.intp]) -> float:
    p = probability if probability.ndim > 1 else np.column_stack([1 - probability, probability])
    return float(-np.log(np.maximum(p[np.arange(len(label)), label], EPSILON)).mean())
