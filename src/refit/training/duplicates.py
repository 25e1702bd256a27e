"""Records that stand more than once: which, how often, and how they are kept on one side of every split."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.scoring.likeness import coarse, contradicted, few_differ
from refit.training.chance import Codes, by_chance, joined, n_pairs
from refit.training.split import Hashes, Rows, first_arrivals, hashes, near_hashes, rounded
from refit.usecase.model import UseCase

NEARLY_ALL: Final = 0.9
LEAST: Final = 20
"""Test records of each outcome unlike any learnt from: fewer show nothing. The gate asks for as many."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """How many records stand two and two, how many were left out for it, and how many near ones the test holds.

    `n_pairs` pairs records that are equal in all but their key, each in one pair at most; none is left out where they
    are so by chance. `n_near_across` counts test records whose features are those of a record before the test, numbers
    rounded to four digits, whatever the outcome or the day.
    """

    n_pairs: int = 0
    n_left_out: int = 0
    n_near_across: int = 0

    @property
    def note(self) -> str | None:
        """What the card says of it; None where there is nothing to say."""
        if not self.n_pairs:
            return None
        told = f"{self.n_pairs:,} pairs of records are equal in all but their key"
        if not self.n_left_out:
            return f"{told}; of few columns of few values, that can be chance: all are kept"
        return f"{told}; {self.n_left_out:,} copies are left out, so that each record is trained or tested on once"


def distinct(matured: pd.DataFrame, usecase: UseCase) -> tuple[pd.DataFrame, Duplicates]:
    """Return the records without those equal to an earlier one in features, inputs, protected columns, label and day.

    All are kept where equals come by chance, as `by_chance` finds; without a date of their own, where those alike end
    otherwise (254 pairs of the 6,485 records of the customer segmentation, few columns of few values each). To leave
    them out makes frequent outcomes look rarer than they are. Kept, they tell nothing: a test by time begins with a
    day, so equals stand on one side of it, and so do at random records alike in all features, unless few differ and
    those end otherwise (see `place`).

    Args:
        matured: (n_records, n_columns) as `ripe` returns them; of equals the first to arrive stays, as its place at
            random is theirs.
    """
    names = dict.fromkeys([*usecase.features, *usecase.inputs, *usecase.protected])
    alike = _codes(hashes(matured[[name for name in names if name in matured]]))
    outcome = _codes(matured["_label"])
    day = _codes(matured["_event_time"]) if usecase.event_time is not None else None
    group = joined(alike, outcome) if day is None else joined(alike, outcome, day)
    found = n_pairs(group)
    if not found:
        return matured, Duplicates()
    if contradicted(alike, outcome) if day is None else by_chance(alike, outcome, day, usecase.seed):
        return matured, Duplicates(found)
    arrived = pd.DataFrame(
        {"group": group, "at": first_arrivals(matured).to_numpy(), "key": matured["_key"].to_numpy()}
    )
    first = ~arrived.sort_values(["at", "key"]).duplicated("group").sort_index().to_numpy()
    return matured[first].reset_index(drop=True), Duplicates(found, int((~first).sum()))


def near_across(matured: pd.DataFrame, usecase: UseCase, before: Rows, test: Rows) -> int:
    """Return how many test records have the features of a record before the test, numbers rounded to four digits."""
    found = near_hashes(matured, usecase)
    return int(np.isin(found[test], found[before]).sum())


def unlike_note(matured: pd.DataFrame, usecase: UseCase, before: Rows, test: Rows) -> str | None:
    """Return what the card says where nearly every test record is like one that was learnt from.

    So are the further instalments of one borrower. None where enough others are tested on to show how the model does
    on them, and where the features can say no more: so few records differ, and still do with each column dealt anew,
    and those alike end otherwise.
    """
    records = rounded(matured, usecase)
    found = hashes(records)
    twin = np.isin(found[test], found[before])
    others = matured["_label"].to_numpy()[test][~twin].astype(np.intp)
    n_classes = len(usecase.classes or ("good", "bad"))
    told = twin.sum() >= NEARLY_ALL * len(twin) and np.bincount(others, minlength=n_classes).min() < LEAST
    if not len(test) or not told:
        return None
    if coarse(found, matured["_label"].to_numpy()) and few_differ(_dealt(records, usecase)):
        return None
    return (
        f"nothing is known of new borrowers, unlike those learnt from: {int(twin.sum()):,} of {len(test):,} test "
        "records are like one that was learnt from in every feature, as further instalments of one borrower are"
    )


def _dealt(records: pd.DataFrame, usecase: UseCase) -> Hashes:
    """Return (n_records,) a hash of each record once every column is dealt anew; columns of few values stay few."""
    random = np.random.default_rng(usecase.seed)
    return hashes(
        pd.DataFrame({name: column.to_numpy()[random.permutation(len(column))] for name, column in records.items()})
    )


def _codes(values: NDArray[Any] | pd.Series) -> Codes:
    return pd.factorize(values)[0].astype(np.int64)
