"""What arrived since a decision: the records, and those that still stand refused."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.intake.cells import MOMENT
from refit.intake.validate import ARRIVED_AT, KEY, lake_schema
from refit.loop.wiring import World
from refit.store.rows import BatchRow, DecisionRow
from refit.usecase.model import UseCase

COMMONEST: Final = 3
"""So many causes a decision names."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The keys of the new records, how many stand refused, and the commonest causes, each with how many it concerns."""

    keys: frozenset[str]
    n_refused: int
    causes: tuple[tuple[str, int], ...]


def arrivals(
    world: World, usecase: UseCase, last: DecisionRow | None, frame: pd.DataFrame, as_of: datetime
) -> Arrivals:
    """Return, each by its key, the records that the last decision had not seen, and those refused and not yet repaired.

    A record is new if it was taken in since, or if it arrived since: history that was taken in at once is replayed so.
    It stands refused until a later batch took it in. Without a key none is known again, and each refusal counts.

    Raises:
        DataError: A batch is missing or altered.
    """
    batches = [row for row in world.ledger.batches(usecase.name) if (row.first_arrived_at or row.watermark_at) <= as_of]
    if last is None:
        new, unseen = frame["_key"], batches
    else:
        unseen = _unseen(world, batches, last)
        arrived = frame["_arrived_at"] > pd.Timestamp(last.as_of)
        new = frame.loc[arrived | frame["_key"].isin(_keys(world, usecase, unseen, as_of)), "_key"]
    n_refused = _refused(world, usecase, unseen, as_of)
    causes = world.ledger.causes(unseen, COMMONEST) if n_refused else ()
    return Arrivals(frozenset(new), n_refused, tuple((str(cause), cause.n) for cause in causes))


def _unseen(world: World, batches: Sequence[BatchRow], last: DecisionRow) -> list[BatchRow]:
    """Return the batches that the last decision did not look at: those its snapshot lacks.

    One may have been acknowledged while that decision was made. No snapshot holds a batch without a record, which goes
    by its moment.
    """
    kept = None if last.snapshot is None else world.ledger.snapshot(last.usecase, last.snapshot)
    if kept is None:
        return [row for row in batches if row.created_at > last.created_at]
    seen = set(kept.batches)
    return [row for row in batches if (row.sha256 not in seen if row.n_records else row.created_at > last.created_at)]


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
