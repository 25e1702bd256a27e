"""What one feature alone knows of the outcome: smoothed bad rates of its bins or categories, on unseen records."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring.calibration import logit
from refit.scoring.encoder import Matrix
from refit.scoring.metrics import Floats, one_hot

Rows = NDArray[np.intp]
BINS: Final = 20
SMOOTHING: Final = 20.0
"""A bin counts as if so many records of the overall bad rate stood in it too."""


@dataclass(frozen=True, slots=True)
class Features:
    """The encoded features of matured records, their outcomes, and who learns and who is tested.

    `label` is (n_records,) 0 and 1, or class indexes where `n_classes` is above 2; `days` the day of each record's
    event, None where the use case has no date. `equal` is (n_records,) the same for records equal in all but their
    key, as they were read: encoded, all rare categories are one.
    """

    names: tuple[str, ...]
    matrix: Matrix
    label: Floats
    n_classes: int
    before: Rows
    test: Rows
    days: Floats | None
    equal: NDArray[np.uint64]

    @property
    def outcomes(self) -> list[Floats]:
        """One (n_records,) 0 and 1 array an outcome that can be told from the rest: bad, or each class."""
        return [self.label] if self.n_classes == 2 else list(one_hot(self.label, self.n_classes).T)  # noqa: PLR2004 - good, bad


def bins(values: NDArray[np.float32], known: Rows) -> NDArray[np.intp]:
    """Return (n_records,) the bin of each value: twentieths of the known ones; a value that is frequent stands alone.

    Categories are few codes, so each is a bin of its own. Missing is the last bin.
    """
    seen = values[known]
    seen = seen[~np.isnan(seen)]
    if not len(seen):
        return np.isnan(values).astype(np.intp)
    distinct, counts = np.unique(seen, return_counts=True)
    if len(distinct) <= 4 * BINS:
        edges = distinct
    else:
        edges = np.unique(
            np.concatenate(
                [
                    np.quantile(seen, np.arange(1, BINS) / BINS).astype(np.float32),
                    distinct[counts >= len(seen) / BINS],
                ]
            )
        )
    found = np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), 2 * len(edges) + 1, found)


def rates(group: NDArray[np.intp], outcome: Floats, known: Rows) -> Floats:
    """Return (n_records,) the smoothed rate of each record's bin, learnt from the known records alone."""
    n_groups = int(group.max()) + 1
    count = np.bincount(group[known], minlength=n_groups)
    total = np.bincount(group[known], weights=outcome[known], minlength=n_groups)
    overall = float(outcome[known].mean())
    learnt = (total + SMOOTHING * overall) / (count + SMOOTHING)
    return np.asarray(learnt[group], dtype=np.float64)


def evidence(features: Features, outcome: Floats) -> Floats:
    """Return (n_records, n_features) the log odds of each feature's rate over those of all, learnt before the test."""
    overall = logit(np.array([outcome[features.before].mean()]))
    columns = [
        logit(rates(bins(features.matrix[:, k], features.before), outcome, features.before)) - overall
        for k in range(len(features.names))
    ]
    return np.column_stack(columns)


def together(found: Floats, outcome: Floats, before: Rows, test: Rows) -> Floats:
    """Return (n_test,) what a logistic regression on the columns of `evidence` says."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a second of imports, for suspects only

    model = LogisticRegression(C=1.0, max_iter=200).fit(found[before], outcome[before])
    return np.asarray(model.predict_proba(found[test])[:, 1], dtype=np.float64)
