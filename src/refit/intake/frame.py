"""The frame of an as-of read: what every later stage looks at."""

from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.intake.cells import MOMENT
from refit.intake.labels import known
from refit.intake.validate import ARRIVED_AT, EVENT_TIME, KEY
from refit.usecase.label import OutcomeDate
from refit.usecase.model import UseCase

LABEL: Final = "_label"
RIPE: Final = "_ripe"
HAPPENED: Final = "_happened"
FIRST_ARRIVED_AT: Final = "_first_arrived_at"
"""When the first version of a record arrived: what later versions say moves no record across a split."""
HAPPENED_ON: Final = "_happened_on"


def frame(records: pa.Table, usecase: UseCase, as_of: datetime) -> pd.DataFrame:
    """Return of each record the version that counts at `as_of`, its features, and its label as known then.

    Numbers are float64, categories `category`; a derived feature is computed. The label's own columns are left behind,
    so that nothing later can look past `as_of`; a use case with a hazard is told the days of outcomes up to then.

    Args:
        records: (n_versions, n_columns) of the lake's schema, batches in the order they were taken in.
    """
    versions = records.filter(pc.less_equal(records[ARRIVED_AT], _moment(as_of)))
    first = versions.select([KEY, ARRIVED_AT]).group_by(KEY).aggregate([(ARRIVED_AT, "min")]).to_pandas()
    newest = _newest(versions)
    newest = newest.filter(pc.less_equal(newest[EVENT_TIME], _moment(as_of)))
    found = newest.select([KEY, ARRIVED_AT, EVENT_TIME, *usecase.label_columns]).to_pandas()
    outcome = known(found, usecase, as_of)
    columns = {name: found[name] for name in (KEY, ARRIVED_AT, EVENT_TIME)}
    columns[FIRST_ARRIVED_AT] = first.set_index(KEY)[f"{ARRIVED_AT}_min"].loc[found[KEY]].reset_index(drop=True)
    for column in usecase.inputs.values():
        columns[column.name] = _column(newest[column.name], column.type)
    for name in usecase.protected:
        columns[name] = _column(newest[name], "category")
    for name, expression in usecase.expressions.items():
        operands = {operand: columns[operand].to_numpy() for operand in expression.names}
        columns[name] = pd.Series(expression.evaluate(operands))
    if usecase.maturity.unripe == "hazard" and isinstance(usecase.label, OutcomeDate):
        columns[HAPPENED_ON] = found[usecase.label.happened_on.column].where(outcome.happened)
    return pd.DataFrame(columns | {HAPPENED: outcome.happened, LABEL: outcome.label, RIPE: outcome.ripe})


def n_ahead(records: pa.Table, as_of: datetime) -> int:
    """Return of how many records the version that counts at `as_of` is dated later than that: no frame holds them."""
    seen = pc.less_equal(records[ARRIVED_AT], _moment(as_of))
    ahead = pc.and_(seen, pc.greater(records[EVENT_TIME], _moment(as_of)))
    if not pc.any(ahead).as_py():
        return 0
    newest = _newest(records.filter(seen))
    return int(pc.sum(pc.greater(newest[EVENT_TIME], _moment(as_of))).as_py() or 0)


def _moment(as_of: datetime) -> pa.Scalar:
    return pa.scalar(as_of, MOMENT)


def _newest(versions: pa.Table) -> pa.Table:
    """Keep of each key the version that was taken in last.

    The source holds one row a key, so that one is what it says now; a correction may have moved its arrival back.
    """
    keys = versions[KEY].to_pandas()
    return versions if keys.is_unique else versions.filter(pa.array(~keys.duplicated(keep="last")))


def _column(values: pa.ChunkedArray, kind: str) -> pd.Series:
    if kind == "number":
        return pd.Series(values.to_numpy().astype(np.float64, copy=False))
    encoded = values.combine_chunks().dictionary_encode()
    categories = pd.Index(encoded.dictionary.to_pylist(), dtype=object)
    codes = encoded.indices.fill_null(-1).to_numpy()
    return pd.Series(pd.Categorical.from_codes(codes, categories=categories))
