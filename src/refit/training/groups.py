"""How a model does in parts of its test records: segments, and the groups of protected columns."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.drawing.shares import wilson
from refit.scoring.metrics import Floats, roc_auc
from refit.usecase.model import UseCase

SMALLEST: Final = 20
"""A group of fewer records is not shown by name: it could point at a person, and says little."""
MOST: Final = 30
SCREEN: Final = "A screen, not a finding of compliance."
MISSING: Final = "(missing)"
REST: Final = "(smaller groups together)"
UNNAMED: Final = (REST, MISSING)
"""Groups that no ratio is taken of: who is in them has no attribute in common."""


def segments(test: pd.DataFrame, probability: Floats, usecase: UseCase) -> list[dict[str, Any]]:
    """Return how the model does on each value of the columns `gate.segments` names.

    Args:
        test: The test records, with `_label`.
        probability: (n_test,) P(bad) of them.
    """
    label = test["_label"].to_numpy()
    rows = []
    for column in usecase.gate.segments:
        for value, chosen in _groups(test[column]):
            n, bad = int(chosen.sum()), int(label[chosen].sum())
            low, high = wilson(bad, n)
            rows.append(
                {
                    "column": column,
                    "value": value,
                    "n": n,
                    "bad": bad,
                    "bad_rate": bad / n,
                    "low": float(low),
                    "high": float(high),
                    "roc_auc": _or_none(roc_auc(label[chosen], probability[chosen])),
                    "mean_probability": float(probability[chosen].mean()),
                }
            )
    return rows


def impact(test: pd.DataFrame, approved: NDArray[np.bool_], usecase: UseCase) -> list[dict[str, Any]]:
    """Return how often each group of a protected column is approved, and the ratio to the group approved most often.

    The four-fifths rule of 29 CFR 1607.4 D is what such a ratio is held against by convention.
    """
    found = []
    for column in usecase.protected:
        if column not in test:
            continue
        groups = [(value, int(chosen.sum()), float(approved[chosen].mean())) for value, chosen in _groups(test[column])]
        best = max((rate for value, _, rate in groups if value not in UNNAMED), default=0.0)
        rows = [
            {"group": value, "n": n, "approval_rate": rate, "ratio": rate / best if best else None}
            for value, n, rate in groups
        ]
        ratios = [row["ratio"] for row in rows if row["ratio"] is not None and row["group"] not in UNNAMED]
        found.append(
            {
                "column": column,
                "groups": rows,
                "lowest_ratio": min(ratios, default=None),
                "allowed": usecase.gate.impact_ratio_min,
                "words": SCREEN,
            }
        )
    return found


def lowest_impacts(
    test: pd.DataFrame, probability: Floats, thresholds: Sequence[float], usecase: UseCase
) -> list[float | None]:
    """Return for each threshold the lowest ratio of any protected column; None where nobody is approved.

    Args:
        probability: (n_test,) P(bad); who lies below a threshold is approved.
    """
    found = np.full(len(thresholds), np.inf)
    for column in usecase.protected:
        named = [] if column not in test else [rows for name, rows in _groups(test[column]) if name not in UNNAMED]
        if named:
            rates = np.stack([np.searchsorted(np.sort(probability[rows]), thresholds) / rows.sum() for rows in named])
            best = rates.max(axis=0)
            ratio = np.divide(rates.min(axis=0), best, out=np.full(len(best), np.inf), where=best > 0)
            found = np.minimum(found, ratio)
    return [None if np.isinf(ratio) else float(ratio) for ratio in found]


def _groups(column: pd.Series) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the values by name, most records first, and all that are too small or too many as one."""
    texts = column.astype(object).where(column.notna(), MISSING).map(str)
    counts = texts.value_counts()
    order = sorted(counts.index, key=lambda value: (-int(counts[value]), value))
    shown = [value for value in order if counts[value] >= SMALLEST][:MOST]
    for value in shown:
        yield value, (texts == value).to_numpy()
    rest = (~texts.isin(shown)).to_numpy()
    if rest.sum() >= SMALLEST:
        yield REST, rest


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
