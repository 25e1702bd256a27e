"""What a model learns from, what it is calibrated on, and what it is tested on; never the same record twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.errors import DataError
from refit.scoring.encoder import Matrix
from refit.scoring.likeness import coarse
from refit.scoring.likeness import rounded as rounded_numbers
from refit.scoring.metrics import Floats
from refit.training.maturity import MIN_EACH, MIN_RECORDS, require_both, ripe
from refit.usecase.model import UseCase

Rows = NDArray[np.intp]
Hashes = NDArray[np.uint64]
CALIBRATION_SHARE: Final = 0.2
"""Of the records that are not tested on, so many choose the learner and calibrate it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Row numbers of each part, rising."""

    fit: Rows
    calibration: Rows
    test: Rows

    def __iter__(self) -> Iterator[tuple[str, Rows]]:
        return iter((("fit", self.fit), ("calibration", self.calibration), ("test", self.test)))

    @property
    def before_test(self) -> Rows:
        """All that a model may learn from, rising."""
        return np.sort(np.concatenate([self.fit, self.calibration]))

    @property
    def used(self) -> Rows:
        """All of them together, rising."""
        return np.sort(np.concatenate([self.fit, self.calibration, self.test]))


def matured_at(frame: pd.DataFrame, usecase: UseCase, as_of: datetime) -> pd.DataFrame:
    """Return the matured records as `ripe` does, with as many classes as the use case has.

    Raises:
        DataError: There are too few, or too few of an outcome; says what is missing.
    """
    if usecase.classes is None:
        return ripe(frame, usecase, as_of)
    ready = (frame["_label"] >= 0) & frame["_ripe"] & (frame["_event_time"] <= pd.Timestamp(as_of))
    if ready.sum() >= MIN_RECORDS:
        label = frame.loc[ready, "_label"].to_numpy()
        require_each(label, usecase, f"{usecase.name}: the {len(label):,} matured records")
    seen = ripe(frame.assign(_class=frame["_label"], _label=frame["_label"].clip(upper=1.0)), usecase, as_of)
    return seen.assign(_label=seen["_class"]).drop(columns="_class")


def split(matured: pd.DataFrame, usecase: UseCase) -> Parts:
    """Divide the matured records as the use case says.

    By time the newest `test_months` are the test, and of the rest (its last `train_months`, where those are given) the
    newest fifth calibrates. At random, a record's key says where it belongs: see `place`.

    Args:
        matured: (n_records, n_columns), sorted by event time and key.

    Raises:
        DataError: What is learned from holds too few of either outcome. A poor test is for the gate to refuse: the
            model can still be looked at.
    """
    label = matured["_label"].to_numpy()
    if usecase.split.by == "random":
        parts = _at_random(matured, usecase)
        _require_each_unlike(matured, label, parts.before_test, usecase)
        if not len(parts.test):
            raise DataError(
                f"{usecase.name}: of the {len(matured):,} matured records so few differ that none is left to test on"
            )
        return parts
    parts = _by_time(matured, usecase)
    for rows, use in (
        (parts.fit, "fit on (the oldest part)"),
        (parts.calibration, "calibrate on (the newest before the test)"),
    ):
        require_each(label[rows], usecase, f"{usecase.name}: the {len(rows):,} records to {use}")
    return parts


def _require_each_unlike(matured: pd.DataFrame, label: Floats, before: Rows, usecase: UseCase) -> None:
    """Refuse where too few of an outcome may be learned from, or all too few differ in their features.

    At random all records before the test fit and calibrate, dealt into folds that are held out in turn, those alike in
    every feature together. `MIN_EACH` that differ reach all folds, so that whatever is held out, the rest holds some.
    """
    what = f"{usecase.name}: the {len(before):,} records that are not tested on"
    require_each(label[before], usecase, what)
    group = _cases(matured.iloc[before], usecase)
    _, first = np.unique(np.column_stack([group, label[before]]), axis=0, return_index=True)
    require_each(label[before][first], usecase, f"{what}, counted once where they are alike in every feature,")


def require_each(label: Floats, usecase: UseCase, what: str) -> None:
    """Refuse records that hold too few of an outcome.

    Raises:
        DataError: Names the classes that are absent, or how many there are of those that are too few.
    """
    if usecase.classes is None:
        require_both(label, what)
        return
    counts = np.bincount(label.astype(np.intp), minlength=len(usecase.classes))
    absent = [name for name, count in zip(usecase.classes, counts, strict=True) if not count]
    if absent:
        raise DataError(
            f"{what} hold none of class {', '.join(absent)}: {len(usecase.classes)} classes are declared, and a model "
            "can only tell apart what it has seen"
        )
    few = [f"{count} of {name}" for name, count in zip(usecase.classes, counts, strict=True) if count < MIN_EACH]
    if few:
        raise DataError(f"{what} hold only {', '.join(few)}; at least {MIN_EACH} of each class are needed")


def _by_time(matured: pd.DataFrame, usecase: UseCase) -> Parts:
    event = matured["_event_time"]
    newest = event.iloc[-1]
    start = newest - pd.DateOffset(months=usecase.split.test_months)
    tested = (event > start).to_numpy()
    rest = ~tested
    if usecase.split.train_months is not None:
        rest &= (event > start - pd.DateOffset(months=usecase.split.train_months)).to_numpy()
    if not rest.any():
        raise DataError(
            f"{usecase.name}: all matured records are of the last {usecase.split.test_months} months before "
            f"{newest:%Y-%m-%d}, which are the test; older ones are needed to train on"
        )
    before = np.flatnonzero(rest)
    cut = len(before) - round(len(before) * CALIBRATION_SHARE)
    return Parts(before[:cut], before[cut:], np.flatnonzero(tested))


def _at_random(matured: pd.DataFrame, usecase: UseCase) -> Parts:
    reached = place(matured, usecase)
    test_share = usecase.split.test_share
    tested = reached < test_share
    calibrates = ~tested & (reached < test_share + (1 - test_share) * CALIBRATION_SHARE)
    return Parts(np.flatnonzero(~tested & ~calibrates), np.flatnonzero(calibrates), np.flatnonzero(tested))


def place(records: pd.DataFrame, usecase: UseCase) -> Floats:
    """Return (n_records,) where from 0 to 1 each record belongs at random: the lowest test, the next calibrate.

    It is a hash of the record's key and the use case's seed, so what arrives later moves nothing: a record that tests
    tonight tested last night, and no champion of these records has learnt from it. Records alike in every feature,
    numbers rounded to four digits, stand where the first of them to arrive does: no copy of what is learnt from is
    tested on, nor another instalment. Each stands for itself where few differ and those alike end otherwise.

    Args:
        records: (n_records, n_columns), with their outcomes.
    """
    group = _cases(records, usecase)
    arrivals = pd.DataFrame({"first": first_arrivals(records).to_numpy(), "key": records["_key"].to_numpy()})
    order = arrivals.sort_values(["first", "key"], kind="stable")
    in_order = group[order.index.to_numpy()]
    _, first = np.unique(in_order, return_index=True)
    found = hashes(records[["_key"]])[order.index.to_numpy()[first]]
    mixed = _mixed(found ^ _mixed(np.array([usecase.seed + 1], dtype=np.uint64)))
    return (np.asarray(mixed >> np.uint64(11), dtype=np.float64) / 2.0**53)[group]


def first_arrivals(records: pd.DataFrame) -> pd.Series:
    """Return when each record first arrived: a later version of one moves neither it nor its like."""
    return records["_first_arrived_at" if "_first_arrived_at" in records else "_arrived_at"]


def together(found: Hashes, outcome: Floats) -> Rows:
    """Return the (n_records,) group of each, from 0: records of one hash in one, or each alone where few differ.

    Args:
        found: (n_records,) of each record's features.
        outcome: (n_records,); few that differ stand alone only where those alike end otherwise, as copies and the
            instalments of one borrower do not.
    """
    return np.arange(len(found)) if coarse(found, outcome) else np.unique(found, return_inverse=True)[1]


def hashes(records: pd.DataFrame) -> Hashes:
    """Return (n_records,) a hash of each row: of its values, whatever the order and the number of rows."""
    return np.asarray(pd.util.hash_pandas_object(records, index=False), dtype=np.uint64)


def near_hashes(records: pd.DataFrame, usecase: UseCase) -> Hashes:
    """Return (n_records,) a hash of each record's features, numbers rounded to four digits."""
    return hashes(rounded(records, usecase))


def rounded(records: pd.DataFrame, usecase: UseCase) -> pd.DataFrame:
    """Return (n_records, n_features) the features, numbers rounded to four digits."""
    found = records[list(usecase.features)].copy()
    for name in found.select_dtypes("number"):
        found[name] = rounded_numbers(found[name].to_numpy(dtype=np.float64))
    return found


def row_hashes(matrix: Matrix) -> Hashes:
    """Return (n_records,) a hash of each row of a matrix."""
    return hashes(pd.DataFrame(matrix))


def _cases(records: pd.DataFrame, usecase: UseCase) -> Rows:
    """Return the (n_records,) group of each, from 0: those of one group are copies of a case, or its instalments."""
    outcome = records["_label"].to_numpy()
    near = near_hashes(records, usecase)
    if coarse(near, outcome):  # a rounded number may say little, and in full tell all apart
        return together(hashes(records[list(usecase.features)]), outcome)
    return np.unique(near, return_inverse=True)[1]


def _mixed(values: Hashes) -> Hashes:
    """Spread 64 bits evenly: the finaliser of SplitMix64, Steele, Lea and Flood 2014, figure 15."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
