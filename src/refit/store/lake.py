"""The lake: immutable Parquet files of records, each named by the hash of its content."""

import errno
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from refit.errors import ContractError, DataError, OutageError
from refit.usecase.model import RESERVED

ROW_GROUP: Final = 131_072
UNFINISHED: Final = ".writing-"


@dataclass(frozen=True, slots=True)
class Written:
    """A batch in the lake that nobody has acknowledged yet."""

    path: str
    sha256: str
    n_records: int


class Lake:
    """A folder or bucket, by its fsspec address."""

    def __init__(self, url: str) -> None:
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ContractError(f"REFIT_LAKE_URL: {error}") from None

    def write(self, usecase: str, schema: pa.Schema, records: Iterable[pa.RecordBatch]) -> Written:
        """Write one batch under the hash of its content; writing the same again changes nothing.

        Raises:
            OutageError: The disk is full or the store does not answer. No file is left behind.
        """
        folder = f"{self._root}/{usecase}/batches"
        unfinished = f"{folder}/{UNFINISHED}{uuid4().hex}"
        try:
            self._fs.makedirs(folder, exist_ok=True)
            try:
                with self._fs.open(unfinished, "wb") as file:
                    digest, n_records = _write_parquet(file, schema, records)
                    _to_disk(file)
                path = f"{usecase}/batches/{digest}.parquet"
                self._fs.mv(unfinished, f"{self._root}/{path}")
            except BaseException:
                if self._fs.exists(unfinished):
                    self._fs.rm(unfinished)
                raise
        except OSError as error:
            raise _outage(error, folder) from error
        return Written(path, digest, n_records)

    def read(self, paths: Sequence[str], columns: Sequence[str], schema: pa.Schema) -> pa.Table:
        """Return the named batches as one table, in that order.

        Args:
            schema: The metadata of a field tell what it means; a batch that tells otherwise is refused. One written
                before fields had any tells nothing, and is read by name and type.

        Raises:
            DataError: A batch is missing, altered or written under another contract.
        """
        chosen = pa.schema([schema.field(name) for name in columns])
        tables = [chosen.empty_table()]
        for path in paths:
            try:
                content = self._fs.cat_file(f"{self._root}/{path}")
            except FileNotFoundError:
                raise DataError(f"lake: batch {path} is missing; restore it from a backup") from None
            except OSError as error:
                raise OutageError(f"lake: batch {path} cannot be read: {error.strerror or error}") from None
            if hashlib.sha256(content).hexdigest() != path.rpartition("/")[2].removesuffix(".parquet"):
                raise DataError(f"lake: batch {path} is altered; restore it from a backup")
            file = pq.ParquetFile(pa.BufferReader(content))
            _check(path, file.schema_arrow, chosen)
            tables.append(file.read(list(columns)).select(list(columns)).cast(chosen))
        return pa.concat_tables(tables)

    def check(self, path: str, schema: pa.Schema) -> None:
        """See that records of `schema` can be read together with those of a batch, before they are taken in.

        Raises:
            DataError: The batch is missing or was written under another contract.
            OutageError: The store does not answer.
        """
        try:
            with self._fs.open(f"{self._root}/{path}", "rb") as file:
                held = pq.read_schema(file)
        except FileNotFoundError:
            raise DataError(f"lake: batch {path} is missing; restore it from a backup") from None
        except pa.ArrowInvalid:
            raise DataError(f"lake: batch {path} is altered; restore it from a backup") from None
        except OSError as error:
            raise OutageError(f"lake: batch {path} cannot be read: {error.strerror or error}") from None
        _check(path, held, schema)

    def sweep(self, usecase: str, acknowledged: Iterable[str]) -> list[str]:
        """Remove what a killed run left: unfinished files, a batch nobody acknowledged. Only under the ingest lock.

        Raises:
            ContractError: There are several such batches. A killed run leaves one: they are another ledger's.
        """
        folder = f"{self._root}/{usecase}/batches"
        if not self._fs.exists(folder):
            return []
        keep = {path.rpartition("/")[2] for path in acknowledged}
        left = [path for path in self._fs.ls(folder, detail=False) if path.rpartition("/")[2] not in keep]
        if len(finished := [path for path in left if not path.rpartition("/")[2].startswith(UNFINISHED)]) > 1:
            raise ContractError(
                f"the lake at {folder} holds {len(finished)} batches that the ledger does not know; "
                "name the ledger they were taken in with (REFIT_DATABASE_URL), or another lake (REFIT_LAKE_URL)"
            )
        if not keep:  # a new ledger cannot tell a killed run's batch from another ledger's first
            left = [path for path in left if path not in finished]
        for path in left:
            self._fs.rm(path)
        return [path.rpartition("/")[2] for path in left]

    def paths(self, usecase: str) -> list[str]:
        """Return every batch file there is, acknowledged or not, sorted."""
        folder = f"{self._root}/{usecase}/batches"
        found = self._fs.ls(folder, detail=False) if self._fs.exists(folder) else []
        return sorted(f"{usecase}/batches/{path.rpartition('/')[2]}" for path in found)


def _check(path: str, held: pa.Schema, wanted: pa.Schema) -> None:
    if other := [field.name for field in wanted if not _holds(held, field)]:
        raise DataError(
            f"lake: batch {path} does not hold the contract's columns: {', '.join(other)} is missing or of "
            "another type; a use case whose inputs changed needs a new name"
        )
    if turned := [change for field in wanted for change in _changes(held.field(field.name), field)]:
        raise DataError(
            f"lake: batch {path} was read in another way: {'; '.join(turned)}. Old and new records would not mean the "
            "same: put it back as it was; a use case whose inputs changed needs a new name"
        )


def _changes(held: pa.Field, wanted: pa.Field) -> list[str]:
    """Say what a field's metadata tell otherwise than those it was written with; what these leave out is not known."""
    was, now = ({key.decode(): value.decode() for key, value in (f.metadata or {}).items()} for f in (held, wanted))
    return [
        f"{wanted.name}: {key} was {was[key] or 'none'}, is {now[key] or 'none'}"
        for key in now
        if key in was and was[key] != now[key]
    ]


def _holds(schema: pa.Schema, field: pa.Field) -> bool:
    return field.name in schema.names and bool(schema.field(field.name).type == field.type)


class _Hashed:
    """A file that hashes what is written through it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.closed = False

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        self._file.write(content)
        return len(content)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def _to_disk(file: Any) -> None:
    """See a local file through to the disk before the ledger acknowledges it; a bucket does so by itself."""
    try:
        descriptor = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return
    file.flush()
    os.fsync(descriptor)


def _write_parquet(file: Any, schema: pa.Schema, records: Iterable[pa.RecordBatch]) -> tuple[str, int]:
    hashed = _Hashed(file)
    n_records = 0
    # A dictionary pays for categories; over numbers, moments and keys it costs four times what it saves.
    categories = [one.name for one in schema if pa.types.is_string(one.type) and not one.name.startswith(RESERVED)]
    options = {"compression": "zstd", "use_dictionary": categories}
    with pq.ParquetWriter(pa.PythonFile(hashed, mode="w"), schema, **options) as writer:
        for group in _row_groups(schema, records):
            writer.write_table(group, row_group_size=ROW_GROUP)
            n_records += group.num_rows
    return hashed.digest.hexdigest(), n_records


def _row_groups(schema: pa.Schema, records: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut the stream into groups of one size, so that the same rows give the same bytes however they came."""
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    for batch in records:
        waiting.append(batch)
        n_waiting += len(batch)
        while n_waiting >= ROW_GROUP:
            table = pa.Table.from_batches(waiting, schema)
            yield table.slice(0, ROW_GROUP).combine_chunks()
            rest = table.slice(ROW_GROUP)
            waiting, n_waiting = rest.to_batches(), rest.num_rows
    if n_waiting:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()


def _outage(error: OSError, folder: str) -> OutageError:
    if error.errno == errno.ENOSPC:
        return OutageError(f"no space left on the disk of {folder}; free some and run again, nothing was taken in")
    return OutageError(f"the lake at {folder} cannot be written: {error.strerror or error}")
