"""A discrete-time hazard: how likely a record turns bad in each period of its life, if it has not before.

The periods are multiplied up to the probability of turning bad in any of them: 1 - prod(1 - hazard). Singer and Willett
1993, It's about time: using discrete-time survival analysis, Journal of Educational Statistics 18, eq. (4).
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from refit.errors import DataError
from refit.scoring.calibration import FLOOR, expit
from refit.scoring.contributions import AVERAGE, Contributions

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

HAZARD_FILE: Final = "model.hazard"
AGES: Final = "ages"
CHUNK: Final = 20_000
"""Records at a time: each becomes as many rows as there are periods."""
STEPS: Final = 64


@dataclass(frozen=True, slots=True)
class HazardModel:
    """Boosted trees that read a record and its age in periods, the first being 1. One thread, as `XGBoostModel`."""

    booster: Any
    ages: int
    file: str = HAZARD_FILE

    def __post_init__(self) -> None:
        self.booster.set_param({"nthread": 1})

    def probability(self, matrix: Matrix) -> Floats:
        """Return the (n_records,) probability of turning bad in one of the periods."""
        parts = [self._survived(matrix[start : start + CHUNK]) for start in range(0, len(matrix), CHUNK)]
        return -np.expm1(np.concatenate(parts)) if parts else np.empty(0)

    def hazards(self, matrix: Matrix) -> Floats:
        """Return the (n_records, n_ages) hazard of each period."""
        if not len(matrix):
            return np.empty((0, self.ages))
        answers = self.booster.inplace_predict(self._aged(matrix))
        return np.asarray(answers, dtype=np.float64).reshape(len(matrix), self.ages)

    def contributions(self, matrix: Matrix, of: int | None = None) -> Contributions:
        """Return what each feature adds to the log odds, against the average of the periods learned from.

        Each period's log odds add up by TreeSHAP; along the straight way from the baseline to the record each is
        credited with what its change brings, as Sundararajan, Taly and Yan 2017 do. A record has no age of its own when
        it is scored: what age adds to a period belongs to the baseline.
        """
        import xgboost  # noqa: PLC0415 - a heavy import

        del of  # two outcomes only
        unknown = np.full((1, matrix.shape[1]), np.nan, dtype=np.float32)
        rows = self._aged(np.vstack([matrix, unknown]))
        data = xgboost.DMatrix(rows, feature_types=self.booster.feature_types, enable_categorical=True, nthread=1)
        found = np.asarray(self.booster.predict(data, pred_contribs=True), dtype=np.float64)
        each = found.reshape(len(matrix) + 1, self.ages, -1)
        start = each[-1, :, -2:].sum(axis=1)  # age as it tells of an unknown record: the same baseline for all
        baseline = float(_log_odds(start[None, :])[0])
        parts = [_credited(start, own[:, :-2], own.sum(axis=1)) for own in each[:-1]]
        return Contributions(baseline, np.array(parts).reshape(matrix.shape), AVERAGE)

    def to_bytes(self) -> bytes:
        """Return the trees as UBJSON, the number of periods among its attributes."""
        self.booster.set_attr(**{AGES: str(self.ages)})
        return bytes(self.booster.save_raw(raw_format="ubj"))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the model that `to_bytes` gave.

        Raises:
            DataError: It is something else.
        """
        import xgboost  # noqa: PLC0415 - a heavy import

        if not content.startswith(b"{"):  # XGBoost ends the whole process where it is given nothing
            raise DataError(f"{HAZARD_FILE}: not an XGBoost model")
        booster = xgboost.Booster()
        try:
            booster.load_model(bytearray(content))
        except xgboost.core.XGBoostError:
            raise DataError(f"{HAZARD_FILE}: not an XGBoost model") from None
        ages = booster.attr(AGES)
        if ages is None or not ages.isdigit() or int(ages) < 1:
            raise DataError(f"{HAZARD_FILE}: does not say over how many periods it multiplies up")
        return cls(booster, int(ages))

    def _survived(self, matrix: Matrix) -> Floats:
        hazards = np.minimum(self.hazards(matrix), 1 - FLOOR)
        return np.asarray(np.log1p(-hazards).sum(axis=1), dtype=np.float64)

    def _aged(self, matrix: Matrix) -> Matrix:
        age = np.tile(np.arange(1, self.ages + 1, dtype=np.float32), len(matrix))
        return np.column_stack([np.repeat(matrix, self.ages, axis=0), age])


def _credited(start: Floats, own: Floats, end: Floats) -> Floats:
    """Return the (n_features,) parts of a record in its log odds.

    Args:
        start: (n_ages,) the baseline's log odds of each period; `end` the record's.
        own: (n_ages, n_features) what each feature adds to each period.
    """
    share = (np.arange(STEPS) + 0.5) / STEPS
    margins = start + share[:, None] * (end - start)
    hazards = expit(margins)
    bad = -np.expm1(np.log1p(-np.minimum(hazards, 1 - FLOOR)).sum(axis=1))
    slopes = (hazards / np.maximum(bad, FLOOR)[:, None]).mean(axis=0)  # of logit(1 - prod(1 - h)) in each margin
    values = slopes @ own
    left = float(_log_odds(end[None, :])[0] - _log_odds(start[None, :])[0]) - values.sum()
    size = np.abs(values)
    spread = size / size.sum() if size.sum() else np.full(len(values), 1 / len(values))
    return np.asarray(values + left * spread, dtype=np.float64)


def _log_odds(margins: Floats) -> Floats:
    """Return the log odds of turning bad in any of the periods, from those of each."""
    survived = np.log1p(-np.minimum(expit(margins), 1 - FLOOR)).sum(axis=1)
    bad = np.clip(-np.expm1(survived), FLOOR, 1 - FLOOR)
    return np.asarray(np.log(bad) - np.log1p(-bad), dtype=np.float64)
