"""Records that stand more than once, and whether the test is one of memory."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.gate.alone import Features
from refit.gate.check import Check, not_applicable, passed
from refit.gate.delong import area
from refit.scoring.metrics import Floats

EXACT: Final = "exact duplicates"
NEAR: Final = "near duplicates"
DIGITS: Final = 4
MEMORY: Final = 0.05
"""So much lower may the AUC be on records without a twin; more, and the test shows what was learnt by heart."""
SURE: Final = 0.99
LEAST: Final = 20


def exact(features: Features, n_pairs: int, n_left_out: int) -> Check:
    """State how many records stood twice, and refuse where a copy of what was learnt from is tested on."""
    allowed = "no record both learnt from and tested on"
    across = _across(features) if features.days is not None else 0
    if across:
        why = f"{across:,} test records stand among those learnt from too, the same in features, outcome and day"
        return Check(EXACT, "fail", across, allowed, why)
    if not n_pairs:
        return Check(EXACT, "pass", 0, allowed, "no record stands twice")
    why = f"{n_pairs:,} pairs of records are equal in all but their key"
    if n_left_out:
        why += f"; {n_left_out:,} copies were left out, and training went on over distinct records"
    else:
        why += "; without a date that can be chance, so both stayed, on the same side of the split"
    return Check(EXACT, "pass", n_pairs, allowed, why)


def near(features: Features, probability: Floats) -> Check:
    """Refuse where the model does well only on test records that have a twin among those learnt from.

    Twins are alike in every feature, numbers rounded to four digits. That they come is no fault: few columns of few
    values make them. That the model knows only them is.
    """
    allowed = f"roc_auc without them at most {MEMORY:g} lower"
    twin = _twins(features)
    n = int(twin.sum())
    if not n:
        return Check(NEAR, "pass", 0, allowed, "no test record is like one that was learnt from")
    label = features.label[features.test]
    told = f"{n:,} of {len(twin):,} test records are like one that was learnt from in every feature"
    if _fewest(label[~twin], features.n_classes) < LEAST:
        return not_applicable(NEAR, allowed, f"{told}; too few others remain to tell what that does")
    whole, rest = area(label, probability), area(label[~twin], probability[~twin])
    lower = whole.value - rest.value
    memory = lower > MEMORY and rest.high(SURE) < whole.value
    why = f"{told}; without them roc_auc is {rest.value:.3f} instead of {whole.value:.3f}"
    if memory:
        why += ": the model knows these records by heart, and others less"
    return Check(NEAR, passed(true=not memory), lower, allowed, why)


def _across(features: Features) -> int:
    days = features.days if features.days is not None else np.empty(0)
    rows = np.column_stack([features.matrix.astype(np.float64), features.label, days])
    return int(_found(rows[features.test], rows[features.before]).sum())


def _twins(features: Features) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        values = features.matrix.astype(np.float64)
        size = 10.0 ** (np.floor(np.log10(np.abs(values))) - DIGITS + 1)
        rounded = np.round(values / size) * size
        rounded = np.where(np.isfinite(rounded), rounded, values)
    return _found(rounded[features.test], rounded[features.before])


def _found(rows: Floats, among: Floats) -> NDArray[np.bool_]:
    """Return (n_rows,) whether each stands among the others, missing being like missing."""
    return np.isin(_hashes(rows), _hashes(among))


def _hashes(rows: Floats) -> NDArray[np.uint64]:
    alike = np.where(np.isnan(rows), np.nan, rows) + 0.0  # every NaN the same NaN, and no negative zero
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(alike), index=False), dtype=np.uint64)


def _fewest(label: Floats, n_classes: int) -> int:
    return int(np.bincount(label.astype(np.intp), minlength=n_classes).min())
