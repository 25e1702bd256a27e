"""Learners by name, fitted small."""

from collections.abc import Mapping
from typing import Any, Final

from refit.training.learners.registry import LEARNERS

SMALL: Final[Mapping[str, Mapping[str, Any]]] = {"xgboost": {"trees": 60}, "random_forest": {"trees": 40}}


def fitted(learner: str, matrix, label, encoder, *, n_classes: int = 2):
    """Return the learner fitted with what it comes with, smaller where that takes long."""
    params = SMALL.get(learner, {})
    return LEARNERS[learner](matrix, label, encoder, 1, lambda _: None, params=params, n_classes=n_classes)
