"""What a model's probabilities look like against outcomes, as short lists of plain numbers that a page can draw."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from refit.drawing.shares import wilson
from refit.scoring.metrics import Floats, equal_count_bins
from refit.usecase.policy import Cost

POINTS: Final = 101
"""No curve has more: a screen shows no more, and a card stays small."""
GROUPS: Final = 10
BINS: Final = 24
DIGITS: Final = 6
_EDGE: Final = 1e-6


def curves(label: Floats, probability: Floats, threshold: float, cost: Cost | None = None) -> dict[str, Any]:
    """Return every curve of a binary model, each thinned to at most `POINTS` points.

    Args:
        label: (n_records,) 1.0 bad, 0.0 good.
        probability: (n_records,) P(bad).
        threshold: The model's own; one point of the trade-off stands exactly there.
        cost: Where declared, the trade-off says what a record costs on average.
    """
    return {
        "roc": thinned(roc(label, probability), ("fpr", "tpr")),
        "precision_recall": thinned(precision_recall(label, probability), ("recall",)),
        "gains": thinned(gains(label, probability), ("share", "found")),
        "calibration": calibration(label, probability),
        "scores": scores(label, probability),
        "trade_off": trade_off(label, probability, threshold, cost),
    }


def roc(label: Floats, probability: Floats) -> dict[str, Floats]:
    """Return false and true positive rates from the strictest threshold to the loosest; empty with one class only.

    Equal probabilities are one point, so that the trapezoids under it add up to `metrics.roc_auc`.
    """
    bad, good, _ = _counted(label, probability)
    if not bad[-1] or not good[-1]:
        return {"fpr": np.empty(0), "tpr": np.empty(0)}
    return {"fpr": good / good[-1], "tpr": bad / bad[-1]}


def precision_recall(label: Floats, probability: Floats) -> dict[str, Floats]:
    """Return recall, rising, and the precision there; empty without a bad record."""
    bad, good, _ = _counted(label, probability)
    if not bad[-1]:
        return {"recall": np.empty(0), "precision": np.empty(0)}
    return {"recall": bad[1:] / bad[-1], "precision": bad[1:] / (bad[1:] + good[1:])}


def gains(label: Floats, probability: Floats) -> dict[str, Floats]:
    """Return which share of the bad records is found in the worst-scored share of all; empty without a bad record."""
    bad, good, _ = _counted(label, probability)
    if not bad[-1]:
        return {"share": np.empty(0), "found": np.empty(0)}
    return {"share": (bad + good) / (bad[-1] + good[-1]), "found": bad / bad[-1]}


def calibration(label: Floats, probability: Floats, groups: int = GROUPS) -> list[dict[str, Any]]:
    """Return, of groups of about equal size by probability, what was expected and what was seen.

    Equal probabilities share a group, as in `metrics.expected_calibration_error`.
    """
    if not len(label):
        return []
    group = equal_count_bins(probability, groups)
    count = np.bincount(group, minlength=groups)
    bad = np.bincount(group, weights=label, minlength=groups)
    said = np.bincount(group, weights=probability, minlength=groups)
    rows = []
    for n, n_bad, total in zip(count, bad, said, strict=True):
        if not n:
            continue
        low, high = wilson(n_bad, n)
        figures = {"expected": total / n, "seen": n_bad / n, "low": float(low), "high": float(high)}
        rows.append({"n": int(n)} | {name: _figure(value) for name, value in figures.items()})
    return rows


def scores(label: Floats, probability: Floats, bins: int = BINS) -> dict[str, Any]:
    """Return how many bad and good records lie in each of several bins of equal width in log odds.

    The outermost thousandth at either end counts to the outermost bin.
    """
    if not len(label):
        return {"edges": [], "bad": [], "good": []}
    p = np.clip(probability, _EDGE, 1 - _EDGE)
    odds = np.log(p / (1 - p))
    low, high = np.quantile(odds, (0.001, 0.999))
    edges = np.linspace(low, high, bins + 1) if high > low else np.array([low - 0.5, high + 0.5])
    place = np.clip(np.searchsorted(edges, odds, side="right") - 1, 0, len(edges) - 2)
    counts = {
        name: np.bincount(place[label == value], minlength=len(edges) - 1).tolist()
        for name, value in (("bad", 1.0), ("good", 0.0))
    }
    return {"edges": [_figure(edge) for edge in 1 / (1 + np.exp(-edges))], **counts}


def trade_off(label: Floats, probability: Floats, threshold: float, cost: Cost | None = None) -> dict[str, list[Any]]:
    """Return what declining from each of up to `POINTS` thresholds gives: rates, F1, and what a record costs.

    The thresholds rise, from declining all to declining none; None where a figure is undefined.
    """
    if not len(label):
        return {}
    grid = np.quantile(probability, np.linspace(0, 1, POINTS - 2), method="inverted_cdf")
    none_declined = np.nextafter(max(float(probability.max()), threshold), np.inf)
    cuts = np.unique(np.concatenate([grid, [threshold, none_declined]]))
    order = np.argsort(probability, kind="stable")
    below = np.searchsorted(probability[order], cuts, side="left")  # so many are approved
    bad_below = np.concatenate([[0.0], np.cumsum(label[order])])[below]
    n, n_bad = len(label), float(label.sum())
    declined, caught = (n - below).astype(np.float64), n_bad - bad_below
    found = {
        "threshold": cuts,
        "approval_rate": below / n,
        "precision": _shares(caught, declined),
        "recall": _shares(caught, np.full(len(cuts), n_bad)),
        "f1": _shares(2 * caught, declined + n_bad),
    }
    if cost is not None:
        found["cost"] = (cost.false_negative * bad_below + cost.false_positive * (declined - caught)) / n
    exact = {"threshold": [float(cut) for cut in cuts]}  # rounded, a threshold could fall on the other side of a record
    return {name: exact.get(name) or [_figure(value) for value in values] for name, values in found.items()}


def thinned(curve: Mapping[str, Floats], along: tuple[str, ...], points: int = POINTS) -> dict[str, list[Any]]:
    """Return at most so many points of a curve, spaced evenly along the named axes, first and last among them."""
    n = len(next(iter(curve.values())))
    rows = np.arange(n)
    if n > points:
        length = np.sum([np.abs(np.diff(curve[axis], prepend=curve[axis][0])).cumsum() for axis in along], axis=0)
        wanted = np.linspace(0, length[-1], points)
        rows = np.unique(np.concatenate([[0], np.searchsorted(length, wanted[1:-1]), [n - 1]]))
    return {name: [_figure(value) for value in values[rows]] for name, values in curve.items()}


def _counted(label: Floats, probability: Floats) -> tuple[Floats, Floats, Floats]:
    """Return bad and good counted from the highest probability down, from zero on, and the distinct probabilities."""
    order = np.argsort(-probability, kind="stable")
    ordered, bad = probability[order], label[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(label) else order
    bads = np.concatenate([[0.0], np.cumsum(bad)[last]])
    return bads, np.concatenate([[0.0], last + 1.0]) - bads, ordered[last]


def _shares(part: Floats, whole: Floats) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return shares


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), DIGITS)
