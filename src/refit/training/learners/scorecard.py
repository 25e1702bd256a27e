"""A points scorecard: weight of evidence by bins, and a logistic regression over it."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from refit.errors import ContractError
from refit.scoring.metrics import Floats
from refit.scoring.scorecard import Characteristic, ScorecardModel
from refit.training.learners.fitted import Fitted, Task
from refit.training.learners.importance import shares

DEFAULTS: Final[dict[str, Any]] = {
    "bins": 8,
    "min_share": 0.02,
    "monotone": True,
    "smoothing": 20.0,
    "min_information": 0.002,
    "C": 1.0,
}
LEAST: Final = 10
"""So many records at least make a bin, and `min_share` of all."""


def fit(task: Task) -> Fitted:
    """Fit a card: bins by a small tree, each worth its weight of evidence, each feature its weight in a regression.

    A feature of small information value, or one the regression would turn against its evidence, is left out.

    Raises:
        ContractError: There are more than two classes.
    """
    if task.n_classes > 2:  # noqa: PLR2004 - good and bad
        raise ContractError(
            "scorecard tells good from bad only; for more classes choose from logistic_regression, decision_tree, "
            "random_forest, k_nearest_neighbours, xgboost, multilayer_perceptron"
        )
    weight = np.ones(len(task.label)) if task.weight is None else task.weight
    binned = [_binned(task, weight, index) for index in range(task.matrix.shape[1])]
    task.step(0.8)
    information = np.array([_information(part, task, weight) for part in binned])
    kept = np.flatnonzero(information > task.params["min_information"]).tolist()
    model = _regressed([binned[index] for index in kept], task, weight)
    task.step(1.0)
    used = [characteristic.feature for characteristic in model.characteristics]
    total = np.zeros(len(binned))
    total[used] = information[used]
    return Fitted(model, {**task.params, "seed": task.seed}, shares(task.encoder, total))


def _binned(task: Task, weight: Floats, index: int) -> Characteristic:
    """Return the feature's bins with their weight of evidence, its own weight still 1."""
    values, category = task.matrix[:, index], bool(task.encoder.is_category[index])
    known = ~np.isnan(values)
    label = task.label
    edges: tuple[float, ...] = ()
    groups: tuple[int, ...] = ()
    n_codes = len(task.encoder.vocabularies[task.encoder.features[index]]) + 1 if category else 0
    if category:
        rate = _evidence(values[known].astype(np.intp), n_codes, label[known], weight[known], task)
        order = _cuts(rate[values[known].astype(np.intp)], label[known], weight[known], task, rising=True)
        seen = np.bincount(values[known].astype(np.intp), minlength=n_codes) > 0
        group = np.searchsorted(order, rate, "right")
        groups = tuple(np.where(seen, group, len(order) + 1).tolist())
        n_bins = len(order) + 2
    else:
        edges = tuple(_cuts(values[known].astype(np.float64), label[known], weight[known], task).tolist())
        n_bins = len(edges) + 2
    blank = Characteristic(index, edges, groups, (0.0,) * n_bins, (0.0,) * n_bins, 1.0)
    place = blank.bins(values)
    woe = _evidence(place, n_bins, label, weight, task)
    share = np.bincount(place, weights=weight, minlength=n_bins) / weight.sum()
    return Characteristic(index, edges, groups, tuple(woe.tolist()), tuple(share.tolist()), 1.0)


def _cuts(values: Floats, label: Floats, weight: Floats, task: Task, *, rising: bool = False) -> Floats:
    """Return the edges a tree of few leaves puts between good and bad; with `monotone` the rate only rises or falls."""
    if len(values) < 2 * LEAST or label.min() == label.max():
        return np.empty(0)
    least = max(LEAST, int(np.ceil(task.params["min_share"] * len(task.label))))
    trends = [1] if rising else [1, -1] if task.params["monotone"] else [0]
    best = np.empty(0), -1.0
    for trend in trends:
        tree = DecisionTreeClassifier(
            criterion="log_loss",
            max_leaf_nodes=task.params["bins"],
            min_samples_leaf=least,
            monotonic_cst=[trend],
            random_state=task.seed,
        )
        tree.fit(values[:, None], label.astype(np.intp), sample_weight=weight)
        inner = tree.tree_.feature == 0
        gain = float(np.sum(tree.tree_.weighted_n_node_samples[0] * tree.tree_.impurity[0])) - float(
            np.sum((tree.tree_.weighted_n_node_samples * tree.tree_.impurity)[~inner])
        )
        if gain > best[1]:
            best = np.unique(tree.tree_.threshold[inner]), gain
    return best[0]


def _evidence(place: NDArray[np.intp], n_bins: int, label: Floats, weight: Floats, task: Task) -> Floats:
    """Return each bin's log odds of bad less those of all, as if it held `smoothing` more average records."""
    bad = np.bincount(place, weights=weight * label, minlength=n_bins)
    good = np.bincount(place, weights=weight * (1 - label), minlength=n_bins)
    rate = np.average(task.label, weights=task.weight)
    more = task.params["smoothing"]
    return np.asarray(np.log((bad + more * rate) / (good + more * (1 - rate))) - np.log(rate / (1 - rate)))


def _information(part: Characteristic, task: Task, weight: Floats) -> float:
    """Return the information value: the share of the bad less the share of the good in each bin, times its evidence."""
    place = part.bins(task.matrix[:, part.feature])
    bad = np.bincount(place, weights=weight * task.label, minlength=len(part.woe))
    good = np.bincount(place, weights=weight * (1 - task.label), minlength=len(part.woe))
    return float((bad / bad.sum() - good / good.sum()) @ np.array(part.woe))


def _regressed(parts: list[Characteristic], task: Task, weight: Floats) -> ScorecardModel:
    """Weigh the features; one whose evidence would count the wrong way round only echoes the others, and goes."""
    while parts:
        design = np.column_stack([part.log_odds(task.matrix[:, part.feature]) for part in parts])
        regression = LogisticRegression(C=task.params["C"], tol=1e-6, max_iter=1000)
        regression.fit(design, task.label, sample_weight=weight)
        slopes = regression.coef_[0]
        if slopes.min() > 0:
            weighed = (
                Characteristic(part.feature, part.edges, part.groups, part.woe, part.share, float(slope))
                for part, slope in zip(parts, slopes, strict=True)
            )
            return ScorecardModel(float(regression.intercept_[0]), tuple(weighed))
        parts.pop(int(slopes.argmin()))
    rate = float(np.average(task.label, weights=weight))
    return ScorecardModel(float(np.log(rate / (1 - rate))), ())
