"""The records as the report looks at them: every column once, and the outcomes that are known for good."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.usecase.model import UseCase

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Mask = NDArray[np.bool_]
LONGEST_NOUN: Final = 40


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its `numbers` (n_records,), or `codes` (n_records,) into `texts`, -1 for missing."""

    name: str
    title: str
    unit: str
    role: Literal["feature", "operand", "protected"]
    numbers: Floats | None
    codes: Codes | None = None
    texts: tuple[str, ...] = ()

    @property
    def noun(self) -> str:
        """What it is called in a sentence: its title, or its name where the title explains rather than names."""
        return self.name if set(self.title) & set(",:;()") or len(self.title) > LONGEST_NOUN else self.title

    @property
    def missing(self) -> Mask:
        """(n_records,) where there is no value; an infinite number is none."""
        if self.numbers is not None:
            return ~np.isfinite(self.numbers)
        return np.asarray(self.codes) < 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of the outcome for good.

    `known` (n_records,): the record's whole vintage is final, so that its share of bad is not overstated. `hits`
    (n_records, n_names) says which of `names` it was, False where it is not known. `early` counts labels that are
    final already, of vintages that are not.
    """

    names: tuple[str, ...]
    known: Mask
    hits: Mask
    early: int
    final: int

    @property
    def binary(self) -> bool:
        """Whether the one outcome counted is a bad end."""
        return len(self.names) == 1

    @property
    def overall(self) -> Floats:
        """(n_names,) the share of each among the known; NaN where none is known."""
        n = int(self.known.sum())
        return self.hits[self.known].mean(axis=0) if n else np.full(len(self.names), np.nan)


@dataclass(frozen=True, slots=True)
class Book:
    """All records, their columns, what came of them, and when they were, where that is known.

    `duplicates` records equal an earlier one in all but the key; `pairs` counts each in one pair at most.
    """

    n: int
    columns: Mapping[str, Column]
    outcome: Outcome
    event: pd.Series | None
    bad_so_far: Mask
    duplicates: int
    pairs: int

    @property
    def features(self) -> list[Column]:
        """The columns a model reads."""
        return [column for column in self.columns.values() if column.role == "feature"]


def book(frame: pd.DataFrame, usecase: UseCase) -> Book:
    """Return the records of an as-of read.

    Args:
        frame: (n_records, n_columns), one row a key.
    """
    label = frame["_label"].to_numpy(dtype=np.float64)
    final = ~np.isnan(label)
    known = final & frame["_ripe"].to_numpy(dtype=bool)
    names = usecase.classes or ("bad",)
    wanted = np.arange(len(names)) if usecase.classes else np.array([1])
    hits = (label[:, None] == wanted) & known[:, None]
    outcome = Outcome(tuple(names), known, hits, int((final & ~known).sum()), int(final.sum()))
    dated = usecase.event_time is not None
    return Book(
        n=len(frame),
        columns=_columns(frame, usecase),
        outcome=outcome,
        event=frame["_event_time"] if dated else None,
        bad_so_far=(label == 1) if usecase.classes is None else np.zeros(len(frame), dtype=bool),
        **_duplicates(frame, usecase, dated=dated),
    )


def _columns(frame: pd.DataFrame, usecase: UseCase) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for name, feature in usecase.features.items():
        found[name] = _column(frame[name], name, "feature", feature.type, feature.title, feature.unit)
    for name, source in usecase.inputs.items():
        if name not in found:
            found[name] = _column(frame[name], name, "operand", source.type, source.title, source.unit)
    for name in usecase.protected:
        if name not in found and name in frame:
            found[name] = _column(frame[name], name, "protected", "category", None, None)
    return found


def _column(
    values: pd.Series,
    name: str,
    role: Literal["feature", "operand", "protected"],
    kind: str,
    title: str | None,
    unit: str | None,
) -> Column:
    if kind == "number":
        return Column(name, title or name, unit or "", role, values.to_numpy(dtype=np.float64))
    coded = values.astype("category").cat
    texts = tuple(str(value) for value in coded.categories)
    return Column(name, title or name, unit or "", role, None, coded.codes.to_numpy().astype(np.intp), texts)


def _duplicates(frame: pd.DataFrame, usecase: UseCase, *, dated: bool) -> dict[str, int]:
    """Count the records that equal an earlier one in everything but the key."""
    names = [*usecase.inputs, *(name for name in usecase.protected if name in frame), "_label"]
    hashes = pd.util.hash_pandas_object(frame[[*names, *(["_event_time"] if dated else [])]], index=False)
    sizes = hashes.value_counts()
    return {"duplicates": int((sizes - 1).sum()), "pairs": int((sizes // 2).sum())}
