"""What was taken in: batches, the watermark they move, and the records the contract refused."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Final, Literal

import psycopg2.errors
import psycopg2.extensions
from sqlalchemy import ColumnElement, Connection, Select, func, select, text
from sqlalchemy.exc import OperationalError

from refit.errors import OutageError
from refit.store.database import Database, add, columns, to_json_text
from refit.store.rows import BatchRow, RejectRow
from refit.store.tables import BATCH, REJECT, utc

COPIED_AT_ONCE: Final = 5_000
"""Rejects turned to text at a time, to keep memory flat."""

_COPIED: Final = ("usecase", "origin", "source", "place", "reasons", "record", "as_of")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\ufffd"})
_TAKE_LOCK: Final = text("SELECT pg_advisory_lock(hashtextextended(:name, 0))")
_TAKE_LOCK_FOR_TRANSACTION: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


class Batches(Database):
    """The ledger's pages on what was taken in."""

    @contextmanager
    def ingest_lock(self, usecase: str) -> Iterator[None]:
        """Keep every other ingest of `usecase` out; a killed holder's lock frees itself.

        Raises:
            OutageError: Another one runs.
        """
        busy = f"another ingest of {usecase} is running; wait for it, or stop it"
        with self._session() as connection:
            with self._outages_explained():
                connection.execute(text("SET lock_timeout = '1s'"))  # time for the server to notice a killed holder
                try:
                    connection.execute(_TAKE_LOCK, {"name": f"refit ingest {usecase}"})
                except OperationalError as error:
                    if isinstance(error.orig, psycopg2.errors.LockNotAvailable):
                        raise OutageError(busy) from None
                    raise
            yield

    def acknowledge(self, batch: BatchRow, rejects: Iterable[RejectRow] = ()) -> bool:
        """Keep a batch with its rejects and move the watermark, in one transaction; False if it was kept before.

        Raises:
            OutageError: An ingest that ran at the same time has gone further already.
        """
        with self._transaction() as connection:
            connection.execute(_TAKE_LOCK_FOR_TRANSACTION, {"name": f"refit acknowledge {batch.usecase}"})
            reached = connection.execute(_watermark(batch.usecase)).first()
            if not add(connection, BATCH, batch):
                return False
            if reached is not None and batch.watermark_at < reached.watermark_at:
                raise OutageError(f"another ingest of {batch.usecase} has gone further meanwhile; run it again")
            _copy(connection, rejects)
        return True

    def watermark(self, usecase: str) -> tuple[datetime, str] | None:
        """Return `(arrived_at, key)` of the last record seen, None before the first batch."""
        with self._transaction() as connection:
            found = connection.execute(_watermark(usecase)).first()
        return None if found is None else (found.watermark_at, found.watermark_key)

    def taken_in(self) -> set[str]:
        """Return the use cases of which anything was ever taken in."""
        with self._transaction() as connection:
            return set(connection.execute(select(BATCH.c.usecase).distinct()).scalars())

    def batches(self, usecase: str, as_of: datetime | None = None) -> list[BatchRow]:
        """Return the batches in the order they were taken in; with `as_of`, those with a record arrived by then."""
        query = select(*columns(BATCH, BatchRow)).where(BATCH.c.usecase == usecase).order_by(BATCH.c.number)
        return self._rows(BatchRow, query if as_of is None else query.where(BATCH.c.first_arrived_at <= as_of))

    def record_rejects(self, rejects: Iterable[RejectRow]) -> int:
        """Keep rejects, all or none; return how many."""
        with self._transaction() as connection:
            return _copy(connection, rejects)

    def rejects(
        self,
        usecase: str,
        limit: int = 100,
        *,
        origin: Literal["load", "ingest"] | None = None,
        source: str | None = None,
    ) -> list[RejectRow]:
        """Return rejects, newest first."""
        query = select(*columns(REJECT, RejectRow)).order_by(REJECT.c.number.desc()).limit(limit)
        return self._rows(RejectRow, query.where(*_chosen(usecase, origin, source)))

    def count_rejects(
        self, usecase: str, *, origin: Literal["load", "ingest"] | None = None, source: str | None = None
    ) -> int:
        """Count rejects: of a use case, of a load or an ingest, of one file or batch."""
        with self._transaction() as connection:
            query = select(func.count()).select_from(REJECT).where(*_chosen(usecase, origin, source))
            return connection.execute(query).scalar_one()

    def refused(self, batches: Iterable[BatchRow]) -> list[tuple[str, int, datetime]]:
        """Return each key that the ingests of a use case's `batches` refused: how often, and the last batch's moment.

        Records without a key stand together under an empty one. A batch is told by its moment, which its rejects share:
        two without a record are the same file.
        """
        moments = {batch.created_at: batch.usecase for batch in batches if batch.n_rejected}
        if not moments:
            return []
        query = (
            select(REJECT.c.place, func.count(), func.max(REJECT.c.created_at))
            .where(REJECT.c.usecase.in_(set(moments.values())), REJECT.c.origin == "ingest")
            .where(REJECT.c.created_at.in_(moments))
            .group_by(REJECT.c.place)
        )
        with self._transaction() as connection:
            return [(key, n, at) for key, n, at in connection.execute(query)]


def _watermark(usecase: str) -> Select[tuple[datetime, str]]:
    query = select(BATCH.c.watermark_at, BATCH.c.watermark_key).where(BATCH.c.usecase == usecase)
    return query.order_by(BATCH.c.number.desc()).limit(1)


def _chosen(usecase: str, origin: str | None, source: str | None) -> list[ColumnElement[bool]]:
    wanted = {"usecase": usecase, "origin": origin, "source": source}
    return [REJECT.c[name] == value for name, value in wanted.items() if value is not None]


def _copy(connection: Connection, rejects: Iterable[RejectRow]) -> int:
    """Insert rejects by COPY: half a million take seconds."""
    statement = f"COPY refit.reject ({', '.join(_COPIED)}) FROM STDIN"
    waiting, n = iter(rejects), 0
    driver: psycopg2.extensions.connection = connection.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor() as cursor:
        while chunk := list(islice(waiting, COPIED_AT_ONCE)):
            lines = "".join(map(_line, chunk)).encode("utf-8", "replace")
            cursor.copy_expert(statement, io.BytesIO(lines))
            n += len(chunk)
    return n


def _line(reject: RejectRow) -> str:
    """Write a reject in COPY's text format (PostgreSQL manual, COPY, "Text Format")."""
    texts = "\t".join(
        cell.translate(_ESCAPES)
        for cell in (reject.usecase, reject.origin, reject.source, reject.place, to_json_text(reject.reasons))
    )
    as_of = "\\N" if reject.as_of is None else utc(reject.as_of).isoformat()
    return f"{texts}\t\\\\x{reject.record.hex()}\t{as_of}\n"
