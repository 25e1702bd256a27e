"""A ridge logistic regression on categories, and on numbers by their rank and decile."""

from typing import Any, Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, QuantileTransformer

from refit.scoring.metrics import Floats
from refit.scoring.model import SklearnModel
from refit.training.learners.fitted import Fitted, Task
from refit.training.learners.importance import shares

DEFAULTS: Final[dict[str, Any]] = {"C": 0.05, "bins": 10}
"""`C` is the inverse of the ridge penalty's strength."""
MAX_ITERATIONS: Final = 1000
RANKS: Final = 200


def fit(task: Task) -> Fitted:
    """Fit on ranks and bins, which are bounded: one enormous amount moves nothing but its own record.

    A missing number takes the median and a mark of its own. A feature that is missing in every record is left out.
    """
    wide = task.matrix.astype(np.float64)
    present = np.asarray(~np.isnan(wide).all(axis=0), dtype=bool)
    numbers = np.flatnonzero(present & ~task.encoder.is_category).tolist()
    categories = np.flatnonzero(present & task.encoder.is_category).tolist()
    columns = _columns(numbers, categories, len(wide), task)
    design = scipy.sparse.csc_array(columns.fit_transform(wide))
    regression = LogisticRegression(C=task.params["C"], tol=1e-6, max_iter=MAX_ITERATIONS)
    regression.fit(design.tocsr(), task.label, sample_weight=task.weight)
    task.step(1.0)
    iterations = int(regression.n_iter_.max())
    notes = (f"logistic regression stopped unsettled after {iterations} steps",) if iterations >= MAX_ITERATIONS else ()
    totals = _spreads(design, regression.coef_, _owners(columns, numbers, categories), len(present))
    params = {**task.params, "iterations": iterations, "seed": task.seed}
    pipeline = Pipeline([("columns", columns), ("estimator", regression)])
    return Fitted(SklearnModel(pipeline), params, shares(task.encoder, totals), notes)


def _columns(numbers: list[int], categories: list[int], n: int, task: Task) -> Any:
    ranked = QuantileTransformer(n_quantiles=min(RANKS, n), random_state=task.seed)
    binned = KBinsDiscretizer(
        task.params["bins"], encode="onehot", quantile_method="averaged_inverted_cdf", random_state=task.seed
    )
    shaped = Pipeline(
        [
            ("imputed", SimpleImputer(strategy="median", add_indicator=True)),
            ("shape", FeatureUnion([("ranked", ranked), ("binned", binned)])),
        ]
    )
    parts = [("numbers", shaped, numbers), ("categories", OneHotEncoder(handle_unknown="ignore"), categories)]
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=1.0)


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


def _spreads(design: Any, slopes: Floats, owners: NDArray[np.intp], n_features: int) -> Floats:
    """Return the standard deviation of what each feature adds to the log odds, over all columns made from it."""
    totals = np.zeros(n_features)
    for feature in np.unique(owners):
        own = owners == feature
        totals[feature] = (design[:, own] @ slopes[:, own].T).std(axis=0).mean()
    return totals
