"""The learners a use case may name, and the parameters each comes with.

The same matrix, label, parameters and seed give the same model. Each runs on one thread; call them through `parallel`,
which also keeps the libraries quiet.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from refit.errors import ContractError, DataError
from refit.scoring.encoder import Encoder, Matrix
from refit.scoring.metrics import Floats
from refit.training.learners import boosting, linear, neighbours, perceptron, scorecard, trees
from refit.training.learners.fitted import Fitted, Learner, Task
from refit.training.parallel import Step

_ROOMS: Final[Mapping[str, tuple[Callable[[Task], Fitted], Mapping[str, Any]]]] = {
    "logistic_regression": (linear.fit, linear.DEFAULTS),
    "decision_tree": (trees.tree, trees.TREE),
    "random_forest": (trees.forest, trees.FOREST),
    "k_nearest_neighbours": (neighbours.fit, neighbours.DEFAULTS),
    "xgboost": (boosting.fit, boosting.DEFAULTS),
    "multilayer_perceptron": (perceptron.fit, perceptron.DEFAULTS),
    "scorecard": (scorecard.fit, scorecard.DEFAULTS),
}

DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {name: defaults for name, (_, defaults) in _ROOMS.items()}


def _checked(name: str, fit: Callable[[Task], Fitted], defaults: Mapping[str, Any]) -> Learner:
    def learner(
        matrix: Matrix,
        label: Floats,
        encoder: Encoder,
        seed: int,
        step: Step,
        *,
        params: Mapping[str, Any],
        n_classes: int = 2,
        weight: Floats | None = None,
    ) -> Fitted:
        if strange := sorted(set(params) - set(defaults)):
            raise ContractError(f"{name} has no parameter {', '.join(strange)}; choose from {', '.join(defaults)}")
        counts = np.bincount(label.astype(np.intp), minlength=n_classes)
        if absent := np.flatnonzero(counts == 0).tolist():
            raise DataError(f"no training record of class {', '.join(map(str, absent))}; {name} cannot learn it")
        if np.isnan(matrix).all():
            raise DataError(f"every feature is missing in every training record; {name} has nothing to learn from")
        return fit(Task(matrix, label, encoder, seed, step, {**defaults, **params}, n_classes, weight))

    return learner


LEARNERS: Final[Mapping[str, Learner]] = {name: _checked(name, *room) for name, room in _ROOMS.items()}
