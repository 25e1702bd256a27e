"""How much arrived since a decision: the records, and those that still stand refused."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.intake.cells import MOMENT
from refit.intake.validate import ARRIVED_AT, KEY, lake_schema
from refit.loop.wiring import World
from refit.store.rows import BatchRow, DecisionRow
from refit.usecase.model import UseCase


def arrivals(
    world: World, usecase: UseCase, last: DecisionRow | None, frame: pd.DataFrame, as_of: datetime
) -> tuple[int, int]:
    """Count, each by its key, the records that the last decision had not seen, and those refused and not yet repaired.

    A record is new if it was taken in since, or if it arrived since: history that was taken in at once is replayed so.
    It stands refused until a later batch took it in. Without a key none is known again, and each refusal counts.

    Raises:
        DataError: A batch is missing or altered.
    """
    batches = [row for row in world.ledger.batches(usecase.name) if (row.first_arrived_at or row.watermark_at) <= as_of]
    if last is None:
        return len(frame), _refused(world, usecase, batches, as_of)
    taken_in = [row for row in batches if row.created_at > last.created_at]
    arrived = frame.loc[frame["_arrived_at"] > pd.Timestamp(last.as_of), "_key"]
    new = set(arrived).union(_keys(world, usecase, taken_in, as_of))
    return len(new), _refused(world, usecase, taken_in, as_of)


def _refused(world: World, usecase: UseCase, batches: Sequence[BatchRow], as_of: datetime) -> int:
    """Count the keys whose last refusal no later one of the batches made good."""
    found = world.ledger.refused(batches)
    nameless = sum(n for key, n, _ in found if not key)
    waiting = {key: at for key, _, at in found if key}
    first = min(waiting.values(), default=None)
    for batch in batches:
        if first is not None and batch.created_at > first:
            for key in _keys(world, usecase, [batch], as_of):
                if key in waiting and waiting[key] < batch.created_at:
                    del waiting[key]
    return nameless + len(waiting)


def _keys(world: World, usecase: UseCase, batches: Iterable[BatchRow], as_of: datetime) -> list[str]:
    """Return the key of each record of the batches that had arrived by then."""
    schema = lake_schema(usecase)
    records = world.lake.read([row.path for row in batches if row.n_records], [KEY, ARRIVED_AT], schema)
    keys: list[str] = records.filter(_arrived(records, as_of))[KEY].to_pylist()
    return keys


def _arrived(records: pa.Table, as_of: datetime) -> pa.ChunkedArray:
    return pc.less_equal(records[ARRIVED_AT], pa.scalar(as_of, MOMENT))
