"""A made-up portfolio whose truths are known: who goes bad, what is missing, and what leaks."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from refit.portfolio.report import Portfolio, portfolio
from refit.usecase.model import UseCase

AS_OF = datetime(2003, 6, 30, tzinfo=UTC)


def usecase(features: dict[str, Any], **changes: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "loans",
            "title": "Loans",
            "source": {"table": "source.loans", "key": "id", "arrived_at": "day"},
            "event_time": {"column": "day"},
            "label": {"name": "failed", "happened_on": {"column": "failed_on"}, "within_months": 12},
            "features": features,
        }
        | changes
    )


def framed(columns: dict[str, Any], label: Any, *, ripe: Any = True, event: Any = None) -> pd.DataFrame:
    """Return a frame as an as-of read gives it; all of one day where no event is given."""
    n = len(label)
    moments = pd.Series([pd.Timestamp("2001-01-01", tz="UTC")] * n) if event is None else pd.Series(event)
    frame = pd.DataFrame({"_key": [f"{i:06d}" for i in range(n)], "_arrived_at": moments, "_event_time": moments})
    for name, values in columns.items():
        number = np.asarray(values).dtype.kind in "fiu"
        frame[name] = np.asarray(values, dtype=np.float64) if number else pd.Categorical(values)
    return frame.assign(_happened=label == 1, _label=label, _ripe=ripe)


def explored(columns: dict[str, Any], outcome: Any, **changes: Any) -> Portfolio:
    """Return the report on records with these columns, each a feature of its own kind."""
    features = {
        name: {"type": "number" if np.asarray(values).dtype.kind in "fiu" else "category"}
        for name, values in columns.items()
        if name not in changes.get("protected", ())
    }
    ripe, event = changes.pop("ripe", True), changes.pop("event", None)
    frame = framed(columns, np.asarray(outcome, dtype=float), ripe=ripe, event=event)
    return portfolio(frame, usecase(features, **changes), AS_OF, snapshot="5e7")
