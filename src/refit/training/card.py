"""What is told about a model: from which records it came, how good it is, and what it looks at. Plain JSON."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np
import pandas as pd

from refit.scoring.intervals import intervals
from refit.scoring.metrics import Floats, at_threshold
from refit.training.calibration import Calibrated
from refit.training.classes import by_class, confusion
from refit.training.curves import curves
from refit.training.groups import impact, lowest_impacts, segments
from refit.training.split import Parts, Rows
from refit.usecase.model import UseCase

LIBRARIES: Final = ("numpy", "pandas", "scikit-learn", "xgboost", "imbalanced-learn", "optuna", "skops")


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
    search: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the card of a model tested on `parts.test`: plain data without NaN, the same for the same model.

    Args:
        probability: (n_test,) the calibrated probabilities of the test records; (n_test, n_classes) of several classes.
        search: How the learner and its parameters were looked for, plain data.
    """
    used = parts.used
    label = matured["_label"].to_numpy(dtype=np.float64)
    told = {
        "usecase": usecase.name,
        "title": usecase.title,
        "task": usecase.task,
        "label": usecase.label.name,
        "learner": learner,
        "as_of": origin.as_of.isoformat(),
        "code_version": origin.code_version,
        "libraries": libraries(),
        "seed": usecase.seed,
        "snapshot": origin.snapshot,
        "dated": usecase.event_time is not None,
        "window": _span(matured, used),
        "n_records": len(used),
        "parts": {name: _part(matured, rows, label, usecase.classes) for name, rows in parts},
        "split": usecase.split.by,
        "params": dict(params),
        "search": None if search is None else dict(search),
        "calibration": {"kind": calibrated.calibrator.kind, "held_out_brier": dict(calibrated.brier)},
        "threshold": threshold,
        "decide": usecase.objective.decide.model_dump(mode="json", exclude_none=True),
        "candidates": [
            {"learner": c.learner, "metric": c.metric, "value": _or_none(c.value), "log_loss": _or_none(c.log_loss)}
            for c in candidates
        ],
        "importance": dict(importance),
        "features": {name: _feature(usecase, name) for name in usecase.features},
        "notes": list(notes),
    }
    test = matured.iloc[parts.test]
    tell = _binary if usecase.classes is None else _multiclass
    told |= tell(usecase, test, label[parts.test], probability, threshold)
    told["bad_rate"] = float(label[used].mean()) if usecase.classes is None else None
    return {name: _plain(value) for name, value in told.items()}


def metrics(label: Floats, probability: Floats, threshold: float, seed: int) -> dict[str, dict[str, float | None]]:
    """Return every metric on the test records with its 95 % interval, None where undefined.

    Args:
        probability: (n_test,), or (n_test, n_classes) of several classes: those have no threshold.
    """
    found = intervals(label, probability, threshold, seed=seed)
    return {name: interval.to_json() for name, interval in found.items()}


def libraries() -> dict[str, str]:
    """Return the versions of what a model was made with."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # not every learner needs every library
            continue
    return found


def _binary(
    usecase: UseCase, test: pd.DataFrame, label: Floats, probability: Floats, threshold: float
) -> dict[str, Any]:
    seen = at_threshold(label, probability, threshold)
    drawn = curves(label, probability, threshold, usecase.objective.decide.cost)
    if usecase.protected and drawn["trade_off"]:
        cuts = drawn["trade_off"]["threshold"]
        drawn["trade_off"]["impact"] = lowest_impacts(test, probability, cuts, usecase)
    names = ("precision", "recall", "approval_rate", "f1", "accuracy")
    return {
        "metrics": metrics(label, probability, threshold, usecase.seed),
        "at_threshold": {name: _or_none(getattr(seen, name)) for name in names},
        "curves": drawn,
        "segments": segments(test, probability, usecase),
        "impact": impact(test, probability < threshold, usecase),
    }


def _multiclass(
    usecase: UseCase, test: pd.DataFrame, label: Floats, probability: Floats, _threshold: float
) -> dict[str, Any]:
    """Return what can be told of several classes: none is bad, so nothing is approved and no impact is measured."""
    del test
    names = usecase.classes or ()
    return {
        "metrics": metrics(label, probability, 0.5, usecase.seed),
        "classes": by_class(label, probability, names, usecase.seed),
        "confusion": confusion(label, probability, names),
        "curves": {},
        "segments": [],
        "impact": [],
    }


def _part(matured: pd.DataFrame, rows: Rows, label: Floats, classes: Sequence[str] | None) -> dict[str, Any]:
    counted: dict[str, Any] = {"n": len(rows), "bad": int(label[rows].sum()) if classes is None else None}
    if classes is not None:
        counts = np.bincount(label[rows].astype(np.intp), minlength=len(classes))
        counted["by_class"] = dict(zip(classes, counts.tolist(), strict=True))
    return {**counted, **_span(matured, rows)}


def _feature(usecase: UseCase, name: str) -> dict[str, Any]:
    feature = usecase.features[name]
    return {"type": feature.type, "title": feature.title, "unit": feature.unit, "from": feature.from_}


def _span(matured: pd.DataFrame, rows: Rows) -> dict[str, str | None]:
    event = matured["_event_time"].iloc[rows]
    return {"start": _moment(event.min()), "end": _moment(event.max())}


def _moment(value: pd.Timestamp) -> str | None:
    return None if pd.isna(value) else str(value.isoformat())


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _plain(value: Any) -> Any:
    """Return plain data: numpy's numbers as Python's, and None for what JSON cannot say."""
    match value:
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case np.generic():
            return _plain(value.item())
        case float():
            return value if np.isfinite(value) else None
        case np.ndarray():
            return _plain(value.tolist())
    return value
