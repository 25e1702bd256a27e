"""Take in what is new: source to lake, acknowledged in the ledger together with its watermark."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from refit.intake.cells import FIRST, MOMENT, as_bytes
from refit.intake.validate import ARRIVED_AT, lake_schema, source_columns, text_columns, validate
from refit.loop.overlap import Overlap, overlap, take_up
from refit.loop.wiring import World
from refit.store.rows import BatchRow, RejectRow
from refit.store.source import Watermark
from refit.usecase.model import UseCase

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one ingest run took in. `batch` is None where nothing was new."""

    n_records: int
    n_rejected: int
    batch: str | None
    watermark: Watermark | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        mark = None if self.watermark is None else {"at": self.watermark.at.isoformat(), "key": self.watermark.key}
        return {"ingested": self.n_records, "rejected": self.n_rejected, "batch": self.batch, "watermark": mark}


@dataclass(slots=True)
class _Taken:
    """What is known of the stream only once it is through."""

    watermark: Watermark | None
    back: Overlap | None
    n_rows: int = 0
    first: datetime | None = None
    last: datetime | None = None
    rejects: list[tuple[str, tuple[dict[str, str], ...], bytes]] = field(default_factory=list)


def ingest(
    world: World, usecase: UseCase, as_of: datetime, *, progress: Callable[[int], None] = lambda _: None
) -> Ingested:
    """Take in the records that arrived after the watermark and up to `as_of`.

    Killed anywhere, the next run neither loses nor doubles a record: a batch counts once the ledger has it.

    Args:
        progress: Called with the number of rows read so far.

    Raises:
        ContractError: The source lacks the table or a column.
        DataError: What was taken in before was read in another way, or a batch of it is missing.
        OutageError: Postgres or the lake does not answer, or another ingest of the use case runs.
    """
    with world.ledger.ingest_lock(usecase.name):
        batches = world.ledger.batches(usecase.name)
        left = world.lake.sweep(usecase.name, [batch.path for batch in batches])
        if left:
            log.info("lake.swept", usecase=usecase.name, n_files=len(left))
        if held := [batch.path for batch in batches if batch.n_records]:
            world.lake.check(held[-1], lake_schema(usecase))
        mark = world.ledger.watermark(usecase.name)
        after = Watermark(*mark) if mark is not None else None
        back = overlap(world, usecase, after)
        with _arrived(world, usecase, after, back, as_of) as stream:
            taken = _Taken(after, back)
            records = (found for found in _validated(stream, usecase, taken, progress) if len(found))
            first = next(records, None)
            if first is None and not taken.rejects and taken.watermark == after:
                take_up(world, usecase, back, as_of)
                return Ingested(0, 0, None, after)
            schema = _schema(world, usecase, back)
            written = world.lake.write(usecase.name, schema, chain([] if first is None else [first], records))
        if taken.watermark is None:
            raise AssertionError("a batch with rows has a last one")
        batch = BatchRow(
            usecase=usecase.name,
            sha256=written.sha256,
            path=written.path,
            n_records=written.n_records,
            n_rejected=len(taken.rejects),
            first_arrived_at=taken.first,
            last_arrived_at=taken.last,
            watermark_at=taken.watermark.at,
            watermark_key=taken.watermark.key,
            as_of=as_of,
        )
        world.ledger.acknowledge(batch, _reject_rows(batch, taken))
        take_up(world, usecase, back, as_of)
    log.info("ingest.acknowledged", usecase=usecase.name, n_records=batch.n_records, n_rejected=batch.n_rejected)
    return Ingested(written.n_records, len(taken.rejects), written.sha256, taken.watermark)


@contextmanager
def _arrived(
    world: World, usecase: UseCase, after: Watermark | None, back: Overlap | None, as_of: datetime
) -> Generator[Iterator[pa.RecordBatch], None, None]:
    """Stream what is new; where an ingest goes back, from there on and at least up to the watermark."""
    until = as_of
    if back is not None and after is not None:
        until = max(as_of, after.at) if back.left_behind else as_of
        after = Watermark(min(after.at, back.start), "")
    order = (usecase.source.arrived_at, usecase.source.key)
    columns, texts = source_columns(usecase), text_columns(usecase)
    with world.source.arrived(usecase.source.table, columns, order, after, until, texts=texts) as stream:
        yield (batch for batch in stream if len(batch))


def _schema(world: World, usecase: UseCase, back: Overlap | None) -> pa.Schema:
    """Return the lake's schema. A record that changed back would make the file of an earlier batch once more."""
    schema = lake_schema(usecase)
    if back is None:
        return schema
    return schema.with_metadata({"after": world.ledger.batches(usecase.name)[-1].sha256})


def _validated(
    batches: Iterator[pa.RecordBatch], usecase: UseCase, taken: _Taken, progress: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    for raw in batches:
        found = validate(raw, usecase)
        for reject in found.rejects:
            key, record = reject.key or "", as_bytes(raw, reject.row)
            if taken.back is None or not taken.back.knows(key, record):
                reasons = tuple({"column": reason.column, "why": reason.why} for reason in reject.reasons)
                taken.rejects.append((key, reasons, record))
        records = found.records if taken.back is None else taken.back.new(found.records)
        _follow(raw, records, usecase, taken)
        progress(taken.n_rows)
        yield records


def _follow(raw: pa.RecordBatch, records: pa.RecordBatch, usecase: UseCase, taken: _Taken) -> None:
    """Keep the watermark at the last row read, accepted or not, and the span of what was accepted."""
    taken.n_rows += len(raw)
    arrived_at, keys = raw.column(usecase.source.arrived_at), raw.column(usecase.source.key)
    moment = arrived_at.slice(len(raw) - 1).cast(MOMENT)[0]
    at = (moment if moment.value >= FIRST.value else FIRST).as_py()  # '-infinity' is refused, and not read again
    # A record without a key sorts behind those of its moment, and does not hide how far these have come.
    last_keys = keys.filter(pc.equal(arrived_at, arrived_at[len(raw) - 1])).drop_null()
    before = taken.watermark.key if taken.watermark is not None and taken.watermark.at == at else ""
    reached = Watermark(at, last_keys[len(last_keys) - 1].as_py() if len(last_keys) else before)
    if taken.watermark is None or (reached.at, reached.key) > (taken.watermark.at, taken.watermark.key):
        taken.watermark = reached
    if len(records):
        span = pc.min_max(records.column(ARRIVED_AT))
        taken.first = taken.first or span["min"].as_py()
        taken.last = span["max"].as_py()


def _reject_rows(batch: BatchRow, taken: _Taken) -> list[RejectRow]:
    return [
        RejectRow(
            usecase=batch.usecase,
            origin="ingest",
            source=batch.sha256,
            place=key,
            reasons=reasons,
            record=record,
            as_of=batch.as_of,
        )
        for key, reasons, record in taken.rejects
    ]
