"""A small made-up loan book, as an as-of read would give it."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from refit.usecase.model import UseCase

AS_OF = datetime(2003, 6, 30, tzinfo=UTC)
MADE_WITH = {"code_version": "0.1.0", "snapshot": "5e7"}


def usecase(**changes: Any) -> UseCase:
    """Return the use case, with top-level keys replaced."""
    return UseCase.model_validate(
        {
            "name": "book",
            "title": "A book",
            "source": {"table": "source.book", "key": "id", "arrived_at": "day"},
            "event_time": {"column": "day"},
            "label": {"name": "charged_off", "happened_on": {"column": "failed_on"}, "within_months": 12},
            "features": {
                "amount": {"type": "number", "parse": "money", "min": 0, "required": True},
                "covered_share": {"type": "number", "from": "covered / amount", "min": 0},
                "jobs": {"type": "number", "unknown": "-1"},
                "sector": {"type": "category", "parse": "prefix:2", "unknown": "0"},
                "state": {"type": "category", "parse": "upper", "required": True},
                "zip": {"type": "category", "parse": "match:[0-9]{5}$"},
            },
            "split": {"by": "time", "test_months": 6},
            "gate": {"floor": {"roc_auc": 0.6}},
            "search": {"trials": 0},
        }
        | changes
    )


def book(n: int = 2000, seed: int = 7, *, signal: float = 1.5, start: str = "1998-07-01") -> pd.DataFrame:
    """Return n loans up to AS_OF, about one in five bad; those of its last year are not ripe."""
    random = np.random.default_rng(seed)
    days = (pd.Timestamp(AS_OF) - pd.Timestamp(start, tz="UTC")).days
    event = pd.Timestamp(start, tz="UTC") + pd.to_timedelta(random.integers(0, days + 1, n), unit="D")
    amount = np.round(random.lognormal(10, 1.5, n), 2)
    covered = amount * random.uniform(0.3, 0.9, n)
    covered[random.random(n) < 0.05] = np.nan
    jobs = np.where(random.random(n) < 0.2, np.nan, random.poisson(3, n).astype(float))
    sector = random.choice(["11", "22", "33", "44"], n).astype(object)
    sector[random.random(n) < 0.1] = np.nan
    state = random.choice(["TX", "CA", "NY"], n, p=[0.5, 0.3, 0.2])
    zipped = random.choice(["70466", "22690", "05113"], n)
    risk = signal * ((sector == "22") + (state == "NY") - np.nan_to_num(covered / amount, nan=0.5)) - 1.6
    bad = random.random(n) < 1 / (1 + np.exp(-risk))
    ripe = np.asarray(event + pd.DateOffset(months=12) <= pd.Timestamp(AS_OF))
    return pd.DataFrame(
        {
            "_key": pd.Series([f"{i:05d}" for i in range(n)], dtype="str"),
            "_arrived_at": event.as_unit("us"),
            "_event_time": event.as_unit("us"),
            "amount": amount,
            "covered": covered,
            "covered_share": covered / amount,
            "jobs": jobs,
            "sector": pd.Categorical(sector),
            "state": pd.Categorical(state),
            "zip": pd.Categorical(zipped),
            "_label": np.where(ripe, bad.astype(float), np.nan),
            "_ripe": ripe,
        }
    )


def as_inputs(record: dict[str, Any], case: UseCase) -> dict[str, float | str | None]:
    """Return one row of a frame as a client would send it."""
    return {
        name: None if pd.isna(record[name]) else str(record[name]) if c.type == "category" else float(record[name])
        for name, c in case.inputs.items()
    }
