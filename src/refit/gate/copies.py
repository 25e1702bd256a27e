"""Records that stand more than once, and whether the test is one of memory."""

from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.gate.alone import Features
from refit.gate.cases import by_case
from refit.gate.check import Check, not_applicable, passed
from refit.gate.delong import area
from refit.gate.signal import NO_SIGNAL
from refit.gate.signal import SURE as SURE_OF_SIGNAL
from refit.scoring.encoder import Matrix
from refit.scoring.likeness import coarse, few_differ, rounded
from refit.scoring.metrics import Floats

EXACT: Final = "exact duplicates"
NEAR: Final = "near duplicates"
MEMORY: Final = 0.05
"""So much lower may the AUC be on records without a twin; more, and the test shows what was learnt by heart."""
SURE: Final = 0.99
LEAST: Final = 20
DEALT: Final = 1
"""The seed by which columns are dealt anew."""
NEARLY_ALL: Final = 0.9
"""Where so many test records have a twin, and too few have none, the test is of those known already."""


def exact(features: Features, n_pairs: int, n_left_out: int) -> Check:
    """State how many records stood twice, and refuse where a copy of what was learnt from is tested on.

    Where training kept equals, having found that chance makes them, such a record is no copy of the other.
    """
    allowed = "no record both learnt from and tested on"
    across = int(np.isin(features.equal[features.test], features.equal[features.before]).sum())
    kept = n_pairs > 0 and not n_left_out
    if across and not kept:
        why = f"{across:,} test records stand among those learnt from too, the same in all but their key"
        return Check(EXACT, "fail", across, allowed, why)
    if not n_pairs:
        return Check(EXACT, "pass", 0, allowed, "no record stands twice")
    why = f"{n_pairs:,} pairs of records are equal in all but their key"
    if not kept:
        why += f"; {n_left_out:,} copies were left out, and training went on over distinct records"
    else:
        why += "; of few columns of few values, that can be chance, so all stayed"
        why += f", {across:,} of the test like one learnt from" if across else ", on the same side of the split"
    return Check(EXACT, "pass", n_pairs, allowed, why)


def near(features: Features, probability: Floats, unknown: Literal["warn", "refuse"] = "warn") -> Check:
    """Refuse where the model does well only on test records that have a twin among those learnt from.

    Twins are alike in every feature, numbers rounded to four digits. That they come is no fault: few columns of few
    values make them. That the model knows only them is. Where nearly all have a twin, as further instalments of one
    borrower do, and the others are too few to compare, it warns of what the test cannot tell, or refuses
    for it where the use case asks. It does neither where the features can say no more.

    It refuses too where test records are twins of each other, and of so few cases that a guess could do as well.
    """
    rows = _rounded(features.matrix)
    across = _across(features, rows, probability, unknown)
    return across if across.outcome == "fail" else _of_few_cases(features, rows, probability) or across


def _across(
    features: Features, rows: NDArray[np.uint64], probability: Floats, unknown: Literal["warn", "refuse"]
) -> Check:
    allowed = f"roc_auc without them at most {MEMORY:g} lower"
    twin = np.isin(rows[features.test], rows[features.before])
    n = int(twin.sum())
    if not n:
        return Check(NEAR, "pass", 0, allowed, "no test record is like one that was learnt from")
    label = features.label[features.test]
    told = f"{n:,} of {len(twin):,} test records are like one that was learnt from in every feature"
    if _fewest(label[~twin], features.n_classes) < LEAST:
        if n < NEARLY_ALL * len(twin) or _coarse(features, rows):
            return not_applicable(NEAR, allowed, f"{told}; too few others remain to tell what that does")
        why = (
            f"nothing is known of new borrowers, unlike those learnt from: {told}, as further instalments of one "
            "borrower are, and too few others remain to test on"
        )
        return Check(NEAR, "warning" if unknown == "warn" else "fail", None, allowed, why)
    whole, rest = area(label, probability), area(label[~twin], probability[~twin])
    lower = whole.value - rest.value
    memory = lower > MEMORY and rest.high(SURE) < whole.value
    why = f"{told}; without them roc_auc is {rest.value:.3f} instead of {whole.value:.3f}"
    if memory:
        why += ": the model knows these records by heart, and others less"
    return Check(NEAR, passed(true=not memory), lower, allowed, why)


def _of_few_cases(features: Features, rows: NDArray[np.uint64], probability: Floats) -> Check | None:
    """Return a refusal where the test shows a signal only as long as twins count as cases of their own."""
    tested = rows[features.test]
    n = len(np.unique(tested))
    if n == len(tested) or _coarse(features, rows):
        return None
    label = features.label[features.test]
    alone = by_case(label, probability, np.arange(len(tested), dtype=np.uint64))
    together = by_case(label, probability, tested)
    low = together.low(SURE_OF_SIGNAL)
    if not low <= NO_SIGNAL < alone.low(SURE_OF_SIGNAL):
        return None
    why = (
        f"the {len(tested):,} test records are of {n:,} cases, alike in every feature; on so few a roc_auc of "
        f"{together.value:.3f} cannot be told from that of a guess"
    )
    allowed = f"roc_auc above {NO_SIGNAL} with {SURE_OF_SIGNAL:.1%} certainty, case by case"
    return Check(NEAR, "fail", low, allowed, why)


def _coarse(features: Features, rows: NDArray[np.uint64]) -> bool:
    """Tell whether the features can say no more, so that twins are no one's further records.

    Few differ, and those alike end otherwise, as one borrower's single outcome does not. And as few differ once every
    column is dealt anew: borrowers who are known by fine numbers are many then, though each of them stands often.
    """
    if not coarse(rows, features.label):
        return False
    dealt = np.random.default_rng(DEALT).permuted(features.matrix, axis=0)
    return few_differ(_rounded(dealt))


def _rounded(matrix: Matrix) -> NDArray[np.uint64]:
    """Return (n_records,) a hash of each record's features, numbers rounded; missing is like missing."""
    values = rounded(matrix.astype(np.float64))
    alike = np.where(np.isnan(values), np.nan, values) + 0.0  # every NaN the same NaN, and no negative zero
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(alike), index=False), dtype=np.uint64)


def _fewest(label: Floats, n_classes: int) -> int:
    return int(np.bincount(label.astype(np.intp), minlength=n_classes).min())
