"""A card of made-up probabilities: no learner is fitted, so that it tells the same whatever the learners do."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from refit.training.card import Candidate, Origin, card
from refit.training.split import Parts
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

ROWS = 900


def parts(n: int) -> Parts:
    rows = np.arange(n)
    return Parts(rows[: n // 2], rows[n // 2 : 3 * n // 4], rows[3 * n // 4 :])


def calibrated() -> Any:
    return SimpleNamespace(calibrator=SimpleNamespace(kind="platt"), brier={"platt": 0.12, "isotonic": 0.13})


def made_card(*, notes=("zip is missing",), frame=None, probability=None, **changes: Any) -> dict[str, Any]:
    """Return the card of a model that knows the sector and the state, of 20 % bad."""
    case = usecase(
        **{
            "gate": {"segments": ["sector", "state"]},
            "objective": {"decide": {"minimise": "cost", "cost": {"false_negative": 5, "false_positive": 1}}},
        }
        | changes
    )
    ripe = book(4000) if frame is None else frame
    ripe = ripe[ripe["_ripe"]].sort_values("_event_time", kind="stable", ignore_index=True)
    divided = parts(len(ripe))
    if probability is None:
        risk = 1.5 * ((ripe["sector"] == "22").to_numpy() * 1.0 + (ripe["state"] == "NY").to_numpy()) - 2.3
        probability = (1 / (1 + np.exp(-risk)))[divided.test]
    return card(
        case,
        Origin(AS_OF, MADE_WITH["code_version"], MADE_WITH["snapshot"]),
        ripe,
        divided,
        learner="xgboost",
        params={"max_depth": np.int64(3), "eta": 0.1, "lost": float("nan")},
        importance={"sector": 0.6, "state": 0.4},
        threshold=0.3,
        probability=probability,
        calibrated=calibrated(),
        candidates=[
            Candidate("xgboost", "roc_auc", 0.71, 0.4),
            Candidate("logistic_regression", "roc_auc", float("nan"), 0.5),
        ],
        notes=notes,
        search={"trials": 16, "tried": [{"learner": "xgboost", "value": 0.7}]},
    )
