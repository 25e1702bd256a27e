"""Take in what is new: source to lake, acknowledged in the ledger together with its watermark."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from refit.intake.cells import FIRST, MOMENT, as_bytes
from refit.intake.validate import ARRIVED_AT, lake_schema, source_columns, text_columns, validate
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

    n_rows: int = 0
    first: datetime | None = None
    last: datetime | None = None
    watermark: Watermark | None = None
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
        OutageError: Postgres or the lake does not answer, or another ingest of the use case runs.
    """
    with world.ledger.ingest_lock(usecase.name):
        left = world.lake.sweep(usecase.name, [batch.path for batch in world.ledger.batches(usecase.name)])
        if left:
            log.info("lake.swept", usecase=usecase.name, n_files=len(left))
        mark = world.ledger.watermark(usecase.name)
        after = Watermark(*mark) if mark is not None else None
        order = (usecase.source.arrived_at, usecase.source.key)
        columns = source_columns(usecase)
        texts = text_columns(usecase)
        with world.source.arrived(usecase.source.table, columns, order, after, as_of, texts=texts) as stream:
            batches = (batch for batch in stream if len(batch))
            first = next(batches, None)
            if first is None:
                return Ingested(0, 0, None, after)
            taken = _Taken()
            records = _validated(chain([first], batches), usecase, taken, progress)
            written = world.lake.write(usecase.name, lake_schema(usecase), records)
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
    log.info("ingest.acknowledged", usecase=usecase.name, n_records=batch.n_records, n_rejected=batch.n_rejected)
    return Ingested(written.n_records, len(taken.rejects), written.sha256, taken.watermark)


def _validated(
    batches: Iterator[pa.RecordBatch], usecase: UseCase, taken: _Taken, progress: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    for raw in batches:
        found = validate(raw, usecase)
        for reject in found.rejects:
            reasons = tuple({"column": reason.column, "why": reason.why} for reason in reject.reasons)
            taken.rejects.append((reject.key or "", reasons, as_bytes(raw, reject.row)))
        _follow(raw, found.records, usecase, taken)
        progress(taken.n_rows)
        yield found.records


def _follow(raw: pa.RecordBatch, records: pa.RecordBatch, usecase: UseCase, taken: _Taken) -> None:
    """Keep the watermark at the last row read, accepted or not, and the span of what was accepted."""
    taken.n_rows += len(raw)
    arrived_at, keys = raw.column(usecase.source.arrived_at), raw.column(usecase.source.key)
    moment = arrived_at.slice(len(raw) - 1).cast(MOMENT)[0]
    at = (moment if moment.value >= FIRST.value else FIRST).as_py()  # '-infinity' is refused, and not read again
    # A record without a key sorts behind those of its moment, and does not hide how far these have come.
    last_keys = keys.filter(pc.equal(arrived_at, arrived_at[len(raw) - 1])).drop_null()
    before = taken.watermark.key if taken.watermark is not None and taken.watermark.at == at else ""
    taken.watermark = Watermark(at, last_keys[len(last_keys) - 1].as_py() if len(last_keys) else before)
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
