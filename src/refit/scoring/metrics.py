"""How good probabilities are: numpy only, ties right, NaN where a metric is undefined."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOWER_IS_BETTER: Final = frozenset({"log_loss", "brier"})
EPSILON: Final = 1e-15
"""Probabilities are held this far from 0 and 1 before a logarithm, as scikit-learn did up to 1.2."""


def roc_auc(label: Floats, probability: Floats) -> float:
    """Return the chance that a bad record scores above a good one; a tie counts half. NaN with one class only.

    Args:
        label: (n_records,) 1.0 bad, 0.0 good.
        probability: (n_records,) P(bad).

    Examples:
        >>> roc_auc(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    n_bad = float(label.sum())
    n_good = len(label) - n_bad
    if n_bad == 0 or n_good == 0:
        return float("nan")
    _, group, size = np.unique(probability, return_inverse=True, return_counts=True)
    rank = np.cumsum(size) - (size - 1) / 2  # mean rank of each group of ties
    bad_ranks = float(rank[group] @ label)
    return float((bad_ranks - n_bad * (n_bad + 1) / 2) / (n_bad * n_good))


def average_precision(label: Floats, probability: Floats) -> float:
    """Return the mean precision over the recall steps, from the highest score down. NaN without a bad record.

    Examples:
        >>> round(average_precision(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
        0.8333
    """
    n_bad = float(label.sum())
    if n_bad == 0:
        return float("nan")
    _, group = np.unique(-probability, return_inverse=True)
    bad = np.bincount(group, weights=label)
    precision = np.cumsum(bad) / np.cumsum(np.bincount(group))
    return float(precision @ bad / n_bad)


def log_loss(label: Floats, probability: Floats) -> float:
    """Return the mean negative log likelihood; NaN without records."""
    if len(label) == 0:
        return float("nan")
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    return float(-np.mean(label * np.log(p) + (1 - label) * np.log1p(-p)))


def brier(label: Floats, probability: Floats) -> float:
    """Return the mean squared difference between probability and outcome; NaN without records."""
    return float(np.mean((probability - label) ** 2)) if len(label) else float("nan")


def expected_calibration_error(label: Floats, probability: Floats, bins: int = 10) -> float:
    """Return the mean gap between predicted and seen bad rate over equal-count bins; NaN without records.

    Equal probabilities share a bin. Naeini, Cooper and Hauskrecht 2015, with the bins of Nguyen and O'Connor 2015.

    Examples:
        >>> expected_calibration_error(np.array([0.0, 1.0, 0.0, 1.0]), np.full(4, 0.5))
        0.0
    """
    if len(label) == 0:
        return float("nan")
    group = equal_count_bins(probability, bins)
    gap = np.bincount(group, weights=probability - label, minlength=bins)
    return float(np.abs(gap).sum() / len(label))


def equal_count_bins(probability: Floats, bins: int = 10) -> NDArray[np.intp]:
    """Return the (n_records,) bin index, lowest first; equal probabilities share a bin, so a bin may stay empty."""
    cuts = np.sort(probability)[(np.arange(1, bins) * len(probability)) // bins]
    return np.searchsorted(cuts, probability, side="right")


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What declining at a threshold gives; NaN where undefined (precision when none is declined)."""

    threshold: float
    precision: float
    recall: float
    approval_rate: float
    f1: float
    accuracy: float


def at_threshold(label: Floats, probability: Floats, threshold: float) -> AtThreshold:
    """Return precision, recall and the rest when every record with `probability >= threshold` is declined."""
    declined = probability >= threshold
    n, n_bad, n_declined = len(label), float(label.sum()), float(declined.sum())
    caught = float(label[declined].sum())
    return AtThreshold(
        threshold=float(threshold),
        precision=_ratio(caught, n_declined),
        recall=_ratio(caught, n_bad),
        approval_rate=_ratio(n - n_declined, n),
        f1=_ratio(2 * caught, n_declined + n_bad),
        accuracy=_ratio(n - n_bad - n_declined + 2 * caught, n),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def of_classes(metric: Callable[[Floats, Floats], float], label: Floats, probability: Floats) -> float:
    """Return the mean of a metric over the classes, each against the rest; NaN where it is undefined for one."""
    return float(
        np.mean([metric(of, probability[:, k]) for k, of in enumerate(one_hot(label, probability.shape[1]).T)])
    )


def one_hot(label: Floats, n_classes: int) -> Floats:
    """Return (n_records, n_classes) 1.0 at the class of each record, else 0.0."""
    return np.asarray(label[:, None] == np.arange(n_classes), dtype=np.float64)


def class_log_loss(label: Floats, probability: Floats) -> float:
    """Return the mean negative log likelihood of the classes that came; NaN without records."""
    if len(label) == 0:
        return float("nan")
    came = probability[np.arange(len(label)), label.astype(np.intp)]
    return float(-np.mean(np.log(np.clip(came, EPSILON, 1))))


def class_brier(label: Floats, probability: Floats) -> float:
    """Return the mean squared distance, summed over the classes: 0 to 2 (Brier 1950); NaN without records."""
    if len(label) == 0:
        return float("nan")
    return float(np.mean(np.sum((probability - one_hot(label, probability.shape[1])) ** 2, axis=1)))


def class_accuracy(label: Floats, probability: Floats) -> float:
    """Return the share of records whose most probable class came; NaN without records."""
    return float(np.mean(probability.argmax(axis=1) == label)) if len(label) else float("nan")


METRICS: Final[Mapping[str, Callable[[Floats, Floats], float]]] = {
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "brier": brier,
}
OF_CLASSES: Final[Mapping[str, Callable[[Floats, Floats], float]]] = {
    "roc_auc": partial(of_classes, roc_auc),
    "average_precision": partial(of_classes, average_precision),
    "log_loss": class_log_loss,
    "brier": class_brier,
    "accuracy": class_accuracy,
}
"""Of labels that are class indexes and (n_records, n_classes) probabilities; ranks are averaged, one against rest."""


def evaluate(metric: str, label: Floats, probability: Floats, threshold: float = 0.5) -> float:
    """Return the metric by its name in a use case, of (n,) P(bad) or of (n, n_classes) probabilities.

    Only the `accuracy` of two classes looks at the threshold.
    """
    if probability.ndim > 1:
        return OF_CLASSES[metric](label, probability)
    if metric == "accuracy":
        return at_threshold(label, probability, threshold).accuracy
    return METRICS[metric](label, probability)


def better(metric: str, a: float, b: float) -> bool:
    """Tell whether `a` is strictly the better value of the metric; NaN is never better, and anything beats NaN.

    Examples:
        >>> better("roc_auc", 0.8, 0.7), better("log_loss", 0.8, 0.7), better("brier", 0.1, float("nan"))
        (True, False, True)
    """
    if np.isnan(a) or np.isnan(b):
        return bool(np.isnan(b) and not np.isnan(a))
    return a < b if metric in LOWER_IS_BETTER else a > b
