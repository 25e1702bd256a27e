from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from refit.usecase.model import UseCase

DECLARED: Mapping[str, Any] = {
    "name": "loans",
    "title": "Loans",
    "source": {"table": "source.loans", "key": "id", "arrived_at": "asked_on"},
    "event_time": {"column": "asked_on"},
    "label": {"name": "bad", "column": "status", "bad": ["late"], "good": ["paid"]},
    "features": {
        "amount": {"type": "number"},
        "share": {"type": "number", "from": "amount / price"},
        "region": {"type": "category"},
        "purpose": {"type": "category"},
    },
    "protected": ["sex"],
    "drift": {"min_records": 100},
    "retrain": {"max_age_days": 90, "min_new_labels": 500, "max_metric_drop": 0.03},
}


def loans(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(10, 1, n)
    price = amount * rng.uniform(1, 3, n)
    return pd.DataFrame(
        {
            "_event_time": pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC"),
            "amount": np.where(rng.random(n) < 0.02, np.nan, amount),
            "price": price,
            "share": amount / price,
            "region": pd.Categorical(rng.choice(["north", "south", "west"], n, p=[0.5, 0.3, 0.2])),
            "purpose": pd.Categorical(rng.choice(["car", "home"], n)),
            "sex": pd.Categorical(rng.choice(["f", "m"], n)),
        }
    )


@pytest.fixture(scope="session")
def usecase() -> UseCase:
    return UseCase.model_validate(DECLARED)


@pytest.fixture
def make_loans() -> Callable[..., pd.DataFrame]:
    return loans
