"""Records that an ingest has passed: loaded or committed late, with a moment that lies before the watermark."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import dropwhile
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.errors import ContractError
from refit.intake.cells import FIRST, MOMENT
from refit.intake.validate import ARRIVED_AT, KEY, lake_schema
from refit.loop.wiring import World
from refit.store.rows import BatchRow, RunRow
from refit.store.source import Watermark
from refit.usecase import catalogue
from refit.usecase.model import UseCase

LEFT_BEHIND: Final = "load"
TAKEN_UP: Final = "overlap"
RUNS: Final = 1_000
REJECTS: Final = 10_000_000
DAYS_SETTLE: Final = timedelta(days=2)
"""How much longer a record may settle that bears a date: whatever comes in a day bears the midnight it began with.

One day holds all of it; the other leaves room for a transaction that ends after the next one.
"""

Version = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Where an ingest goes back to, and what is known from there on.

    `contents` holds the last content of each version, `earlier` those it had before, `latest` which version of a key
    was taken in last: what is taken in now goes before it.
    """

    start: datetime
    left_behind: bool
    contents: Mapping[Version, int]
    earlier: frozenset[tuple[Version, int]]
    latest: dict[str, datetime]
    rejects: frozenset[tuple[str, bytes]]

    def new(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """Return the records to take in: not known with this very content, or no longer what counts of their key.

        Called once for each batch of a stream, in its order.
        """
        found = list(zip(_versions(records), _contents(records), strict=True))
        standing = {version for version, content in found if self.contents.get(version) == content}
        return records.filter(pa.array([self._takes(*one, one[0] in standing) for one in found], pa.bool_()))

    def _takes(self, version: Version, content: int, standing: bool) -> bool:
        """Tell whether to take a record in; `standing`: the last known content of its version is still there.

        Beside that one an earlier content is another row of the key and the date, and no change back.
        """
        key, arrived_at = version
        known = self.contents.get(version) == content or (standing and (version, content) in self.earlier)
        if known and self._counts(key, arrived_at):
            return False
        self.latest[key] = arrived_at
        return True

    def _counts(self, key: str, arrived_at: datetime) -> bool:
        """Tell whether a known version counts as it should.

        A table that was loaded has one row a key, and that one counts. In another a key may stand several times, and
        the rows before its newest are the versions it had.
        """
        return arrived_at == self.latest[key] or (arrived_at < self.latest[key] and not self.left_behind)

    def knows(self, key: str, record: bytes) -> bool:
        """Tell whether this very record was refused before."""
        return (key, record) in self.rejects


def sharers(world: World, usecase: UseCase) -> list[UseCase]:
    """Return all use cases that read the table of this one, itself among them, by name.

    Raises:
        ContractError: The file of one that has taken records in is wrong, so nobody knows what it reads.
    """
    found = {usecase.name: usecase}
    for name in set(catalogue.names(world.settings.usecases)) - {usecase.name}:
        try:
            found[name] = world.usecase(name)
        except ContractError as error:
            if world.ledger.watermark(name) is not None:
                raise ContractError(f"{error}\n{name} may read {usecase.source.table} too: mend it first") from None
    return [found[name] for name in sorted(found) if found[name].source.table == usecase.source.table]


def leave_behind(world: World, usecase: UseCase, count: int, first: datetime, at: datetime) -> None:
    """Leave word that so many rows from `first` on were written behind the watermark."""
    _record(world, usecase, LEFT_BEHIND, at, {"behind": count, "from": first.isoformat()})


def take_up(world: World, usecase: UseCase, overlap: Overlap | None, at: datetime) -> None:
    """Keep that an ingest has gone back for all that was left behind so far."""
    if overlap is not None and overlap.left_behind:
        _record(world, usecase, TAKEN_UP, at, {})


def overlap(world: World, usecase: UseCase, after: Watermark | None) -> Overlap | None:
    """Return how far to go back behind the watermark; None where nothing asks for it."""
    if after is None:
        return None
    starts = _left_behind(world, usecase)
    left_behind = bool(starts)
    if settles := _settles(world, usecase):
        starts.append(max(after.at, FIRST.as_py() + settles) - settles)
    if not starts:
        return None
    start = min(starts)
    refused = world.ledger.rejects(usecase.name, REJECTS, origin="ingest")
    rejects = frozenset((reject.place, reject.record) for reject in refused)
    return Overlap(start, left_behind, *_known(world, usecase, start), rejects)


def _settles(world: World, usecase: UseCase) -> timedelta:
    """Return how long before the watermark a record may bear its moment and come after it all the same."""
    settles, source = timedelta(minutes=usecase.source.settle_minutes), usecase.source
    bears_dates = world.source.column_types(source.table).get(source.arrived_at) == "date"
    return settles + DAYS_SETTLE if bears_dates else settles


def _left_behind(world: World, usecase: UseCase) -> list[datetime]:
    """Return from where on rows were left behind since an ingest last went back."""
    starts = []
    for run in world.ledger.runs(usecase.name, RUNS):
        if run.kind == TAKEN_UP:
            break
        if run.kind == LEFT_BEHIND:
            starts.append(datetime.fromisoformat(run.result["from"]))
    return starts


def _known(
    world: World, usecase: UseCase, start: datetime
) -> tuple[dict[Version, int], frozenset[tuple[Version, int]], dict[str, datetime]]:
    """Return the last content of each version from `start` on, those it had before, and the last version of its key.

    That one may have arrived before `start`: a correction can move a moment back.
    """

    def ends_before(batch: BatchRow) -> bool:
        return batch.last_arrived_at is None or batch.last_arrived_at < start

    batches = dropwhile(ends_before, world.ledger.batches(usecase.name))
    schema = lake_schema(usecase)
    records = world.lake.read([batch.path for batch in batches], schema.names, schema)
    reached = records.filter(pc.greater_equal(records[ARRIVED_AT], pa.scalar(start, MOMENT)))
    moved = records.select([KEY, ARRIVED_AT]).filter(pc.is_in(records[KEY], reached[KEY].combine_chunks()))
    found = list(zip(_versions(reached), _contents(reached), strict=True))
    contents = dict(found)
    earlier = frozenset(one for one in found if contents[one[0]] != one[1])
    return contents, earlier, dict(_versions(moved))


def _versions(records: pa.RecordBatch | pa.Table) -> list[Version]:
    moments = records.column(ARRIVED_AT).to_pylist()
    return list(zip(records.column(KEY).to_pylist(), moments, strict=True))


def _contents(records: pa.RecordBatch | pa.Table) -> list[int]:
    """Return a 64-bit hash of each record."""
    if not len(records):
        return []
    hashes = pd.util.hash_pandas_object(records.to_pandas(), index=False, categorize=False)
    found: list[int] = np.asarray(hashes).tolist()
    return found


def _record(world: World, usecase: UseCase, kind: str, at: datetime, result: Mapping[str, object]) -> None:
    world.ledger.record_run(
        RunRow(
            usecase=usecase.name,
            kind=kind,
            as_of=at,
            started_at=at,
            finished_at=at,
            outcome="completed",
            result=result,
        )
    )
