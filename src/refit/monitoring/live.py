"""What is asked of the live model against what it learned from: its requests and its answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from refit.monitoring.evidence import Reason
from refit.monitoring.profile import Profile
from refit.monitoring.psi import ColumnDrift, Drift, drift
from refit.usecase.model import InputColumn, UseCase
from refit.usecase.parsing import parse_rule

LIVE: Final = "Live requests"


def live_drift(
    inputs: Sequence[Mapping[str, Any]],
    probability: Sequence[float],
    reference: Profile,
    usecase: UseCase,
    importance: Mapping[str, float] | None = None,
) -> Drift:
    """Return how far the requests and the answers lie from the champion's reference.

    A protected column is never sent, so it is not among the columns.

    Args:
        inputs: (n_requests,) what was sent, as the decision log keeps it.
        probability: (n_requests,) what was answered.
        usecase: The champion's own: it says what the requests were read by.
    """
    asked = usecase.model_copy(update={"protected": ()})
    score = np.asarray(probability, dtype=np.float64)
    return drift(reference, requested(inputs, usecase), asked, score=score, importance=importance)


def requested(inputs: Sequence[Mapping[str, Any]], usecase: UseCase) -> pd.DataFrame:
    """Return requests as a frame holds records: parsed, typed, derived features computed."""
    columns: dict[str, Any] = {name: _column(inputs, column) for name, column in usecase.inputs.items()}
    for name, expression in usecase.expressions.items():
        columns[name] = expression.evaluate({operand: columns[operand].to_numpy() for operand in expression.names})
    return pd.DataFrame(columns)


def live_reasons(found: Drift, usecase: UseCase) -> tuple[Reason, ...]:
    """Return what the decision should tell of the requests: a line on all, and one on each that moved too far.

    Told, and never acted upon: a model is trained on records of the source, and a client that sends another unit or
    leaves a field out is not mended by a new model.
    """
    if found.n_current < usecase.drift.min_records:
        return ()
    moved = [column for column in _all(found) if column.status == "act" or _misses(column, usecase)]
    told = [_told(column, usecase) for column in moved]
    checked = [column for column in _all(found) if column.psi is not None]
    worst = max(checked, key=lambda column: column.psi or 0.0, default=None)
    most = "" if worst is None else f"; the largest PSI is {worst.psi:.3f} ({worst.column})"
    why = f"{LIVE}: {found.n_current:,} were compared, {len(moved)} of {len(_all(found))} columns moved{most}."
    return (*told, Reason("live_drift", why, seen=float(len(moved))))


def _column(inputs: Sequence[Mapping[str, Any]], column: InputColumn) -> pd.Series:
    cells = [record.get(column.name) for record in inputs]
    if column.type == "number":
        unknown = {float(text) for text in column.unknown if _is_number(text)}
        values = np.array([_number(cell) for cell in cells], dtype=np.float64)
        return pd.Series(np.where(np.isin(values, list(unknown)), np.nan, values))
    rule = parse_rule(column.rule)
    parsed: dict[str, Any] = {}
    for text in {cell for cell in cells if isinstance(cell, str)}:
        try:
            parsed[text] = rule.read(text, column.unknown)
        except ValueError:
            parsed[text] = None  # the service answers it as not known
    return pd.Series([parsed.get(cell) if isinstance(cell, str) else None for cell in cells], dtype="category")


def _number(cell: object) -> float:
    return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else math.nan


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _all(found: Drift) -> tuple[ColumnDrift, ...]:
    score = () if found.score is None else (replace(found.score, column="the score"),)
    return (*found.columns, *score)


def _misses(column: ColumnDrift, usecase: UseCase) -> bool:
    if column.missing_current is None or column.missing_reference is None:
        return False
    return 100 * (column.missing_current - column.missing_reference) >= usecase.drift.missing_points


def _told(column: ColumnDrift, usecase: UseCase) -> Reason:
    why = f"{LIVE}: {column.column} lies elsewhere than what the champion learned from: {column.why}."
    return Reason("live_drift", why, column.column, column.psi, f"< {usecase.drift.act:g}")
