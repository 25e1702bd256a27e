"""Columns that are filled only later: whether a value is there tells how the record ended, or how old it is."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.gate.alone import Features, Rows
from refit.gate.check import Check, listed, not_applicable
from refit.scoring.metrics import Floats
from refit.usecase.model import UseCase

NAME: Final = "known only later"
FILLED: Final = "filled only later"
APART: Final = 0.30
"""So far apart between good and bad, the shares of missing values are no applicant's doing."""
FADED: Final = 0.50
"""So many more missing among records that have not matured: the model would meet the column empty."""
SIGMAS: Final = 3.0
LEAST: Final = 20
FEWEST: Final = 3
PERIODS: Final = 10
FRESH: Final = 50


def known_later(usecase: UseCase) -> Check:
    """State that no input is declared as known only later. The use case's own contract refuses it before."""
    allowed = "no input of the model among `known_later`"
    inputs = {*usecase.inputs, *(column.column for column in usecase.inputs.values()), *usecase.features}
    if among := sorted(inputs & set(usecase.known_later)):
        return Check(NAME, "fail", len(among), allowed, f"{listed(among)}: known only after the decision")
    if not usecase.known_later:
        return not_applicable(NAME, allowed, "the use case declares no column as known only later")
    why = f"none of the {len(usecase.known_later)} columns that are known only later is read"
    return Check(NAME, "pass", 0, allowed, why)


def outcome_known(usecase: UseCase) -> Check:
    """Warn where the use case says of no outcome when it was known: a training as of a past day sees it early."""
    name, allowed = "outcome known in time", "no outcome counts as known on the day of its own decision"
    if usecase.event_time is None:
        return not_applicable(name, allowed, "the records have no date")
    why = usecase.outcome_known_too_early
    if why is None:
        return Check(name, "pass", None, allowed, "an outcome counts from the day on which it was known, or arrived")
    return Check(name, "warning", None, allowed, why)


def filled_later(features: Features, fresh: pd.DataFrame | None) -> Check:
    """Refuse where a value is there or not by how the record ended, or only once the record is old."""
    allowed = (
        f"missing shares of any two outcomes at most {APART:.0%} apart, and of fresh records at most {FADED:.0%} more"
    )
    rows = np.concatenate([features.before, features.test])
    missing = np.isnan(features.matrix[rows])
    period = _periods(features, rows)
    found = [
        (_gap(missing[:, k], outcome[rows], period), k)
        for outcome in features.outcomes
        for k in range(missing.shape[1])
        if missing[:, k].any() and not missing[:, k].all()
    ]
    widest = max((abs(gap) for (gap, _), _ in found), default=0.0)
    told: dict[str, str] = {}
    for (gap, error), k in found:
        if abs(gap) - SIGMAS * error > APART:
            side = "more" if gap > 0 else "less"
            told[features.names[k]] = (
                f"{features.names[k]} is missing {abs(gap):.0%} {side} often in records of one outcome than in the rest"
            )
    for name, more in _faded(features, fresh).items():
        told[name] = f"{name} is missing {more:.0%} more often in records that have not matured"
    if told:
        why = f"{listed(list(told.values()))}: it is filled in after the decision, so a new record cannot have it"
        return Check(FILLED, "fail", widest, allowed, why)
    return Check(FILLED, "pass", widest, allowed, "whether a value is there does not tell how the record ended")


def _periods(features: Features, rows: Rows) -> NDArray[np.intp]:
    """Return (n_rows,) the tenth of time each record lies in: a feed that changed over the years is no leak."""
    if features.days is None:
        return np.zeros(len(rows), dtype=np.intp)
    days = features.days[rows]
    return np.searchsorted(np.quantile(days, np.arange(1, PERIODS) / PERIODS), days)


def _gap(missing: NDArray[np.bool_], outcome: Floats, period: NDArray[np.intp]) -> tuple[float, float]:
    """Return how much larger the missing share is where the outcome came, and its standard error.

    Compared within each period, which weighs as many records of the outcome as it holds (direct standardisation).
    """
    weights, gaps, errors = [], [], []
    for one in np.unique(period):
        came, rest = (missing[(period == one) & (outcome == value)] for value in (1.0, 0.0))
        if min(len(came), len(rest)) >= FEWEST:
            weights.append(len(came))
            gaps.append(came.mean() - rest.mean())
            errors.append(came.var() / len(came) + rest.var() / len(rest) + 1 / len(came) / len(rest))
    if sum(weights) < LEAST:
        return 0.0, 0.0
    share = np.array(weights) / sum(weights)
    return float(share @ np.array(gaps)), float(np.sqrt(share**2 @ np.array(errors)))


def _faded(features: Features, fresh: pd.DataFrame | None) -> dict[str, float]:
    """Return the features that the newest records lack and those tested on have."""
    if fresh is None or len(fresh) < FRESH:
        return {}
    matured = np.isnan(features.matrix[features.test]).mean(axis=0) if len(features.test) else np.zeros(0)
    more = {
        name: float(fresh[name].isna().mean() - share)
        for name, share in zip(features.names, matured, strict=False)
        if name in fresh
    }
    return {name: share for name, share in more.items() if share > FADED}
