"""Whether the model holds up in each segment, and how often each protected group is approved."""

import math
from statistics import NormalDist
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.gate.check import Check, listed, not_applicable, passed
from refit.gate.delong import area, difference
from refit.scoring.metrics import Floats
from refit.usecase.model import UseCase

LEAST: Final = 30
"""A segment needs so many records of each outcome: below that its AUC says nothing."""
GROUP: Final = 100
"""A protected group needs so many test records."""
SURE: Final = 0.99
"""Shared among all segments looked at (Bonferroni), so that many segments raise no more alarms than one."""
APART: Final = 0.95
"""Shared likewise among all pairs of protected groups, of which the best and the worst are but one."""
SCREEN: Final = "A screen, not a finding"
MISSING: Final = "(missing)"
"""The segment of the records without a value, as the card names it."""


def segments(usecase: UseCase, test: pd.DataFrame, label: Floats, challenger: Floats, champion: Floats | None) -> Check:
    """Ask that the challenger holds up in every segment: near its own overall AUC, and not behind the champion."""
    most = usecase.gate.segment_drop_max
    allowed = f"roc_auc at most {most:g} below the overall one, and not below the champion's, beyond chance"
    if not usecase.gate.segments:
        return not_applicable("segments", allowed, "the use case names none in `gate.segments`")
    parts = _parts(usecase, test, label)
    overall = area(label, challenger).value
    if not parts or math.isnan(overall):
        return not_applicable("segments", allowed, f"no segment holds {LEAST} test records of each outcome")
    level = 1 - (1 - SURE) / len(parts)
    drops, faults = {}, []
    for name, rows in parts.items():
        own = area(label[rows], challenger[rows])
        drops[name] = overall - own.value
        if drops[name] > most and own.high(level) < overall - most:
            faults.append(f"{name} ({own.value:.3f} on {int(rows.sum()):,} records, {overall:.3f} overall)")
        elif champion is not None and champion.shape == challenger.shape and not np.isnan(champion).any():
            ahead = difference(label[rows], challenger[rows], champion[rows])
            if ahead.high(level) < 0:
                faults.append(f"{name} ({own.value:.3f}, the champion {own.value - ahead.value:.3f})")
    worst = max(drops, key=lambda name: drops[name])
    why = f"of {len(parts)} segments the worst is {worst}: roc_auc {overall - drops[worst]:.3f}, overall {overall:.3f}"
    if faults:
        why += f". Too weak in {listed(faults)}"
    return Check("segments", passed(true=not faults), drops[worst], allowed, why)


def impact(usecase: UseCase, test: pd.DataFrame, probability: Floats, threshold: float) -> list[Check]:
    """Compare how often each group of a protected column is approved with the best treated one: one row a column.

    A screen by the four-fifths rule of 29 CFR 1607.4 D: the ratio itself is held against what is allowed, and a
    difference that chance explains is no finding. It does where the ratio's interval, after Katz and others 1978, holds
    1, which is no difference at all.
    """
    least = usecase.gate.impact_ratio_min
    allowed = f"approved at least {least:g} times as often as the best treated group, or chance explains it. {SCREEN}"
    if not usecase.protected:
        return [not_applicable("adverse impact", allowed, "the use case names no protected column")]
    if usecase.classes is not None:
        return [not_applicable("adverse impact", allowed, "with several classes nothing is approved or declined")]
    approved = probability < threshold
    return [_impact(column, test, approved, least, allowed) for column in usecase.protected]


def _impact(column: str, test: pd.DataFrame, approved: NDArray[np.bool_], least: float, allowed: str) -> Check:
    name = f"adverse impact: {column}"
    if column not in test:
        return not_applicable(name, allowed, f"the records hold no {column}")
    groups = {value: approved[rows] for value, rows in _values(test[column], GROUP)}
    if len(groups) < 2:  # noqa: PLR2004 - a ratio takes two
        return not_applicable(name, allowed, f"fewer than two groups hold {GROUP} test records")
    best = max(groups, key=lambda value: float(groups[value].mean()))
    if not groups[best].any():
        return not_applicable(name, allowed, "at this threshold nobody is approved")
    n_pairs = math.comb(len(groups), 2)
    level = 1 - (1 - APART) / n_pairs
    ratios = {value: _ratio(group, groups[best], level) for value, group in groups.items() if value != best}
    worst = min(ratios, key=lambda value: ratios[value][0])
    ratio, low, high = ratios[worst]
    below = [value for value, (of, _, upper) in ratios.items() if of < least and upper < 1]
    shared = "" if n_pairs == 1 else f", shared among {n_pairs:,} pairs of groups,"
    why = (
        f"{worst} is approved {groups[worst].mean():.1%} of the time, {best} {groups[best].mean():.1%}: "
        f"ratio {ratio:.2f}, 95 % interval{shared} {low:.2f} to {high:.2f}"
    )
    if below:
        why += f". Below what is allowed: {listed(below)}. A screen that asks for a closer look, not a finding"
    elif ratio < least:
        why += f". That is below {least:g}, but chance explains it: that interval holds 1, no difference at all"
    return Check(name, passed(true=not below), ratio, allowed, why)


def _ratio(group: NDArray[np.bool_], best: NDArray[np.bool_], level: float) -> tuple[float, float, float]:
    """Return the ratio of two approval rates with its interval."""
    rate, most = float(group.mean()), float(best.mean())
    held = max(rate, 0.5 / len(group))  # a rate of 0 has no logarithm
    error = math.sqrt((1 - held) / (held * len(group)) + (1 - most) / (most * len(best)))
    spread = math.exp(NormalDist().inv_cdf((1 + level) / 2) * error)
    return rate / most, held / most / spread, held / most * spread


def _parts(usecase: UseCase, test: pd.DataFrame, label: Floats) -> dict[str, NDArray[np.bool_]]:
    n_classes = len(usecase.classes or ("good", "bad"))
    return {
        f"{column} {value}": rows
        for column in usecase.gate.segments
        if column in test
        for value, rows in _values(_filled(test[column]), LEAST * n_classes)
        if np.bincount(label[rows].astype(np.intp), minlength=n_classes).min() >= LEAST
    }


def _filled(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), MISSING)


def _values(column: pd.Series, least: int) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return each value of which there are enough records, and those records; a column may hold thousands of values."""
    codes, values = pd.factorize(column.astype(object))
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    frequent = sorted(np.flatnonzero(counts >= least).tolist(), key=lambda code: str(values[code]))
    return [(str(values[code]), codes == code) for code in frequent]
