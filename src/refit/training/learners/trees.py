"""A decision tree and a random forest, on numbers as they are and categories by their rates."""

from typing import Any, Final

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from refit.scoring.model import SklearnModel
from refit.training.learners.design import shaped
from refit.training.learners.fitted import Fitted, Task
from refit.training.learners.importance import shares

TREE: Final[dict[str, Any]] = {"max_depth": 6, "min_samples_leaf": 0.01, "criterion": "log_loss", "smoothing": 10.0}
"""`smoothing` is for how many records the rate of all counts in each leaf, so that none claims certainty."""
FOREST: Final[dict[str, Any]] = {
    "trees": 200,
    "max_leaf_nodes": 512,
    "min_samples_leaf": 8,
    "max_features": 0.4,
    "max_samples": 1.0,
}
"""`max_leaf_nodes` also keeps the bundle small."""
SLICE: Final = 10
"""Trees grown between two words about progress."""


def tree(task: Task) -> Fitted:
    """Fit one tree; a leaf holds at least `min_samples_leaf` of the records."""
    shape = shaped(task, ranks=None, categories="rates")
    settings = {name: value for name, value in task.params.items() if name != "smoothing"}
    estimator = DecisionTreeClassifier(**settings, random_state=task.seed)
    estimator.fit(shape.design, task.label, sample_weight=task.weight)
    _smooth(estimator.tree_, task.params["smoothing"])
    task.step(1.0)
    return _fitted(task, shape.columns, estimator, shape.owners)


def forest(task: Task) -> Fitted:
    """Fit trees on bootstrap samples, a few at a time."""
    shape = shaped(task, ranks=None, categories="rates")
    settings = {name: value for name, value in task.params.items() if name != "trees"}
    estimator = RandomForestClassifier(**settings, n_estimators=0, warm_start=True, random_state=task.seed, n_jobs=1)
    trees = task.params["trees"]
    while estimator.n_estimators < trees:
        estimator.set_params(n_estimators=min(estimator.n_estimators + SLICE, trees))
        estimator.fit(shape.design, task.label, sample_weight=task.weight)
        task.step(estimator.n_estimators / trees)
    return _fitted(task, shape.columns, estimator, shape.owners)


def _smooth(nodes: Any, more: float) -> None:
    """Shrink the rates of each node towards those of all. Cestnik 1990, Estimating probabilities (m-estimate)."""
    count = nodes.weighted_n_node_samples[:, None, None]
    nodes.value[:] = (count * nodes.value + more * nodes.value[:1]) / (count + more)


def _fitted(task: Task, columns: Any, estimator: Any, owners: Any) -> Fitted:
    totals = np.bincount(owners, weights=estimator.feature_importances_, minlength=task.matrix.shape[1])
    pipeline = Pipeline([("columns", columns), ("estimator", estimator)])
    return Fitted(SklearnModel(pipeline), {**task.params, "seed": task.seed}, shares(task.encoder, totals))
