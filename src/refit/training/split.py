"""What a model learns from, what it is calibrated on, and what it is tested on; never the same record twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.errors import DataError
from refit.training.maturity import require_both
from refit.usecase.model import UseCase

Rows = NDArray[np.intp]
CALIBRATION_SHARE: Final = 0.2
"""Of the records that are not tested on, so many choose the learner and calibrate it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Row numbers of each part, rising."""

    fit: Rows
    calibration: Rows
    test: Rows

    def __iter__(self) -> Iterator[tuple[str, Rows]]:
        return iter((("fit", self.fit), ("calibration", self.calibration), ("test", self.test)))

    @property
    def before_test(self) -> Rows:
        """All that a model may learn from, rising."""
        return np.sort(np.concatenate([self.fit, self.calibration]))

    @property
    def used(self) -> Rows:
        """All of them together, rising."""
        return np.sort(np.concatenate([self.fit, self.calibration, self.test]))


def split(matured: pd.DataFrame, usecase: UseCase) -> Parts:
    """Divide the matured records as the use case says.

    By time the newest `test_months` are the test, and of the rest (its last `train_months`, where those are given) the
    newest fifth calibrates. At random, records alike in every feature stay together, so that no copy is tested on.

    Args:
        matured: (n_records, n_columns), sorted by event time and key.

    Raises:
        DataError: A part holds too few of either outcome.
    """
    parts = _by_time(matured, usecase) if usecase.split.by == "time" else _at_random(matured, usecase)
    label = matured["_label"].to_numpy()
    for name, rows in parts:
        if name != "test":  # a poor test is for the gate to refuse: the model can still be looked at
            require_both(label[rows], f"{usecase.name}: the {len(rows):,} records to {_USES[name]}")
    return parts


_USES: Final = {"fit": "fit on (the oldest part)", "calibration": "calibrate on (the newest before the test)"}


def _by_time(matured: pd.DataFrame, usecase: UseCase) -> Parts:
    event = matured["_event_time"]
    newest = event.iloc[-1]
    start = newest - pd.DateOffset(months=usecase.split.test_months)
    tested = (event > start).to_numpy()
    rest = ~tested
    if usecase.split.train_months is not None:
        rest &= (event > start - pd.DateOffset(months=usecase.split.train_months)).to_numpy()
    if not rest.any():
        raise DataError(
            f"{usecase.name}: all matured records are of the last {usecase.split.test_months} months before "
            f"{newest:%Y-%m-%d}, which are the test; older ones are needed to train on"
        )
    before = np.flatnonzero(rest)
    cut = len(before) - round(len(before) * CALIBRATION_SHARE)
    return Parts(before[:cut], before[cut:], np.flatnonzero(tested))


def _at_random(matured: pd.DataFrame, usecase: UseCase) -> Parts:
    hashes = pd.util.hash_pandas_object(matured[list(usecase.features)], index=False).to_numpy()
    group, _ = pd.factorize(hashes)
    place = np.random.default_rng(usecase.seed).permutation(group.max() + 1)[group]
    ahead = np.cumsum(np.bincount(place)) / len(matured)
    reached = ahead[place]
    test_share = usecase.split.test_share
    tested = reached <= test_share
    calibrates = ~tested & (reached <= test_share + (1 - test_share) * CALIBRATION_SHARE)
    return Parts(np.flatnonzero(~tested & ~calibrates), np.flatnonzero(calibrates), np.flatnonzero(tested))
