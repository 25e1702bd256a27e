"""Which records may teach: those whose whole vintage is final at `as_of`."""

from datetime import datetime
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from refit.errors import DataError
from refit.scoring.metrics import Floats
from refit.usecase.label import Label, Multiclass, OutcomeClass, OutcomeDate
from refit.usecase.model import UseCase

MIN_RECORDS = 200
"""Fewer matured records than this teach nothing that a test on a part of them could show."""
MIN_EACH = 5
"""So many bad and so many good records each part needs: below that neither a model nor a calibrator has an answer."""


def ripe(frame: pd.DataFrame, usecase: UseCase, as_of: datetime) -> pd.DataFrame:
    """Return the matured records with a label, oldest first, those of one moment by key: always the same order.

    Raises:
        DataError: There are none, too few, or all have one outcome; says what there is and what is needed.
    """
    past = frame[frame["_event_time"] <= pd.Timestamp(as_of)]
    if past.empty:
        raise DataError(f"{usecase.name}: no records at {as_of:%Y-%m-%d}; load and ingest some first")
    matured = past[past["_ripe"] & past["_label"].notna()]
    if matured.empty:
        raise DataError(_none_ripe(past, usecase, as_of))
    if len(matured) < MIN_RECORDS:
        raise DataError(
            f"{usecase.name}: {len(matured):,} of {len(past):,} records have matured at {as_of:%Y-%m-%d}, "
            f"{MIN_RECORDS} are needed to train and to test"
        )
    require_both(matured["_label"].to_numpy(), f"{usecase.name}: the {len(matured):,} matured records")
    return matured.sort_values(["_event_time", "_key"], kind="stable", ignore_index=True)


def first_ripe_on(past: pd.DataFrame, usecase: UseCase) -> datetime | None:
    """Return the day on which the oldest record's outcome is final at the latest; None where the label does not say."""
    if not isinstance(usecase.label, OutcomeDate) or past.empty:
        return None
    oldest = past["_event_time"].min() + pd.DateOffset(months=usecase.label.within_months)
    return None if pd.isna(oldest) else oldest.to_pydatetime()


def age_note(matured: pd.DataFrame, usecase: UseCase, as_of: datetime) -> str | None:
    """Return what a card should say where even the newest matured record is older than the use case allows.

    The nightly decision is then to wait; whoever trains by hand gets the model, and this note with it.
    """
    most = usecase.maturity.max_age_months
    newest = matured["_event_time"].max()
    if (
        most is None
        or usecase.maturity.unripe == "hazard"
        or newest + pd.DateOffset(months=most) >= pd.Timestamp(as_of)
    ):
        return None
    return (
        f"the newest matured record is of {newest:%Y-%m-%d}, {(pd.Timestamp(as_of) - newest).days:,} days before the "
        f"training; {most} months are allowed: the model speaks of that time"
    )


def require_both(label: Floats, what: str) -> None:
    """Refuse records of which too few are bad or too few are good.

    Raises:
        DataError: Says how many there are of each.
    """
    bad = int(label.sum())
    good = len(label) - bad
    if min(bad, good) == 0:
        outcome = "bad" if bad else "good"
        raise DataError(f"{what} are all {outcome}: a model needs both outcomes to tell them apart")
    if min(bad, good) < MIN_EACH:
        raise DataError(f"{what} hold {bad:,} bad and {good:,} good; at least {MIN_EACH} of each are needed")


def columns(frame: pd.DataFrame, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the columns as the encoder takes them: floats, and for categories str with NaN for missing."""
    return {name: frame[name].to_numpy() for name in names}


def _none_ripe(past: pd.DataFrame, usecase: UseCase, as_of: datetime) -> str:
    if declared := _declared(usecase.label):
        return (
            f"{usecase.name}: at {as_of:%Y-%m-%d} none of the {len(past):,} records holds a value that the label "
            f"declares ({declared}). Any other value counts as not known yet; upper and lower case matter"
        )
    oldest, newest = past["_event_time"].min(), past["_event_time"].max()
    age = (pd.Timestamp(as_of) - newest).days
    text = (
        f"{usecase.name}: none of the {len(past):,} records has matured at {as_of:%Y-%m-%d}; "
        f"the oldest is of {oldest:%Y-%m-%d}, the newest of {newest:%Y-%m-%d} ({age:,} days old)"
    )
    first = first_ripe_on(past, usecase)
    if first is not None and isinstance(usecase.label, OutcomeDate):
        months = usecase.label.within_months
        text += f". An outcome is final after {months} months, so the first matures on {first:%Y-%m-%d}"
    return text


def _declared(label: Label) -> str:
    """Return the values by which alone a record is ripe; empty where its age has a say, or a rule."""
    match label:
        case OutcomeClass(column=column, bad=bad, good=good, known_on=None):
            return f"{column}: bad {', '.join(bad)}; good {', '.join(good)}"
        case Multiclass(column=column, classes=names, known_on=None):
            return f"{column}: {', '.join(names)}"
    return ""
