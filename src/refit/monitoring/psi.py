"""How far the current records lie from the reference, column by column."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from refit.monitoring.columns import Kind, Role, UnsupportedError, Watched, categories, numbers, watched
from refit.monitoring.counting import Counts
from refit.monitoring.profile import CategoryProfile, ColumnProfile, NumberProfile, Profile
from refit.usecase.model import UseCase
from refit.usecase.policy import Drift as Limits

Status = Literal["stable", "warn", "act", "not checked"]

FLOOR: Final = 1e-4
"""The least share a bin counts as, so that an empty one has a logarithm."""

MIN_EXPECTED: Final = 10
"""A category value has a bin of its own where at least so many records of it are expected on either side.

With fewer, chance alone drives PSI up: 200 values over 500 records give 0.5 where nothing has changed (its mean is near
`(bins - 1) * (1 / n_reference + 1 / n_current)`, Yurdakul 2018, ch. 3). So the rarer ones share the bin of the others.
"""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How one column moved.

    Shares are 0 to 1. `missing_*` are of all records, `unseen_share` is of the values present now: those that the
    reference never held; `unseen_expected` is how many of those chance brings. None where it does not apply.
    """

    column: str
    kind: Kind
    role: Role
    status: Status
    psi: float | None
    missing_reference: float | None
    missing_current: float | None
    unseen_share: float | None
    unseen_expected: float | None
    importance: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Drift:
    """The drift of every column of the contract, in its order, and of the model's score."""

    n_reference: int
    n_current: int
    columns: tuple[ColumnDrift, ...]
    score: ColumnDrift | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "n_reference": self.n_reference,
            "n_current": self.n_current,
            "columns": [asdict(column) for column in self.columns],
            "score": None if self.score is None else asdict(self.score),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Drift":
        """Return the drift that `to_json` wrote."""
        score = content["score"]
        return cls(
            n_reference=content["n_reference"],
            n_current=content["n_current"],
            columns=tuple(ColumnDrift(**column) for column in content["columns"]),
            score=None if score is None else ColumnDrift(**score),
        )


def psi(expected: ArrayLike, actual: ArrayLike) -> float:
    """Return the population stability index of two distributions over the same bins; NaN where one is empty.

    The sum over bins of `(actual - expected) * ln(actual / expected)`, on shares of at least `FLOOR`.
    Siddiqi, N. (2006), Credit Risk Scorecards, Wiley, ch. 12; Yurdakul, B. (2018), Statistical Properties of
    Population Stability Index, Western Michigan University. From 0.10 it is watched, from 0.25 acted upon (Siddiqi).

    Args:
        expected: (n_bins,) counts or shares of the reference.
        actual: (n_bins,) the same of the current records.

    Examples:
        >>> psi([10, 10], [10, 10])
        0.0
        >>> round(psi([50, 50], [20, 80]), 3)
        0.416
    """
    return float(_contributions(np.asarray(expected), np.asarray(actual)).sum())


def drift(
    reference: Profile,
    current: pd.DataFrame,
    usecase: UseCase,
    *,
    score: NDArray[np.floating] | None = None,
    importance: Mapping[str, float] | None = None,
) -> Drift:
    """Return how far `current` lies from `reference`, for every column of the contract, each exactly once.

    Args:
        reference: What the champion was trained on.
        current: (n_records, n_columns) what arrived since.
        usecase: Names the columns and the limits.
        score: (n_records,) the champion's probability of each current record.
        importance: The share each feature has in the champion; shown, and weighed by `triage`.
    """
    if score is not None and np.shape(score) != (len(current),):
        raise ValueError(f"one score a record: {np.shape(score)} for {len(current)} records")
    weights = importance or {}
    check = _Check(usecase.drift, len(current))
    columns = tuple(
        check.column(name, column, reference.columns.get(name), current, weights.get(name))
        for name, column in watched(usecase).items()
    )
    scored = None
    if score is not None:
        frame = pd.DataFrame({"score": score})
        scored = check.column("score", Watched("number", "score"), reference.score, frame, None)
    return Drift(reference.n_records, len(current), columns, scored)


@dataclass(frozen=True, slots=True)
class _Check:
    """What every column of one drift check has in common."""

    limits: Limits
    n_current: int

    def column(
        self,
        name: str,
        column: Watched,
        reference: ColumnProfile | None,
        current: pd.DataFrame,
        importance: float | None,
    ) -> ColumnDrift:
        unchecked = ColumnDrift(
            column=name,
            kind=column.kind,
            role=column.role,
            status="not checked",
            psi=None,
            missing_reference=reference.missing / reference.n if reference is not None and reference.n else None,
            missing_current=None,
            unseen_share=None,
            unseen_expected=reference.unseen_expected if isinstance(reference, CategoryProfile) else None,
            importance=importance,
            why="",
        )
        if name not in current:
            return replace(unchecked, missing_current=1.0, why="the current records have no such column")
        if reference is None:
            return replace(unchecked, why="the reference has no such column")
        try:
            actual = _binned(reference, column.kind, current[name])
        except UnsupportedError as error:
            return replace(unchecked, why=str(error))
        n_present = self.n_current - int(actual[-1])
        counted = replace(
            unchecked,
            missing_current=float(actual[-1]) / self.n_current if self.n_current else None,
            unseen_share=float(actual[-2]) / n_present if unchecked.unseen_expected is not None and n_present else None,
        )
        if why := self._why_not(reference, n_present):
            return replace(counted, why=why)
        status, why, value = self._judged(reference, actual)
        return replace(counted, status=status, why=why, psi=value)

    def _why_not(self, reference: ColumnProfile, n_present: int) -> str | None:
        least = self.limits.min_records
        for n, side in ((self.n_current, "current"), (reference.n, "reference")):
            if n < least:
                return f"{n:,} {side} records; {least:,} are needed to tell drift from chance"
        if reference.missing == reference.n:
            return "every value is missing in the reference"
        if not n_present:
            return f"every value is missing now; {reference.missing / reference.n:.1%} were in the reference"
        return None

    def _judged(self, reference: ColumnProfile, actual: Counts) -> tuple[Status, str, float]:
        expected = reference.binned()
        labels = reference.labels()
        before, now = expected[-1] / reference.n, actual[-1] / self.n_current
        if isinstance(reference, CategoryProfile):
            expected, actual, labels = _pooled(expected, actual, labels, reference.unseen_expected)
        parts = _contributions(expected, actual)
        value = float(parts.sum())
        worst = int(parts.argmax())
        moved = (
            f"PSI {value:.3f}, most of it from {labels[worst]}: "
            f"{expected[worst] / reference.n:.1%} before, {actual[worst] / self.n_current:.1%} now"
        )
        points = 100 * abs(now - before)
        if points >= self.limits.missing_points:
            verb = "rose" if now > before else "fell"
            return "act", f"missing values {verb} from {before:.1%} to {now:.1%} of records; {moved}", value
        if value >= self.limits.act:
            return "act", moved, value
        if value >= self.limits.warn:
            return "warn", moved, value
        return "stable", f"PSI {value:.3f}", value


def _contributions(expected: NDArray[Any], actual: NDArray[Any]) -> NDArray[np.float64]:
    if expected.shape != actual.shape:
        raise ValueError(f"the same bins on both sides: {expected.shape} against {actual.shape}")
    if not expected.sum() or not actual.sum():
        return np.full(expected.shape, np.nan)
    before = np.maximum(expected / expected.sum(), FLOOR)
    now = np.maximum(actual / actual.sum(), FLOOR)
    return np.asarray((now - before) * (np.log(now) - np.log(before)), dtype=np.float64)


def _binned(reference: ColumnProfile, kind: Kind, column: pd.Series) -> Counts:
    if isinstance(reference, NumberProfile) and kind == "number":
        return reference.binned_current(numbers(column))
    if isinstance(reference, CategoryProfile) and kind == "category":
        return reference.binned_current(categories(column))
    raise UnsupportedError(f"a {kind} by contract, but not in the reference")


def _pooled(
    expected: Counts, actual: Counts, labels: Sequence[str], unseen_expected: float | None
) -> tuple[Counts, Counts, list[str]]:
    """Put what is too rare to judge with the others: values seldom expected, and as many new ones as chance brings."""
    n_current = int(actual.sum())
    likely = expected[:-3] * min(1.0, n_current / int(expected.sum()))
    keep = np.append(likely >= MIN_EXPECTED, [True, True, True])
    by_chance = (unseen_expected or 0.0) * (n_current - int(actual[-1]))
    usual = min(int(actual[-2]), int(by_chance + 2 * by_chance**0.5))
    before, now = expected[keep], actual[keep]
    before[-3] += expected[~keep].sum()
    now[-3] += actual[~keep].sum() + usual
    now[-2] -= usual
    return before, now, [label for label, kept in zip(labels, keep, strict=True) if kept]
