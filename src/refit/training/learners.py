"""The learners a use case may name: from the encoder's matrix to a model, what it was told, and what it looks at.

The same matrix, label and seed give the same model. Each runs on one thread; call them through `parallel`, which also
keeps the libraries quiet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, QuantileTransformer
from sklearn.utils.sparsefuncs import mean_variance_axis

from refit.scoring.encoder import Encoder, Matrix
from refit.scoring.metrics import Floats
from refit.scoring.model import Model, SklearnModel, XGBoostModel
from refit.training.parallel import Step


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, its parameters for the card, each feature's share of its importance, and what the card should note."""

    model: Model
    params: Mapping[str, Any]
    importance: Mapping[str, float]
    notes: tuple[str, ...] = ()


BOOST: Final[Mapping[str, Any]] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 4,
    "eta": 0.07,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 5,
}
"""Modest trees, fixed: chosen on SBA loans matured by mid-2003, where the number of trees mattered little."""
TREES: Final = 200

PENALTY: Final = 0.05
"""The inverse of the ridge penalty's strength, `C`."""
MAX_ITERATIONS: Final = 1000
RANKS: Final = 200
BINS: Final = 10


def boosted_trees(matrix: Matrix, label: Floats, encoder: Encoder, seed: int, step: Step) -> Fitted:
    """Fit XGBoost on codes as categories and on missing values as they are."""
    types = ["c" if category else "q" for category in encoder.is_category]
    data = xgboost.DMatrix(matrix, label=label, feature_types=types, enable_categorical=True, nthread=1)
    settings = {**BOOST, "seed": seed, "nthread": 1, "verbosity": 0}
    booster = xgboost.train(settings, data, TREES, callbacks=[_Told(step)])
    gains = booster.get_score(importance_type="total_gain")
    importance = _shares(encoder, np.array([gains.get(f"f{index}", 0.0) for index in range(len(types))]))
    return Fitted(XGBoostModel(booster), {**BOOST, "trees": TREES, "seed": seed}, importance)


def logistic_regression(matrix: Matrix, label: Floats, encoder: Encoder, seed: int, step: Step) -> Fitted:
    """Fit a ridge logistic regression on categories, and on numbers by their rank and decile.

    Ranks and deciles are bounded, so that one enormous amount moves nothing but its own record. A missing number takes
    the median and a mark of its own. A feature that is missing in every record is left out.
    """
    present = np.asarray(~np.isnan(matrix).all(axis=0), dtype=bool)
    numbers = np.flatnonzero(present & ~encoder.is_category).tolist()
    categories = np.flatnonzero(present & encoder.is_category).tolist()
    pipeline = _pipeline(numbers, categories, len(matrix), seed)
    pipeline.fit(matrix.astype(np.float64), label)
    step(1.0)
    regression = pipeline["regression"]
    iterations = int(regression.n_iter_.max())
    notes = (f"logistic regression stopped unsettled after {iterations} steps",) if iterations >= MAX_ITERATIONS else ()
    params = {"C": PENALTY, "bins": BINS, "ranks": RANKS, "iterations": iterations, "seed": seed}
    weight = np.abs(regression.coef_[0]) * _spread(pipeline["columns"].transform(matrix.astype(np.float64)))
    totals = np.bincount(_owners(pipeline["columns"], numbers, categories), weights=weight, minlength=len(present))
    return Fitted(SklearnModel(pipeline), params, _shares(encoder, totals), notes)


Learner = Callable[[Matrix, Floats, Encoder, int, Step], Fitted]
"""From a matrix, its labels, the encoder, a seed and somebody to tell, to a model."""

LEARNERS: Final[Mapping[str, Learner]] = {
    "logistic_regression": logistic_regression,
    "xgboost": boosted_trees,
}


def _pipeline(numbers: list[int], categories: list[int], n: int, seed: int) -> Any:
    ranked = QuantileTransformer(n_quantiles=min(RANKS, n), random_state=seed)
    binned = KBinsDiscretizer(BINS, encode="onehot", quantile_method="averaged_inverted_cdf", random_state=seed)
    shaped = Pipeline(
        [
            ("imputed", SimpleImputer(strategy="median", add_indicator=True)),
            ("shape", FeatureUnion([("ranked", ranked), ("binned", binned)])),
        ]
    )
    one_hot = OneHotEncoder(handle_unknown="ignore")
    parts = [("numbers", shaped, numbers), ("categories", one_hot, categories)]
    columns = ColumnTransformer([part for part in parts if part[2]], sparse_threshold=1.0)
    regression = LogisticRegression(C=PENALTY, tol=1e-6, max_iter=MAX_ITERATIONS)
    return Pipeline([("columns", columns), ("regression", regression)])


def _owners(columns: Any, numbers: list[int], categories: list[int]) -> NDArray[np.intp]:
    """Return, for each column the regression sees, the feature it was made from."""
    owners: list[int] = []
    if numbers:
        shaped = columns.named_transformers_["numbers"]
        marks = shaped["imputed"].indicator_.features_
        imputed = np.array([*numbers, *(numbers[mark] for mark in marks)])
        bins = dict(shaped["shape"].transformer_list)["binned"].n_bins_
        owners += [*imputed, *np.repeat(imputed, bins.astype(np.intp))]
    if categories:
        found = columns.named_transformers_["categories"].categories_
        owners += np.repeat(categories, [len(values) for values in found]).tolist()
    return np.array(owners, dtype=np.intp)


def _spread(design: Any) -> Floats:
    """Return the standard deviation of each column of a sparse matrix."""
    _, variance = mean_variance_axis(design.tocsr(), axis=0)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)


def _shares(encoder: Encoder, weight: NDArray[Any]) -> dict[str, float]:
    """Return each feature's share, summing to 1; all 0 for a model that looks at nothing."""
    total = float(weight.sum())
    return {name: float(part) / total if total else 0.0 for name, part in zip(encoder.features, weight, strict=True)}


class _Told(xgboost.callback.TrainingCallback):  # type: ignore[misc] # xgboost has no types
    """Tells how far the boosting is."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - xgboost's signature
        self._step((epoch + 1) / TREES)
        return False
