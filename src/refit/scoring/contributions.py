"""What each feature of a record adds to its score, in log odds, against a stated baseline."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring.calibration import FLOOR, logit
from refit.scoring.shapley import Trees, by_orders, differs, one_at_a_time

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

AVERAGE: Final = "the average of the records the model learned from"
TYPICAL: Final = "a typical record: the middle of each number, the commonest of each category"
TREES: Final = frozenset({"DecisionTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier"})
LINEAR: Final = frozenset({"LogisticRegression"})
CLOSE: Final = 1e-6
NOTHING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Contributions:
    """`baseline + values.sum(axis=1)` is the score: log odds of bad, or a class's margin where there are more than two.

    The softmax of all classes' margins is the raw probability. `values` is (n_records, n_features).
    """

    baseline: float
    values: Floats
    against: str = TYPICAL

    def scores(self) -> Floats:
        """Return the (n_records,) scores they add up to."""
        return np.asarray(self.baseline + self.values.sum(axis=1), dtype=np.float64)


def contributions(
    model: Any, matrix: Matrix, baseline: NDArray[np.floating] | None = None, of: int | None = None
) -> Contributions:
    """Return what each feature adds to the raw score of each record.

    Boosted trees (TreeSHAP) and scorecards: exact, against the average of what they learned from. Linear models, trees
    and forests: exact, against `baseline`. A blend: the average of its members. All others: by seeded orders of the
    features, against `baseline`.

    Args:
        model: One of `refit.scoring.model`; a class not known here is asked for its own `contributions`.
        matrix: (n_records, n_features) from the encoder.
        baseline: (n_features,) a record as the encoder gives it; without one, a record of which nothing is known.
        of: The class whose margin is explained, where there are more than two.
    """
    if hasattr(model, "booster") and hasattr(model.booster, "inplace_predict") and not hasattr(model, "ages"):
        return _boosted(model.booster, matrix, of)
    if hasattr(model, "characteristics"):
        return _scorecard(model, matrix)
    if hasattr(model, "members"):
        return _blended([contributions(member, matrix, baseline, of) for member in model.members])
    if not hasattr(model, "pipeline"):
        return model.contributions(matrix, of)  # type: ignore[no-any-return] # of a class this module does not know
    unknown = np.full(matrix.shape[1], np.nan)
    start = np.asarray(unknown if baseline is None else baseline, dtype=np.float32)
    explain = _of_pipeline(model, start, of)
    explained = [explain(record) for record in (matrix if len(matrix) else start[None, :])]
    values = [own for _, own in explained[: len(matrix)]]
    against = "a record of which nothing is known" if baseline is None else TYPICAL
    return Contributions(explained[0][0], np.array(values, dtype=np.float64).reshape(matrix.shape), against)


def _boosted(booster: Any, matrix: Matrix, of: int | None) -> Contributions:
    import xgboost  # noqa: PLC0415 - a heavy import that a scikit-learn model does not need

    if not len(matrix):
        matrix = np.full((0, booster.num_features()), np.nan, dtype=np.float32)
    data = xgboost.DMatrix(matrix, feature_types=booster.feature_types, enable_categorical=True, nthread=1)
    found = np.asarray(booster.predict(data, pred_contribs=True), dtype=np.float64)
    if of is not None:
        found = found[:, of, :]
    baseline = float(found[0, -1]) if len(found) else 0.0
    return Contributions(baseline, found[:, :-1], AVERAGE)


def _scorecard(model: Any, matrix: Matrix) -> Contributions:
    """Return what each bin adds, less what the feature adds on average: the card keeps how many fell into each bin."""
    baseline, values = float(model.intercept), np.zeros(matrix.shape)
    for part in model.characteristics:
        usual = float(np.dot(part.share, part.woe)) * part.weight
        values[:, part.feature] += part.log_odds(matrix[:, part.feature]) - usual
        baseline += usual
    return Contributions(baseline, values, AVERAGE)


def _blended(each: list[Contributions]) -> Contributions:
    """Return the average of what the members of a blend say: its log odds are the average of theirs."""
    against = " and ".join(dict.fromkeys(found.against for found in each))
    baseline = float(np.mean([found.baseline for found in each]))
    return Contributions(baseline, np.mean([found.values for found in each], axis=0), against)


Explain = Callable[[Matrix], tuple[float, Floats]]
"""From a record to the baseline's score and what each feature adds to it."""


def _of_pipeline(model: Any, baseline: Matrix, of: int | None) -> Explain:
    kind = type(_last(model.pipeline)).__name__
    if kind in LINEAR:
        return _linear(model, baseline, of)
    if kind in TREES:
        return _of_trees(model, baseline, of)
    return lambda record: _by_orders(model, record, baseline, of)


def _by_orders(model: Any, record: Matrix, baseline: Matrix, of: int | None) -> tuple[float, Floats]:
    margin = _margin(model, of)
    return float(margin(baseline[None, :])[0]), by_orders(margin, record, baseline)


def _linear(model: Any, baseline: Matrix, of: int | None) -> Explain:
    """Return the exact way for a pipeline that shapes each feature by itself and then adds up."""

    def explain(record: Matrix) -> tuple[float, Floats]:
        mixed = np.vstack([one_at_a_time(record, baseline), record]).astype(np.float64)
        odds = np.asarray(model.pipeline.decision_function(mixed), dtype=np.float64)
        *each, before, after = odds if odds.ndim == 1 else odds[:, of]
        values = np.where(differs(record, baseline), np.array(each) - before, 0.0)
        if abs(after - before - values.sum()) > CLOSE * max(1.0, abs(after), abs(before)):
            return _by_orders(model, record, baseline, of)  # its shaping mixes features, so that it is not additive
        return float(before), values

    return explain


def _of_trees(model: Any, baseline: Matrix, of: int | None) -> Explain:
    """Return the exact way for trees: Shapley values of the probability, turned into log odds by the secant."""
    last = _last(model.pipeline)
    trees = Trees([tree.tree_ for tree in getattr(last, "estimators_", [last])])
    margin, wanted = _margin(model, of), 1 if of is None else of

    def explain(record: Matrix) -> tuple[float, Floats]:
        mixed = np.vstack([one_at_a_time(record, baseline), record])
        *each, start, end = _shaped(model.pipeline, mixed)
        owner = np.zeros(len(start), dtype=np.intp)
        for feature, columns in enumerate(each):
            owner[differs(columns, start)] = feature
        values = trees.shapley(end, start, owner, len(record), wanted)
        before, after = margin(mixed[-2:])
        return float(before), values * _secant(before, after, float(values.sum()), of)

    return explain


def _secant(before: float, after: float, moved: float, of: int | None) -> float:
    """Return how many log odds one unit of probability is between two scores."""
    if abs(moved) > NOTHING:  # below it a difference of rounding would be blown up
        return float((after - before) / moved)
    share = max(np.exp(before), FLOOR) if of is not None else 1 / (1 + np.exp(-before))
    return float(1 / share if of is not None else 1 / (share * (1 - share)))


def _margin(model: Any, of: int | None) -> Callable[[Matrix], Floats]:
    def margin(matrix: Matrix) -> Floats:
        probability = np.asarray(model.probability(matrix), dtype=np.float64)
        if of is None:
            return logit(probability)
        if _last(model.pipeline).__class__.__name__ in LINEAR:
            return np.asarray(model.pipeline.decision_function(matrix.astype(np.float64))[:, of], dtype=np.float64)
        return np.asarray(np.log(np.maximum(probability[:, of], FLOOR)), dtype=np.float64)

    return margin


def _shaped(pipeline: Any, matrix: Matrix) -> Floats:
    wide = matrix.astype(np.float64)
    steps = getattr(pipeline, "steps", ())
    found = pipeline[:-1].transform(wide) if len(steps) > 1 else wide
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=np.float64)


def _last(pipeline: Any) -> Any:
    steps = getattr(pipeline, "steps", None)
    return pipeline if steps is None else steps[-1][1]
