"""A points scorecard: each feature falls into one of a few bins, each bin has its points, and the points add up."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from refit.errors import DataError

SCORECARD_FILE: Final = "model.json"


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One feature's bins and what each says.

    A number falls into the first bin whose edge it does not exceed, or into the bin above the last edge. A category's
    bin is `groups[code]`. The last bin is for missing values, and for categories that were not there to learn from.

    `woe` is the weight of evidence of each bin, the log odds of bad in it less those of all records, shrunk towards 0
    where it holds few; `weight` is what the logistic regression gave the feature. So a bin moves the log odds by
    `weight * woe`. Siddiqi 2006, Credit Risk Scorecards, chapter 6 (there with the opposite sign).
    """

    feature: int
    edges: tuple[float, ...]
    groups: tuple[int, ...]
    woe: tuple[float, ...]
    share: tuple[float, ...]
    weight: float
    _arrays: tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        groups = np.array([*self.groups, len(self.woe) - 1], dtype=np.intp)
        arrays = (np.array(self.edges), groups, self.weight * np.array(self.woe))
        object.__setattr__(self, "_arrays", arrays)

    def bins(self, values: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the (n_records,) bin of each value."""
        edges, groups, points = self._arrays
        missing = np.isnan(values)
        if self.groups:
            last = len(groups) - 1
            return groups[np.where(missing | (values < 0) | (values >= last), last, values).astype(np.intp)]
        return np.where(missing, len(points) - 1, np.searchsorted(edges, values.astype(np.float64)))

    def log_odds(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return by how much (n_records,) each value moves the log odds of bad."""
        return np.asarray(self._arrays[2][self.bins(values)], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        named = ("feature", "edges", "groups", "woe", "share", "weight")
        return {name: list(v) if isinstance(v := getattr(self, name), tuple) else v for name in named}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            feature=int(content["feature"]),
            edges=tuple(map(float, content["edges"])),
            groups=tuple(map(int, content["groups"])),
            woe=tuple(map(float, content["woe"])),
            share=tuple(map(float, content["share"])),
            weight=float(content["weight"]),
        )


@dataclass(frozen=True, slots=True)
class ScorecardModel:
    """Log odds of bad: the intercept and, for each characteristic, what its bin adds."""

    intercept: float
    characteristics: tuple[Characteristic, ...]
    file: str = SCORECARD_FILE
    n_classes: int = 2

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the (n_records,) log odds of bad."""
        total = np.full(len(matrix), self.intercept)
        for characteristic in self.characteristics:
            total += characteristic.log_odds(matrix[:, characteristic.feature])
        return total

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the (n_records,) uncalibrated P(bad)."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(matrix))), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Return the card as JSON."""
        content = {"intercept": self.intercept, "characteristics": [c.to_json() for c in self.characteristics]}
        return json.dumps(content, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            DataError: It is no scorecard.
        """
        try:
            card = json.loads(content)
            found = tuple(Characteristic.from_json(part) for part in card["characteristics"])
            return cls(float(card["intercept"]), found)
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{SCORECARD_FILE}: not a scorecard") from None
