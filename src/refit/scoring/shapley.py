"""Shapley values against one baseline record: exact for trees, by seeded orders for whatever can only be asked.

The worth of a set of features is the answer to a record that has these from the one explained and all others from the
baseline. Lundberg and others 2020, From local explanations to global understanding with explainable AI for trees,
Nature Machine Intelligence 2 (interventional, with a single background record).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Worth = Callable[[NDArray[np.float32]], Floats]
"""From (n, n_features) records to (n,) answers."""

PAIRS: Final = 8
"""Orders drawn, each walked forth and back: what one order credits too early, its reverse credits too late."""
SEED: Final = 20


def differs(record: NDArray[Any], baseline: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell for each feature whether two records differ in it; missing equals missing."""
    return np.asarray((record != baseline) & ~(np.isnan(record) & np.isnan(baseline)), dtype=bool)


def one_at_a_time(record: NDArray[np.float32], baseline: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (n_features + 1, n_features): the baseline with each feature of the record in turn, and as it is."""
    mixed = np.repeat(baseline[None, :], len(record) + 1, axis=0)
    np.fill_diagonal(mixed, record)
    return mixed


def by_orders(worth: Worth, record: NDArray[np.float32], baseline: NDArray[np.float32]) -> Floats:
    """Return the (n_features,) mean gain of each feature as it joins, over seeded orders; sums up exactly.

    Strumbelj and Kononenko 2014, Explaining prediction models and individual predictions with feature contributions.
    """
    moved = np.flatnonzero(differs(record, baseline))
    values = np.zeros(len(record))
    if not len(moved):
        return values
    random = np.random.default_rng(SEED)
    drawn = [random.permutation(moved) for _ in range(PAIRS if len(moved) > 1 else 1)]
    orders = [order for pair in drawn for order in ([pair, pair[::-1]] if len(moved) > 1 else [pair])]
    steps = np.repeat(baseline[None, :], len(orders) * (len(moved) + 1), axis=0)
    for number, order in enumerate(orders):
        first = number * (len(moved) + 1)
        for place, feature in enumerate(order, start=1):
            steps[first + place : first + len(moved) + 1, feature] = record[feature]
    answers = worth(steps).reshape(len(orders), len(moved) + 1)
    for order, gains in zip(orders, np.diff(answers, axis=1), strict=True):
        values[order] += gains
    return values / len(orders)


class Trees:
    """Decision trees of scikit-learn laid end to end, so that all are walked at once."""

    def __init__(self, trees: Sequence[Any]) -> None:
        counts = [tree.node_count for tree in trees]
        self.roots = np.concatenate([[0], np.cumsum(counts[:-1])]).astype(np.intp)
        offset = np.repeat(self.roots, counts)
        left, right = (
            np.concatenate([getattr(tree, f"children_{side}") for tree in trees]) for side in ("left", "right")
        )
        self.is_leaf = left < 0
        self.left, self.right = left + offset, right + offset
        self.column = np.concatenate([tree.feature for tree in trees])
        self.line = np.concatenate([tree.threshold for tree in trees])
        self.missing_left = np.concatenate([np.asarray(tree.missing_go_to_left, dtype=bool) for tree in trees])
        self.share = np.concatenate([tree.value[:, 0, :] for tree in trees])  # (n_nodes, n_classes), each summing to 1

    def shapley(self, record: Floats, baseline: Floats, owner: NDArray[np.intp], n_features: int, of: int) -> Floats:
        """Return the exact (n_features,) Shapley values of the mean share of class `of`.

        Every leaf is reached by the features that must come from the record and those that must come from the baseline;
        their numbers alone give the leaf's part in each value.

        Args:
            record: (n_columns,) as the trees read it; so is `baseline`.
            owner: (n_columns,) the feature that each column in which the two differ was made from.
        """
        node = self.roots.copy()
        ours = np.zeros((len(node), n_features), dtype=bool)  # features a leaf needs from the record
        theirs = ours.copy()  # and from the baseline
        values = np.zeros(n_features)
        while len(node):
            done = self.is_leaf[node]
            values += _credited(ours[done], theirs[done], self.share[node[done], of])
            node, ours, theirs = self._descended(node[~done], ours[~done], theirs[~done], record, baseline, owner)
        return values / len(self.roots)

    def _descended(
        self,
        node: NDArray[np.intp],
        ours: NDArray[np.bool_],
        theirs: NDArray[np.bool_],
        record: Floats,
        baseline: Floats,
        owner: NDArray[np.intp],
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
        """Go one step down; where the two records part ways at a feature of neither side yet, go both."""
        here, there = self._child(node, record), self._child(node, baseline)
        feature, row = owner[self.column[node]], np.arange(len(node))
        parted = here != there
        by_record = ~(parted & theirs[row, feature])
        by_baseline = parted & ~ours[row, feature]
        ours_on, theirs_on = ours[by_record].copy(), theirs[by_baseline].copy()
        ours_on[np.arange(len(ours_on)), feature[by_record]] |= parted[by_record]
        theirs_on[np.arange(len(theirs_on)), feature[by_baseline]] = True
        return (
            np.concatenate([here[by_record], there[by_baseline]]),
            np.concatenate([ours_on, ours[by_baseline]]),
            np.concatenate([theirs[by_record], theirs_on]),
        )

    def _child(self, node: NDArray[np.intp], record: Floats) -> NDArray[np.intp]:
        value = record[self.column[node]]
        goes_left = np.where(np.isnan(value), self.missing_left[node], value.astype(np.float32) <= self.line[node])
        return np.where(goes_left, self.left[node], self.right[node])


def _credited(ours: NDArray[np.bool_], theirs: NDArray[np.bool_], share: Floats) -> Floats:
    """Return what leaves give each feature: (a - 1)! b! / (a + b)! of their share to each of the a of the record."""
    a, b = ours.sum(axis=1), theirs.sum(axis=1)
    ways = np.array([math.comb(int(x + y), int(x)) for x, y in zip(a, b, strict=True)], dtype=np.float64)
    gain, loss = share / (np.maximum(a, 1) * ways), share / (np.maximum(b, 1) * ways)
    return np.asarray(gain @ ours - loss @ theirs, dtype=np.float64)
