"""A multilayer perceptron, on the ranks of numbers and a column a category."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from refit.scoring.metrics import EPSILON
from refit.scoring.model import SklearnModel
from refit.training.learners.design import shaped
from refit.training.learners.fitted import Fitted, Task
from refit.training.learners.importance import permuted

HIDDEN: Final = (256, 64, 16)
DEFAULTS: Final[dict[str, Any]] = {"alpha": 0.01, "learning_rate": 0.001, "batch": 128, "epochs": 40, "patience": 4}
HELD_OUT: Final = 0.15
"""The share of the training records that says when to stop."""
FEW: Final = 50
ONLY_STATE_OF_FITTING: Final = ("_optimizer", "_random_state", "loss_curve_", "best_loss_", "_no_improvement_count")


def fit(task: Task) -> Fitted:
    """Fit by Adam until records held out have not been told better for `patience` rounds; the best round is kept."""
    shape = shaped(task, ranks="normal", categories="one hot")
    params = task.params
    fitted, judged = _parts(task)
    columns, design = shape.columns, shape.design.astype(np.float32)
    del shape  # else the design is held again, in twice the digits, for as long as it learns
    learnt, held = design[fitted], design[judged]
    del design
    estimator = MLPClassifier(
        HIDDEN,
        alpha=params["alpha"],
        learning_rate_init=params["learning_rate"],
        batch_size=min(params["batch"], len(fitted)),
        random_state=task.seed,
    )
    label = task.label.astype(np.intp)
    best: list[Any] = []
    best_loss, best_epoch = np.inf, 0
    weight = np.ones(len(label)) if task.weight is None else task.weight
    for epoch in range(params["epochs"]):
        estimator.partial_fit(learnt, label[fitted], sample_weight=weight[fitted], classes=np.arange(task.n_classes))
        said = estimator.predict_proba(held)[np.arange(len(judged)), label[judged]]
        loss = float(np.average(-np.log(np.maximum(said, EPSILON)), weights=weight[judged]))
        if not best or loss < best_loss:
            best_loss, best_epoch = loss, epoch
            best = [part.copy() for part in (*estimator.coefs_, *estimator.intercepts_)]
        task.step((epoch + 1) / params["epochs"])
        if epoch - best_epoch >= params["patience"]:
            break
    half = len(estimator.coefs_)
    estimator.coefs_, estimator.intercepts_ = best[:half], best[half:]
    for name in ONLY_STATE_OF_FITTING:
        if hasattr(estimator, name):
            delattr(estimator, name)
    model = SklearnModel(Pipeline([("columns", columns), ("estimator", estimator)]))
    said_of_it = {**params, "hidden": list(HIDDEN), "stopped_after": best_epoch + 1, "seed": task.seed}
    return Fitted(model, said_of_it, permuted(model, task))


def _parts(task: Task) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to learn from and those that say when to stop: copies of one record on the same side.

    Of a handful of records all do both.
    """
    matrix = np.ascontiguousarray(task.matrix)
    rows = matrix.view(np.dtype((np.void, matrix.itemsize * matrix.shape[1]))).ravel()
    _, group = np.unique(rows, return_inverse=True)
    out = (np.random.default_rng(task.seed).random(int(group.max()) + 1) < HELD_OUT)[group]
    if len(task.label) < FEW or out.all() or not out.any():
        return np.arange(len(out)), np.arange(len(out))
    return np.flatnonzero(~out), np.flatnonzero(out)
