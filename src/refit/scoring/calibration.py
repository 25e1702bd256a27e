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


@dataclass(frozen=True, slots=True)
class ClassCalibrator:
    """A map of the probabilities of several classes; what comes out of it sums to 1.

    `temperature` and `vector` work on log probabilities before they are made to sum to 1 again: one slope for all
    (`y` holds it), or a slope and an intercept a class (two rows of `y`); Guo et al. 2017, On calibration of modern
    neural networks, section 4.2. `one_vs_rest` has knots for each class, as an isotonic `Calibrator` has.
    """

    kind: Literal["identity", "temperature", "vector", "one_vs_rest"]
    x: tuple[tuple[float, ...], ...] = ()
    y: tuple[tuple[float, ...], ...] = ()

    def apply(self, raw: Floats) -> Floats:
        """Return the (n_records, n_classes) calibrated probabilities; each row sums to 1."""
        if self.kind == "one_vs_rest":
            found = np.column_stack(
                [np.interp(raw[:, k], x, y) for k, (x, y) in enumerate(zip(self.x, self.y, strict=True))]
            )
        elif self.kind == "identity":
            found = raw
        else:
            found = softmax(
                np.asarray(self.y[0]) * logs(raw) + (np.asarray(self.y[1]) if self.kind == "vector" else 0.0)
            )
        return summing_to_one(found)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {"kind": self.kind, "x": [list(row) for row in self.x], "y": [list(row) for row in self.y]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            DataError: It is no calibrator of classes.
        """
        kind = content["kind"]
        x, y = (tuple(tuple(map(float, row)) for row in content[name]) for name in ("x", "y"))
        sizes = [len(row) for row in y]
        fits = {
            "identity": not x and not y,
            "temperature": not x and sizes == [1],
            "vector": not x and len(sizes) == 2 and sizes[0] == sizes[1] > 1,  # noqa: PLR2004 - slopes, intercepts
            "one_vs_rest": len(sizes) > 1 and [len(row) for row in x] == sizes and min(sizes) > 0,
        }
        if not fits.get(kind, False):
            raise DataError("calibrator.json: neither a temperature, slopes and intercepts, nor knots of each class")
        return cls(kind, x, y)


AnyCalibrator = Calibrator | ClassCalibrator


def calibrator_from_json(content: Mapping[str, Any]) -> AnyCalibrator:
    """Read a calibrator of either sort.

    Raises:
        DataError: It is none.
    """
    if content["kind"] in {"identity", "temperature", "vector", "one_vs_rest"}:
        return ClassCalibrator.from_json(content)
    return Calibrator.from_json(content)


def logs(probability: Floats) -> Floats:
    """Return the logarithm, finite at 0."""
    return np.asarray(np.log(np.maximum(probability, FLOOR)), dtype=np.float64)


def softmax(margin: Floats) -> Floats:
    """Return the (n_records, n_classes) probabilities that belong to margins, without overflow."""
    odds = np.exp(margin - margin.max(axis=1, keepdims=True)) if len(margin) else margin
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float64)


def summing_to_one(probability: Floats) -> Floats:
    """Return rows that sum to 1 with no class at nothing."""
    held = np.maximum(np.asarray(probability, dtype=np.float64), FLOOR)
    return np.asarray(held / held.sum(axis=1, keepdims=True), dtype=np.float64)


def logit(probability: Floats) -> Floats:
    """Return the log odds, finite at 0 and 1."""
    p = np.clip(np.asarray(probability, dtype=np.float64), FLOOR, 1 - FLOOR)
    return np.asarray(np.log(p) - np.log1p(-p), dtype=np.float64)


def expit(log_odds: Floats) -> Floats:
    """Return the probability of log odds, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * log_odds)), dtype=np.float64)
