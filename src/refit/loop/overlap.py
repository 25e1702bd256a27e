"""Records that an ingest has passed: loaded or committed late, with a moment that lies before the watermark."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from refit.intake.cells import MOMENT
from refit.intake.validate import ARRIVED_AT, KEY, lake_schema
from refit.loop.wiring import World
from refit.store.rows import RunRow
from refit.store.source import Watermark
from refit.usecase.model import UseCase

LEFT_BEHIND: Final = "load"
TAKEN_UP: Final = "overlap"
RUNS: Final = 1_000
REJECTS: Final = 10_000_000

Version = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Where an ingest goes back to, and what is known from there on: the last content of each version."""

    start: datetime
    left_behind: bool
    contents: Mapping[Version, int]
    rejects: frozenset[tuple[str, bytes]]

    def new(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """Return the records that are not known with this very content."""
        found = zip(_versions(records), _contents(records), strict=True)
        return records.filter(pa.array([self.contents.get(version) != content for version, content in found]))

    def knows(self, key: str, record: bytes) -> bool:
        """Tell whether this very record was refused before."""
        return (key, record) in self.rejects


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
    if usecase.source.settle_minutes:
        starts.append(after.at - timedelta(minutes=usecase.source.settle_minutes))
    if not starts:
        return None
    start = min(starts)
    refused = world.ledger.rejects(usecase.name, REJECTS, origin="ingest")
    rejects = frozenset((reject.place, reject.record) for reject in refused)
    return Overlap(start, left_behind, _known(world, usecase, start), rejects)


def _left_behind(world: World, usecase: UseCase) -> list[datetime]:
    """Return from where on rows were left behind since an ingest last went back."""
    starts = []
    for run in world.ledger.runs(usecase.name, RUNS):
        if run.kind == TAKEN_UP:
            break
        if run.kind == LEFT_BEHIND:
            starts.append(datetime.fromisoformat(run.result["from"]))
    return starts


def _known(world: World, usecase: UseCase, start: datetime) -> dict[Version, int]:
    """Return the content in which each version from `start` on was last taken in."""
    batches = [
        batch
        for batch in world.ledger.batches(usecase.name)
        if batch.last_arrived_at is not None and batch.last_arrived_at >= start
    ]
    schema = lake_schema(usecase)
    records = world.lake.read([batch.path for batch in batches], schema.names, schema)
    records = records.filter(pc.greater_equal(records[ARRIVED_AT], pa.scalar(start, MOMENT)))
    return dict(zip(_versions(records), _contents(records), strict=True))


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
