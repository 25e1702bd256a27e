"""XGBoost on codes as categories and on missing values as they are."""

from typing import Any, Final

import numpy as np
import xgboost

from refit.scoring.model import XGBoostModel
from refit.training.learners.fitted import Fitted, Task
from refit.training.learners.importance import shares
from refit.training.parallel import Step

DEFAULTS: Final[dict[str, Any]] = {
    "trees": 200,
    "eta": 0.07,
    "max_depth": 4,
    "max_leaves": 0,
    "min_child_weight": 5.0,
    "gamma": 0.0,
    "lambda": 1.0,
    "alpha": 0.0,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "max_cat_to_onehot": 4,
    "max_cat_threshold": 64,
}


def fit(task: Task) -> Fitted:
    """Fit boosted trees; with `max_leaves` they grow where they gain most, else level by level."""
    types = ["c" if category else "q" for category in task.encoder.is_category]
    data = xgboost.DMatrix(
        task.matrix, label=task.label, weight=task.weight, feature_types=types, enable_categorical=True, nthread=1
    )
    settings = {name: value for name, value in task.params.items() if name != "trees"} | {
        "objective": "binary:logistic" if task.n_classes == 2 else "multi:softprob",  # noqa: PLR2004 - good and bad
        "grow_policy": "lossguide" if task.params["max_leaves"] else "depthwise",
        "tree_method": "hist",
        "seed": task.seed,
        "nthread": 1,
        "verbosity": 0,
    }
    if task.n_classes > 2:  # noqa: PLR2004 - good and bad
        settings["num_class"] = task.n_classes
    trees = task.params["trees"]
    booster = xgboost.train(settings, data, trees, callbacks=[_Told(task.step, trees)])
    gains = booster.get_score(importance_type="total_gain")
    weight = np.array([gains.get(f"f{index}", 0.0) for index in range(len(types))])
    return Fitted(XGBoostModel(booster), {**task.params, "seed": task.seed}, shares(task.encoder, weight))


class _Told(xgboost.callback.TrainingCallback):  # type: ignore[misc] # xgboost has no types
    """Tells how far the boosting is."""

    def __init__(self, step: Step, trees: int) -> None:
        super().__init__()
        self._step = step
        self._trees = trees

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - xgboost's signature
        self._step((epoch + 1) / self._trees)
        return False
