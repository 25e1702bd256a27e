"""What is told about a model: from which records it came, how good it is, and what it looks at. Plain JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from refit.scoring.intervals import intervals
from refit.scoring.metrics import Floats
from refit.training.calibration import Calibrated
from refit.training.split import Parts, Rows
from refit.usecase.model import UseCase


@dataclass(frozen=True, slots=True)
class Candidate:
    """One learner's standing on the calibration records, each held out of a fit, by the use case's own metric."""

    learner: str
    metric: str
    value: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class Origin:
    """From what and by what a model was made."""

    as_of: datetime
    code_version: str
    snapshot: str


def card(
    usecase: UseCase,
    origin: Origin,
    matured: pd.DataFrame,
    parts: Parts,
    *,
    learner: str,
    params: Mapping[str, Any],
    importance: Mapping[str, float],
    threshold: float,
    probability: Floats,
    calibrated: Calibrated,
    candidates: Sequence[Candidate],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return the card of a model tested on `parts.test`.

    Args:
        probability: (n_test,) the calibrated probabilities of the test records.
    """
    used = parts.used
    label = matured["_label"].to_numpy()
    return {
        "usecase": usecase.name,
        "title": usecase.title,
        "label": usecase.label.name,
        "learner": learner,
        "as_of": origin.as_of.isoformat(),
        "code_version": origin.code_version,
        "snapshot": origin.snapshot,
        "window": _span(matured, used),
        "n_records": len(used),
        "bad_rate": float(label[used].mean()),
        "parts": {
            name: {"n": len(rows), "bad": int(label[rows].sum()), **_span(matured, rows)} for name, rows in parts
        },
        "split": usecase.split.by,
        "params": dict(params),
        "calibration": {"kind": calibrated.calibrator.kind, "held_out_brier": dict(calibrated.brier)},
        "threshold": threshold,
        "decide": usecase.objective.decide.model_dump(mode="json", exclude_none=True),
        "metrics": metrics(label[parts.test], probability, threshold, usecase.seed),
        "candidates": [
            {
                "learner": c.learner,
                "metric": c.metric,
                "value": _or_none(c.value),
                "log_loss": _or_none(c.log_loss),
            }
            for c in candidates
        ],
        "importance": dict(importance),
        "notes": list(notes),
    }


def metrics(label: Floats, probability: Floats, threshold: float, seed: int) -> dict[str, dict[str, float | None]]:
    """Return every metric on the test records with its 95 % interval, None where undefined."""
    found = intervals(label, probability, threshold, seed=seed)
    return {name: interval.to_json() for name, interval in found.items()}


def _span(matured: pd.DataFrame, rows: Rows) -> dict[str, str | None]:
    event = matured["_event_time"].iloc[rows]
    return {"start": _moment(event.min()), "end": _moment(event.max())}


def _moment(value: pd.Timestamp) -> str | None:
    return None if pd.isna(value) else str(value.isoformat())


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
