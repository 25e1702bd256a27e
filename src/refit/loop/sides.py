"""What monitoring compares: what the champion learned from, what arrived since, and what is new by itself."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.errors import ContractError, DataError
from refit.loop import asof
from refit.loop.release import champion as champion_of
from refit.loop.wiring import World
from refit.monitoring.drawing import SCORE, sample
from refit.scoring.bundle import Bundle
from refit.usecase.model import UseCase

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sides:
    """The sides of a drift check. Without a champion, the reference is what one would be trained on.

    `usecase` says what the columns are: the champion's own where it reads otherwise than the file says by now. `frame`
    holds all records; `new`, those no decision has let pass yet, is None where these are all of `current`.
    """

    champion: Bundle | None
    usecase: UseCase
    frame: pd.DataFrame
    reference: pd.DataFrame
    current: pd.DataFrame
    new: pd.DataFrame | None = None


def sides(
    world: World, usecase: UseCase, frame: pd.DataFrame, as_of: datetime, arrived: frozenset[str] | None = None
) -> Sides:
    """Return the sides as known at `as_of`.

    Args:
        arrived: The keys of what no decision has let pass yet; None where there was no decision.

    Raises:
        ContractError: The champion reads columns that the use case no longer has, and neither have newer records.
        DataError: The champion's bundle is damaged; says what to do.
    """
    live = world.ledger.live(usecase.name, as_of)
    event = frame["_event_time"]
    if live is None:
        ripe = frame["_ripe"]
        newest = event[ripe].max()
        return Sides(None, usecase, frame, frame[ripe], frame[event > newest] if ripe.any() else frame[:0])
    champion = champion_of(world, live)
    governing = usecase
    if not reads_alike(champion.usecase, usecase):
        frame = as_the_champion_reads(world, champion, frame, as_of)
        governing = champion.usecase.model_copy(update={"drift": usecase.drift})
    current = frame[event > pd.Timestamp(champion.as_of)]
    new = None if arrived is None else frame[frame["_key"].isin(arrived)]
    if new is not None and (new.empty or new.index.equals(current.index)):
        new = None
    learned = champion.card.get("reference")  # a hazard learns from young records too
    trained_on = (
        frame["_ripe"] & event.between(*window(champion))
        if learned is None
        else event.between(pd.Timestamp(learned["start"]), pd.Timestamp(learned["end"]))
    )
    return Sides(champion, governing, frame, frame[trained_on], current, new)


def reads_alike(champion: UseCase, usecase: UseCase) -> bool:
    """Tell whether every feature of the champion is read today as it was when it learned."""
    inputs = all(
        (column.type, column.rule, column.unknown) == (now.type, now.rule, now.unknown)
        if (now := usecase.inputs.get(name)) is not None
        else False
        for name, column in champion.inputs.items()
    )
    return inputs and all(
        name in usecase.features and usecase.features[name].from_ == feature.from_
        for name, feature in champion.features.items()
    )


def as_the_champion_reads(world: World, champion: Bundle, frame: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Return the frame with the champion's columns as its own use case has them; keys and labels stay.

    Raises:
        ContractError: Newer records were taken in without one of them.
    """
    own = champion.usecase
    gone = [name for name in own.inputs if name not in frame]
    try:
        other = asof.read(world, own, as_of).frame.set_index("_key")
    except DataError as error:
        raise ContractError(
            f"{own.name}: the champion {champion.version} reads {', '.join(gone) or 'columns'} otherwise than the use "
            f"case says now, and newer records were not taken in so ({error}). Put the feature back as it was, or roll "
            "back to a model that does not read it"
        ) from None
    view = frame.copy(deep=False)
    columns = dict.fromkeys([*own.inputs, *own.features])
    aligned = other.loc[frame["_key"], list(columns)]
    for name in columns:
        view[name] = aligned[name].array
    return view


def window(champion: Bundle) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the event times of the oldest and newest record the champion was made from."""
    return pd.Timestamp(champion.card["window"]["start"]), pd.Timestamp(champion.card["window"]["end"])


def predicted(champion: Bundle, frame: pd.DataFrame) -> Floats:
    """Return the champion's probabilities of a frame's records."""
    return champion.predict_columns({name: frame[name].to_numpy() for name in champion.usecase.features})


def scored(champion: Bundle, frame: pd.DataFrame) -> Floats:
    """Return (n_records,) the one number a profile keeps of each: P(bad), or how sure the model is of its class."""
    probability = predicted(champion, frame)
    return probability if probability.ndim == 1 else np.asarray(probability.max(axis=1), dtype=np.float64)


def with_score(champion: Bundle | None, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the frame with the champion's score for those of its records that a report draws."""
    if champion is None or frame.empty:
        return frame
    rows = sample(pd.DataFrame({"row": np.arange(len(frame))}), seed)["row"].to_numpy()
    score = np.full(len(frame), np.nan)
    score[rows] = scored(champion, frame.iloc[rows])
    return frame.assign(**{SCORE: score})
