"""Put a file of records into its source table: the part of the lender, played for a file."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from refit.errors import ContractError, DataError
from refit.intake.cells import as_bytes
from refit.intake.loading import Loaded, Seen, added_columns, load_rows, table_columns
from refit.loop.days import SIMULATED
from refit.loop.overlap import leave_behind, sharers
from refit.loop.wiring import World
from refit.store import files
from refit.store.rows import RejectRow
from refit.store.source import Filing, Put, Reader, Watermark
from refit.usecase.model import LOADED_AT, RECORD_ID, UseCase

COMMON_REASONS = 10


@dataclass(frozen=True, slots=True)
class Loading:
    """What a load did: rows added, changed and unchanged in the table, and rejects by reason, the most common first.

    `behind` counts the rows added or changed that are no newer than what was taken in by a use case of the table, of
    several the most: the next ingest of each goes back for its own.
    """

    table: str
    added: int
    changed: int
    unchanged: int
    rejected: int
    reasons: dict[str, int] = field(default_factory=dict)
    behind: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(slots=True)
class _Tally:
    rejects: list[RejectRow] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reject: RejectRow) -> None:
        self.rejects.append(reject)
        self.reasons.update(f"{reason['column']}: {reason['why']}" for reason in reject.reasons)


def load(
    world: World,
    usecase: UseCase,
    path: Path,
    *,
    loaded_at: datetime,
    delimiter: str = ",",
    encoding: str = "utf-8",
    progress: Callable[[int], None] = lambda _: None,
) -> Loading:
    """Load a CSV, CSV.gz or Parquet file by COPY, as a whole or not at all; rows that do not parse become rejects.

    Args:
        loaded_at: In UTC; when the records of a file that does not date them itself arrive.

    Raises:
        DataError: The file cannot be read, or lacks a column of the contract. The table is as it was.
        OutageError: Postgres does not answer, or an ingest of the table runs. The table is as it was.
    """
    names = files.header(path, delimiter, encoding)
    _require_same_columns(world, usecase, names)
    tally = _Tally()
    source = f"{path.name}@{_digest(path)[:12]}"
    chunks = files.chunks(path, delimiter, encoding, progress=progress)
    put = _put(world, usecase, names, _rows(chunks, usecase, source, tally, loaded_at), loaded_at)
    if world.ledger.count_rejects(usecase.name, origin="load", source=source) != len(tally.rejects):
        world.ledger.record_rejects(tally.rejects)  # the same file again brings the same rejects
    return Loading(
        usecase.source.table,
        put.added,
        put.changed,
        put.unchanged,
        len(tally.rejects),
        dict(tally.reasons.most_common(COMMON_REASONS)),
        _most_behind(put),
    )


def _require_same_columns(world: World, usecase: UseCase, names: Sequence[str]) -> None:
    """Refuse a file whose rows would all be new by their ids, though they may be in the table.

    Raises:
        DataError: It has other columns than the files the table was loaded from; names them.
    """
    table = usecase.source.table
    if RECORD_ID not in added_columns(names, usecase) or not (there := world.source.column_types(table)):
        return
    if other := sorted((set(there) ^ set(names)) - {RECORD_ID, LOADED_AT}):
        raise DataError(
            f"{table} was loaded from files with other columns ({', '.join(other)} here or there only); a record's id "
            "is made of all of them, so each record would come a second time"
        )


def load_frame(world: World, usecase: UseCase, records: pd.DataFrame, loaded_at: datetime) -> Loading:
    """Load records that are in memory already, typed: the simulated book."""
    table = pa.Table.from_pandas(records, preserve_index=False)
    seen = Seen()
    rows = (load_rows(chunk, usecase, seen, loaded_at) for chunk in table.to_batches(files.CHUNK_ROWS))
    put = _put(world, usecase, table.schema.names, (_all(loaded, usecase) for loaded in rows), loaded_at)
    return Loading(usecase.source.table, put.added, put.changed, put.unchanged, 0, behind=_most_behind(put))


def _put(
    world: World, usecase: UseCase, names: Sequence[str], rows: Iterator[pa.RecordBatch], loaded_at: datetime
) -> Put:
    """Put rows into the table, and before they can be seen there, leave word of those an ingest would pass over.

    Word is left for each use case of the table by its own watermark: whoever loads may not be the only one who reads.
    """
    columns = table_columns(names, usecase)
    stamp = LOADED_AT if LOADED_AT in added_columns(names, usecase) else None
    readers = {one.name: one for one in sharers(world, usecase)}

    def leave_word(put: Put) -> None:
        for name, behind in put.behind.items():
            leave_behind(world, readers[name], behind.count, behind.first, loaded_at)

    with ExitStack() as locks:
        for name in readers:  # an ingest under way would not hear of them
            locks.enter_context(world.ledger.ingest_lock(name))
        filing = Filing(usecase.source.key, stamp, _progress(world, readers.values()))
        return world.source.put(usecase.source.table, columns, filing, rows, before_commit=leave_word)


def _progress(world: World, usecases: Iterable[UseCase]) -> dict[str, Reader]:
    """Return how far each use case has come; one that has taken in nothing yet can have passed nothing over."""
    marks = [(one, world.ledger.watermark(one.name)) for one in usecases]
    return {
        one.name: Reader(one.source.key, one.source.arrived_at, Watermark(*mark))
        for one, mark in marks
        if mark is not None
    }


def _most_behind(put: Put) -> int:
    return max((behind.count for behind in put.behind.values()), default=0)


def _all(loaded: Loaded, usecase: UseCase) -> pa.RecordBatch:
    if loaded.refused:
        raise ContractError(f"the records do not fit use case {usecase.name}")
    return loaded.rows


def load_demo(
    world: World, as_of: datetime, *, months: int = 24, per_month: int = 1500, drift: bool = False
) -> Loading:
    """Load the simulated loan book as it stands at `as_of`."""
    # The simulator lies outside the house and is needed here alone.
    from db.simulator import simulate  # noqa: PLC0415

    book = simulate(as_of, months=months, per_month=per_month, drift=drift)
    return load_frame(world, world.usecase(SIMULATED), book, as_of)


def _rows(
    chunks: Iterator[files.Chunk], usecase: UseCase, source: str, tally: _Tally, loaded_at: datetime
) -> Iterator[pa.RecordBatch]:
    seen = Seen()
    for chunk in chunks:
        for bad in chunk.bad:
            tally.add(_reject(usecase, source, bad.line, [{"column": "", "why": bad.why}], bad.record))
        loaded = load_rows(chunk.rows, usecase, seen, loaded_at)
        for row, reasons in loaded.refused.items():
            record = as_bytes(chunk.rows, row)
            tally.add(_reject(usecase, source, chunk.lines[row], [asdict(reason) for reason in reasons], record))
        yield loaded.rows


def _reject(usecase: UseCase, source: str, line: int, reasons: list[dict[str, Any]], record: bytes) -> RejectRow:
    return RejectRow(
        usecase=usecase.name, origin="load", source=source, place=f"line {line}", reasons=tuple(reasons), record=record
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
