"""From which probability on a record is declined."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refit.drawing.shares import wilson
from refit.scoring.metrics import Floats
from refit.usecase.policy import Decide


def threshold(label: Floats, probability: Floats, decide: Decide) -> float:
    """Return the threshold that does best what the use case asks for. Of equals, the one that approves more.

    Thresholds lie half-way between two probabilities, so that no record stands on one. A recall is promised of records
    to come: the floor holds for the lower end of the 95 % interval of what is seen, so that chance alone does not take
    the recall below it. Where even all the bad are too few to be so sure, all of them are caught.

    Args:
        label: (n_records,) 1.0 bad, 0.0 good.
        probability: (n_records,) calibrated P(bad).
    """
    tried = _Tried(label, probability)
    if decide.cost is not None:
        miss, refusal = decide.cost.false_negative, decide.cost.false_positive
        cost = miss * (tried.n_bad - tried.caught) + refusal * (tried.declined - tried.caught)
        return _cheapest(tried, cost, refusal / (refusal + miss))
    if decide.maximise is not None:
        f1 = 2 * tried.caught / np.maximum(tried.declined + tried.n_bad, 1)
        return float(tried.threshold[_last(f1 == f1.max())])
    if decide.recall_at_least is not None:
        enough = _sure(tried, decide.recall_at_least)
        precision = np.where(enough, tried.caught / np.maximum(tried.declined, 1), -1.0)
        return float(tried.threshold[_last(precision == precision.max())])
    assert decide.approval_rate is not None  # noqa: S101 - the contract asks for exactly one of the four
    distance = np.abs(1 - tried.declined / len(label) - decide.approval_rate)
    return float(tried.threshold[_last(distance == distance.min())])


class _Tried:
    """Every threshold that decides differently, rising from declining all to declining none, and what each declines."""

    def __init__(self, label: Floats, probability: Floats) -> None:
        self.distinct, group = np.unique(probability, return_inverse=True)
        distinct = self.distinct
        self.threshold = np.concatenate([[0.0], (distinct[1:] + distinct[:-1]) / 2, [(distinct[-1] + 1) / 2]])
        self.n_bad = float(label.sum())
        self.declined = _from_above(np.bincount(group, weights=np.ones_like(label)))
        self.caught = _from_above(np.bincount(group, weights=label))


def _sure(tried: _Tried, recall: float) -> NDArray[np.bool_]:
    low, _ = wilson(tried.caught, tried.n_bad)
    enough = low >= recall
    return enough if enough.any() else np.asarray(tried.caught == tried.n_bad)


def _from_above(counts: NDArray[Any]) -> Floats:
    return np.concatenate([np.cumsum(counts[::-1])[::-1], [0.0]])


def _cheapest(tried: _Tried, cost: Floats, in_theory: float) -> float:
    """Return the cheapest threshold seen, or the one that theory gives for true probabilities where none is cheaper.

    Elkan 2001, The foundations of cost-sensitive learning, eq. (1).
    """
    best = cost.min()
    of_theory = cost[np.searchsorted(tried.distinct, in_theory)]
    return in_theory if of_theory <= best else float(tried.threshold[_last(cost == best)])


def _last(mask: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(mask)[-1])
