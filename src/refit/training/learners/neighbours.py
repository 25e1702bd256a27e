"""K nearest neighbours, on the ranks of numbers and the rates of categories."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from refit.scoring.model import SklearnModel
from refit.training.learners.design import shaped
from refit.training.learners.fitted import Fitted, Task
from refit.training.learners.importance import permuted

DEFAULTS: Final[dict[str, Any]] = {"neighbours": 50, "weights": "uniform", "p": 1}
MOST: Final = 20_000
"""So many records at most are kept to compare with: each lies in the bundle, and is looked at for every answer."""


def fit(task: Task) -> Fitted:
    """Keep the records. Weights become how often a record is drawn: neighbours have none."""
    shape = shaped(task, ranks="uniform", categories="rates")
    rows = _drawn(task)
    n = min(task.params["neighbours"], len(rows))
    estimator = KNeighborsClassifier(n, weights=task.params["weights"], p=task.params["p"], algorithm="brute", n_jobs=1)
    estimator.fit(shape.columns.transform(task.matrix.astype(np.float64))[rows], task.label[rows])
    task.step(0.5)
    model = SklearnModel(Pipeline([("columns", shape.columns), ("estimator", estimator)]))
    importance = permuted(model, task)
    task.step(1.0)
    notes = (f"k nearest neighbours looks at {MOST:,} of {len(task.label):,} training records, drawn at random",)
    params = {**task.params, "neighbours": n, "records": len(rows), "seed": task.seed}
    return Fitted(model, params, importance, notes if len(task.label) > MOST else ())


def _drawn(task: Task) -> NDArray[np.intp]:
    """Return the rows to keep; drawn by their weights; a class of which none was drawn keeps its first record."""
    n = len(task.label)
    if task.weight is None and n <= MOST:
        return np.arange(n)
    random = np.random.default_rng(task.seed)
    share = None if task.weight is None else task.weight / task.weight.sum()
    rows = random.choice(n, min(n, MOST), replace=task.weight is not None, p=share)
    lost = np.setdiff1d(np.arange(task.n_classes), task.label[rows])
    return np.sort([*rows, *(int(np.argmax(task.label == index)) for index in lost)]).astype(np.intp)
