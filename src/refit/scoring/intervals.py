"""How sure a metric is: percentile bootstrap over records, seeded, with every draw a vector of weights.

Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13. Sorting happens once, not once a draw.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring import metrics
from refit.scoring.metrics import Floats

Statistic = Callable[[Floats], float]
"""The value of a metric when each record counts as often as its weight says."""

LOW, HIGH = 2.5, 97.5
DRAWS: Final = 500


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95 % interval; all three NaN where the metric is undefined."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Return it as plain data, None for undefined."""
        return {name: _or_none(getattr(self, name)) for name in ("value", "low", "high")}


def metric_interval(
    metric: str, label: Floats, probability: Floats, threshold: float = 0.5, *, seed: int, draws: int = DRAWS
) -> Interval:
    """Return a metric of `statistics` with its interval. The arguments are those of `metrics.evaluate`."""
    return intervals(label, probability, threshold, seed=seed, draws=draws, names=(metric,))[metric]


def intervals(
    label: Floats,
    probability: Floats,
    threshold: float = 0.5,
    *,
    seed: int,
    draws: int = DRAWS,
    names: tuple[str, ...] | None = None,
) -> dict[str, Interval]:
    """Return every metric of `statistics`, or those named, each with its interval over the same draws."""
    wanted = statistics(label, probability, threshold)
    wanted = {name: wanted[name] for name in names or wanted}
    seen = _drawn(wanted, len(label), seed, draws)
    return {name: summarised(wanted[name](np.ones(len(label))), values) for name, values in seen.items()}


def paired(
    first: Statistic, second: Statistic, n: int, *, seed: int, draws: int = DRAWS, sign: float = 1.0
) -> Interval:
    """Return the interval of `sign * (first - second)`, both on the same draws of the same n records."""
    seen = _drawn({"first": first, "second": second}, n, seed, draws)
    once = np.ones(n)
    return summarised(sign * (first(once) - second(once)), sign * (seen["first"] - seen["second"]))


def summarised(value: float, drawn: Floats) -> Interval:
    """Return value and percentiles; a draw in which the metric is undefined (one class only) is left out."""
    defined = drawn[~np.isnan(drawn)]
    if math.isnan(value) or not len(defined):
        return Interval(math.nan, math.nan, math.nan)
    low, high = np.percentile(defined, [LOW, HIGH])
    return Interval(float(value), float(low), float(high))


def statistics(label: Floats, probability: Floats, threshold: float = 0.5) -> Mapping[str, Statistic]:
    """Return every metric as a function of the records' weights; with weights of 1 each is that of `metrics`.

    Args:
        label: (n_records,) 1.0 bad, 0.0 good; or the class index of each.
        probability: (n_records,) P(bad); or (n_records, n_classes).
        threshold: From here up a record is declined; of several classes it means nothing.
    """
    if probability.ndim > 1:
        return _of_classes(label, probability)
    p = np.clip(probability, metrics.EPSILON, 1 - metrics.EPSILON)
    declined = (probability >= threshold).astype(np.float64)
    caught = declined * label
    return {
        "roc_auc": _roc_auc(label, probability),
        "average_precision": _average_precision(label, probability),
        "log_loss": _mean(-(label * np.log(p) + (1 - label) * np.log1p(-p))),
        "brier": _mean((probability - label) ** 2),
        "expected_calibration_error": _calibration_error(label, probability),
        "accuracy": _mean((declined == label).astype(np.float64)),
        "precision": _share(caught, declined),
        "recall": _share(caught, label),
        "approval_rate": _mean(1 - declined),
    }


def _of_classes(label: Floats, probability: Floats) -> Mapping[str, Statistic]:
    hot = metrics.one_hot(label, probability.shape[1])
    p = np.clip(probability, metrics.EPSILON, 1)
    came = np.arange(len(label)), label.astype(np.intp)
    return {
        "roc_auc": _mean_of([_roc_auc(hot[:, k], probability[:, k]) for k in range(hot.shape[1])]),
        "average_precision": _mean_of([_average_precision(hot[:, k], probability[:, k]) for k in range(hot.shape[1])]),
        "log_loss": _mean(-np.log(p[came])),
        "brier": _mean(((probability - hot) ** 2).sum(axis=1)),
        "accuracy": _mean((probability.argmax(axis=1) == label).astype(np.float64)),
    }


def _mean_of(each: list[Statistic]) -> Statistic:
    return lambda weights: float(np.mean([statistic(weights) for statistic in each]))


def _drawn(wanted: Mapping[str, Statistic], n: int, seed: int, draws: int) -> dict[str, Floats]:
    seen = {name: np.full(draws, np.nan) for name in wanted}
    for draw, weights in enumerate(_weights(n, seed, draws)):
        for name, statistic in wanted.items():
            seen[name][draw] = statistic(weights)
    return seen


def _weights(n: int, seed: int, draws: int) -> Iterator[Floats]:
    """Yield how often each of n records is drawn when n are drawn with replacement."""
    random = np.random.default_rng(seed)
    for _ in range(draws if n else 0):
        yield np.bincount(random.integers(0, n, n), minlength=n).astype(np.float64)


def _mean(each: Floats) -> Statistic:
    return lambda weights: _ratio(float(weights @ each), float(weights.sum()))


def _share(part: Floats, whole: Floats) -> Statistic:
    return lambda weights: _ratio(float(weights @ part), float(weights @ whole))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _groups(score: Floats) -> tuple[NDArray[np.intp], Callable[[Floats], Floats]]:
    """Return the order that sorts the scores, and a function that sums over each run of ties in that order."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if len(starts) == len(score):
        return order, lambda values: values
    return order, lambda values: np.add.reduceat(values, starts)


def _roc_auc(label: Floats, probability: Floats) -> Statistic:
    if not len(label):
        return lambda _: math.nan
    order, summed = _groups(probability)
    bad = label[order]

    def value(weights: Floats) -> float:
        weight = weights[order]
        bads = summed(weight * bad)
        goods = summed(weight) - bads
        below = np.cumsum(goods) - goods / 2  # the good ones below, those tied count half
        return _ratio(float(bads @ below), float(bads.sum() * goods.sum()))

    return value


def _average_precision(label: Floats, probability: Floats) -> Statistic:
    if not len(label):
        return lambda _: math.nan
    order, summed = _groups(-probability)
    bad = label[order]

    def value(weights: Floats) -> float:
        weight = weights[order]
        bads = summed(weight * bad)
        drawn = np.cumsum(summed(weight))
        precision = np.cumsum(bads) / np.maximum(drawn, 1)
        return _ratio(float(precision @ bads), float(bads.sum()))

    return value


def _calibration_error(label: Floats, probability: Floats) -> Statistic:
    if not len(label):
        return lambda _: math.nan
    group = metrics.equal_count_bins(probability)
    gap = probability - label
    return lambda weights: _ratio(float(np.abs(np.bincount(group, weights=weights * gap)).sum()), weights.sum())


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
