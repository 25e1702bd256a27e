"""The made-up book with three classes in place of two outcomes, as a use case that names them in any order reads it."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from refit.usecase.model import UseCase
from tests.unit.training.book import book, usecase

EARLIER = datetime(2001, 12, 31, tzinfo=UTC)
BOOK = book(4000, signal=3.0)


def of_classes(*classes: str) -> UseCase:
    """Return a use case that names these classes."""
    label = {"name": "segment", "column": "segment", "classes": classes}
    return usecase(task="multiclass", label=label, learners=["logistic_regression"], gate={})


def as_read(case: UseCase, day: datetime) -> pd.DataFrame:
    """Return the book of a day: sector 22 is mostly of class A, of the rest NY mostly of B."""
    random = np.random.default_rng(5)
    clear = random.random(len(BOOK)) < 0.7
    drawn = random.choice(["A", "B", "C"], len(BOOK))
    of_state = np.where((BOOK["state"] == "NY").to_numpy() & clear, "B", drawn)
    segment = pd.Series(np.where((BOOK["sector"] == "22").to_numpy() & clear, "A", of_state), index=BOOK.index)
    index = {name: float(k) for k, name in enumerate(case.classes)}
    return BOOK.assign(_ripe=True, _label=segment.map(index))[BOOK["_event_time"] <= pd.Timestamp(day)]
