"""The full drift report: Evidently's page on a sample, with our statistic in it and our decision on top of it."""

import json
import os
import threading
import warnings
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from refit.monitoring import page
from refit.monitoring.drawing import SAMPLE, Drawing, drawing
from refit.monitoring.evidence import Decision
from refit.monitoring.psi import ColumnDrift, Drift
from refit.usecase.model import UseCase

_STATISTIC: Final = "refit_psi"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EMPTY: Final = "<!DOCTYPE html><html lang='en'><head><meta charset='UTF-8'></head><body></body></html>"

_decided: ContextVar[Mapping[str, ColumnDrift]] = ContextVar("refit_decided")
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Report:
    """A page that needs no network, and the same as JSON."""

    html: str
    json: str


def render(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    usecase: UseCase,
    drift: Drift,
    *,
    decision: Decision | None = None,
    as_of: datetime | None = None,
) -> Report:
    """Return the report of `drift`, drawn from a sample of both sides.

    The charts are of the sample; every PSI in it, Evidently's own tables included, is the decision's, of all records.

    Args:
        reference: What the champion was trained on; a `_score` column on both sides is drawn too.
        current: What arrived since.
        usecase: Names it; its seed draws the sample.
        drift: What `psi.drift` returned for the two.
        decision: Shown on top.
        as_of: The day it is true of.
    """
    drawn = drawing(reference, current, drift, usecase.seed)
    body, evidently = _evidently(drawn, usecase, as_of or _EPOCH) if drawn.shown else (_EMPTY, None)
    section = page.section(
        usecase,
        drift,
        decision,
        as_of=as_of,
        windows=(
            f"Reference: {drift.n_reference:,} records{_window(reference)}.",
            f"Current: {drift.n_current:,} records{_window(current)}.",
        ),
        notes=_notes(drawn, usecase) if drawn.shown else (),
        not_drawn=drawn.not_drawn,
    )
    body = body.replace("</head>", f"<title>{page.title(usecase)}</title></head>", 1)
    content = {
        "usecase": usecase.name,
        "as_of": None if as_of is None else as_of.isoformat(),
        "sample": {"reference": len(drawn.reference), "current": len(drawn.current), "seed": usecase.seed},
        "decision": None if decision is None else decision.to_json(),
        "drift": drift.to_json(),
        "not_drawn": dict(drawn.not_drawn),
        "evidently": evidently,
    }
    return Report(body.replace("<body>", f"<body>\n{section}", 1), json.dumps(content, allow_nan=False))


def _evidently(drawn: Drawing, usecase: UseCase, as_of: datetime) -> tuple[str, Any]:
    """Return Evidently's page and its JSON. Its registry and the warning filters are global: one report at a time."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    numeric = [name for name, column in drawn.shown.items() if column.kind == "number"]
    categorical = [name for name, column in drawn.shown.items() if column.kind == "category"]
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, and those of what it imports
        from evidently import DataDefinition, Dataset  # noqa: PLC0415 - 5 to 7 s, only where a report is wanted
        from evidently import Report as Evidently  # noqa: PLC0415
        from evidently.legacy.calculations.stattests import StatTest, register_stattest  # noqa: PLC0415
        from evidently.legacy.core import ColumnType  # noqa: PLC0415
        from evidently.presets import DataDriftPreset  # noqa: PLC0415

        statistic = StatTest(
            name=_STATISTIC,
            display_name="PSI, all records",
            allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
            default_threshold=usecase.drift.act,
        )
        register_stattest(statistic, _as_decided)
        # without an explicit definition, columns of an unexpected type are left out without a word
        definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
        current, reference = (Dataset.from_pandas(side, definition) for side in (drawn.current, drawn.reference))
        preset = DataDriftPreset(
            columns=list(drawn.shown),
            method=_STATISTIC,
            threshold=usecase.drift.act,
            drift_share=1 / len(drawn.shown),  # by default half of the columns must drift before it says so
        )
        token = _decided.set(drawn.shown)
        try:
            snapshot = Evidently([preset], include_tests=True).run(current, reference, timestamp=as_of)
            return snapshot.get_html_str(as_iframe=False), json.loads(snapshot.json())
        finally:
            _decided.reset(token)


def _as_decided(reference: pd.Series, current: pd.Series, kind: object, threshold: float) -> tuple[float, bool]:
    """Answer Evidently's question for a column's drift with what was decided on all records."""
    del current, kind, threshold
    column = _decided.get()[str(reference.name)]
    return float(column.psi or 0.0), column.status == "act"


def _window(frame: pd.DataFrame) -> str:
    if "_event_time" not in frame:
        return ""
    first, last = frame["_event_time"].min(), frame["_event_time"].max()
    return "" if pd.isna(first) else f", of {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _notes(drawn: Drawing, usecase: UseCase) -> tuple[str, ...]:
    sizes = f"{len(drawn.reference):,} reference and {len(drawn.current):,} current records"
    return (
        f"The charts below are drawn by Evidently from a sample: {sizes} (at most {SAMPLE:,}, seed {usecase.seed}).",
        "Every PSI on this page, in Evidently's tables too, is of all records: it is the one that was decided on.",
        "Evidently speaks of dataset drift where one column or more is at 'act'.",
        "Numbers far outside are drawn at the edge of the chart, and the rarer values of a category together.",
    )
