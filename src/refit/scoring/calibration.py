"""From a learner's raw probability to one that can be taken at its word."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from refit.errors import DataError

Floats = NDArray[np.float64]
FLOOR = 1e-6
"""No calibrated probability is nearer to 0 or 1: a finite sample shows neither."""


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A monotone map of probabilities: two numbers (Platt) or knots joined by straight lines (isotonic).

    `x` and `y` are knots for `isotonic`; for `platt`, `x` is empty and `y` holds slope and intercept on the log odds.
    """

    kind: Literal["isotonic", "platt"]
    x: tuple[float, ...]
    y: tuple[float, ...]

    def apply(self, raw: Floats) -> Floats:
        """Return the (n_records,) calibrated probability; a record's answer does not depend on its neighbours."""
        if self.kind == "isotonic":
            calibrated = np.interp(raw, self.x, self.y)
        else:
            slope, intercept = self.y
            calibrated = expit(slope * logit(raw) + intercept)
        return np.clip(calibrated, FLOOR, 1 - FLOOR)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {"kind": self.kind, "x": list(self.x), "y": list(self.y)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            DataError: It is no calibrator.
        """
        kind, x, y = content["kind"], tuple(map(float, content["x"])), tuple(map(float, content["y"]))
        fits = len(x) == len(y) >= 1 if kind == "isotonic" else kind == "platt" and len(y) == 2  # noqa: PLR2004 - slope, intercept
        if not fits:
            raise DataError("calibrator.json: neither isotonic knots nor the two numbers of Platt")
        return cls(kind, x, y)


def logit(probability: Floats) -> Floats:
    """Return the log odds, finite at 0 and 1."""
    p = np.clip(np.asarray(probability, dtype=np.float64), FLOOR, 1 - FLOOR)
    return np.asarray(np.log(p) - np.log1p(-p), dtype=np.float64)


def expit(log_odds: Floats) -> Floats:
    """Return the probability of log odds, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * log_odds)), dtype=np.float64)
