"""What was known of an outcome on a day. Nothing here looks past `as_of`."""

import ast
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.usecase.expression import parse_expression
from refit.usecase.label import KnownOn, Multiclass, OutcomeClass, OutcomeDate, OutcomeRule
from refit.usecase.model import UseCase

DAY_US: Final = 86_400_000_000
DAY_S_END: Final = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at a day, (n_records,) each.

    `happened`: the outcome is on record by now, late or not. `label`: 1.0 bad, 0.0 good (or a class's index), NaN where
    it is not final. `ripe`: either outcome would be known by now. An early default is final at once, but records of its
    age that did not default are not, so that training on every final label would overstate the risk.
    """

    happened: NDArray[np.bool_]
    label: NDArray[np.float64]
    ripe: NDArray[np.bool_]


def known(records: pd.DataFrame, usecase: UseCase, as_of: datetime) -> Known:
    """Return what was known of each record's outcome at `as_of`.

    Args:
        records: (n_records, n_columns) with `_event_time` and the use case's label columns, dates in UTC.
    """
    match usecase.label:
        case OutcomeDate() as label:
            return _by_date(records, label, as_of)
        case OutcomeClass(column=column, bad=bad, good=good, known_on=known_on):
            classes = dict.fromkeys(good, 0.0) | dict.fromkeys(bad, 1.0)
            return _when_known(_classes(records[column], classes), records, usecase, known_on, as_of)
        case Multiclass(column=column, classes=names, known_on=known_on):
            classes = {name: float(index) for index, name in enumerate(names)}
            return _when_known(_classes(records[column], classes), records, usecase, known_on, as_of)
        case OutcomeRule() as label:
            return _when_known(_by_rule(records, label, as_of), records, usecase, label.known_on, as_of)


def add_months(moments: pd.Series, months: int) -> pd.Series:
    """Return each moment so many calendar months later; the 31st becomes the last day of a shorter month."""
    return moments + pd.DateOffset(months=months)


def _by_date(records: pd.DataFrame, label: OutcomeDate, as_of: datetime) -> Known:
    moment = pd.Timestamp(as_of)
    days = records["_event_time"].dt.normalize()
    codes, distinct = pd.factorize(days)
    deadline = add_months(pd.Series(distinct), label.within_months).take(codes).set_axis(days.index)
    happened_on = records[label.happened_on.column]
    happened = (happened_on <= moment).to_numpy()
    bad = happened & (happened_on.dt.normalize() <= deadline).to_numpy()
    ripe = (deadline + DAY_S_END <= moment).to_numpy()  # the last day counts as a whole
    return Known(happened, np.where(bad, 1.0, np.where(ripe, 0.0, np.nan)), ripe)


def _classes(values: pd.Series, classes: dict[str, float]) -> NDArray[np.float64]:
    return np.asarray(values.astype(object).map(classes), dtype=np.float64)


def _when_known(
    label: NDArray[np.float64], records: pd.DataFrame, usecase: UseCase, known_on: KnownOn | None, as_of: datetime
) -> Known:
    if known_on is None:
        return Known(~np.isnan(label), label, ~np.isnan(label))
    moments = records["_event_time" if known_on.column == usecase.event_column else known_on.column]
    due = moments + pd.Timedelta(days=known_on.after_days)
    ripe = (due <= pd.Timestamp(as_of)).to_numpy() & ~np.isnan(label)
    return Known(ripe, np.where(ripe, label, np.nan), ripe)


def _by_rule(records: pd.DataFrame, label: OutcomeRule, as_of: datetime) -> NDArray[np.float64]:
    """Evaluate the rule, NaN where nothing of an outcome is on record: every column it reads is missing.

    A date after `as_of` has not happened yet, so it is missing. Where the rule asks whether a date came at all, a
    missing one is an answer.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    rule = parse_expression(label.bad_when)
    for name in rule.names:
        values = records[name]
        if label.columns[name].type == "date":
            values = values.where(values <= pd.Timestamp(as_of))
            microseconds = values.dt.as_unit("us").astype("int64").to_numpy()
            columns[name] = np.where(values.isna(), np.nan, microseconds / DAY_US)
        else:
            columns[name] = values.to_numpy(dtype=np.float64)
    bad = rule.evaluate(columns)
    if any(label.columns[name].type == "date" for name in _held_against_a_number(rule.text)):
        return bad
    return np.where(np.logical_and.reduce([np.isnan(values) for values in columns.values()]), np.nan, bad)


def _held_against_a_number(rule: str) -> set[str]:
    """Return the columns that stand alone on a side of a comparison whose other side names no column."""
    sides = [
        (one, other)
        for node in ast.walk(ast.parse(rule, mode="eval"))
        if isinstance(node, ast.Compare)
        for one, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left))
    ]
    return {
        one.id
        for one, other in sides
        if isinstance(one, ast.Name) and not any(isinstance(part, ast.Name) for part in ast.walk(other))
    }
