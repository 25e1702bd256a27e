"""Which records a model has not seen: neither fitted, calibrated nor tested on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from refit.training.split import first_arrivals
from refit.usecase.model import UseCase


class Made(Protocol):
    """A bundle, or its row in the ledger."""

    @property
    def as_of(self) -> datetime:
        """The day from which its records were seen."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What is told of it."""


def unseen(frame: pd.DataFrame, made: Made, usecase: UseCase) -> pd.Series:
    """Return (n_records,) whether each lies outside all that `made` was made from and tested on.

    Dated records are unseen after the newest of those, however they were split: what was younger had not matured.
    Without a date a record dates from its newest version, which every correction moves, so only what first arrived
    after the training is unseen; what had arrived and matured since is left out, for it cannot be told from the rest.
    """
    if usecase.event_time is None:
        return first_arrivals(frame) > pd.Timestamp(made.as_of)
    return frame["_event_time"] > pd.Timestamp(made.card["window"]["end"])
