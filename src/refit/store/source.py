"""The lender's tables: read over a watermark; and, for the loader alone, filled by COPY."""

import io
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import adbc_driver_manager
import psycopg2
import pyarrow as pa
import pyarrow.csv
from adbc_driver_postgresql import dbapi
from psycopg2 import sql

from refit.errors import ContractError, DataError, OutageError
from refit.store.ahead import reading_ahead
from refit.store.database import CONNECT_TIMEOUT_S, connected, outages_explained, parsed_url

ORDERABLE: Final = {"timestamp with time zone", "timestamp without time zone", "date"}
SETTING: Final = "REFIT_SOURCE_URL"
OUTAGES: Final = {"08", "25", "40", "53", "55", "57", "58", "XX"}
"""Classes of SQLSTATE that tell of the server and of no value (PostgreSQL manual, appendix A)."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far the source has been taken in: the last record's moment and key."""

    at: datetime
    key: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who takes the table in: by which columns, and how far so far."""

    key: str
    arrived_at: str
    mark: Watermark


@dataclass(frozen=True, slots=True)
class Behind:
    """Rows a load added or changed that are no newer than a reader's watermark: how many, and from when on."""

    count: int
    first: datetime


@dataclass(frozen=True, slots=True)
class Put:
    """What a load changed in the table, and for each reader that would pass over some of it, what."""

    added: int
    changed: int
    unchanged: int
    behind: Mapping[str, Behind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filing:
    """How rows go into a table: by which key, and who has taken it in before, by name.

    `stamp` is a column of the load's own, which makes no row another one.
    """

    key: str
    stamp: str | None = None
    readers: Mapping[str, Reader] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    readable: bool


# The information schema leaves out materialized views, and cannot tell what is not there from what may not be read.
_COLUMNS: Final = """
SELECT a.attname,
    CASE
        WHEN base = 'numeric'::regtype AND typmod >= 4 AND (typmod - 4) >> 16 & 65535 < 300 THEN 'decimal'
        ELSE format_type(base, NULL)
    END,
    has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    CROSS JOIN LATERAL (
        SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END AS base,
            CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS typmod
    ) AS of
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
"""The columns of a relation, a domain as its base type; `typmod` packs the precision (PostgreSQL source, numeric.c)."""


class Source:
    """One Postgres that holds source tables. Opens a connection a call; holds none."""

    def __init__(self, url: str) -> None:
        self._url = parsed_url(url, setting=SETTING).set(drivername="postgresql").render_as_string(hide_password=False)

    def column_types(self, table: str) -> dict[str, str]:
        """Return the columns with their SQL types, in order, that may be read; empty where there is no such table.

        A view will do, and a materialized one.

        Raises:
            ContractError: The table is there, and none of it may be read.
            OutageError: Postgres does not answer.
        """
        columns = self._columns(table)
        if columns and not any(column.readable for column in columns):
            schema = table.partition(".")[0]
            raise ContractError(
                f"the user of {SETTING} may not read {table}: "
                f"GRANT USAGE ON SCHEMA {schema} and GRANT SELECT ON {table} to it"
            )
        return {column.name: column.type for column in columns if column.readable}

    def _columns(self, table: str) -> list[_Column]:
        with self._cursor() as cursor:
            cursor.execute(_COLUMNS, table.split("."))
            return [_Column(*row) for row in cursor.fetchall()]

    @contextmanager
    def arrived(
        self,
        table: str,
        columns: Sequence[str],
        order: tuple[str, str],
        after: Watermark | None,
        until: datetime,
        *,
        texts: Collection[str] = (),
    ) -> Generator[Iterator[pa.RecordBatch], None, None]:
        """Stream the rows that arrived after the watermark and up to `until`, oldest first, as Arrow batches.

        Args:
            order: The arrival column and the key column.
            texts: The columns to read as text, whatever their type.

        Raises:
            ContractError: The table or a column is missing, or the arrival column is no date.
            DataError: Rows have no moment of arrival, or Postgres cannot read a record; the value is not told.
            OutageError: Postgres does not answer, or the connection broke.
        """
        types = self._checked_types(table, columns, order[0])
        selected = [_selected(name, "" if name in texts else types[name]) for name in columns]
        query = _arrived_query(table, selected, order, after, until)
        address = _with_timeout(self._url)
        with (
            _outage(self._url),
            connected(lambda: dbapi.connect(address)) as connection,
            connection.cursor() as cursor,
        ):
            # One order for one content: the file a batch becomes is named by its hash.
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute("SET standard_conforming_strings = on")
            cursor.execute("SET work_mem = '256MB'")
            _require_arrivals(cursor, table, order[0])
            cursor.execute(query)
            with reading_ahead(_unbroken(cursor.fetch_record_batch(), self._url)) as batches:
                yield batches

    def _checked_types(self, table: str, columns: Sequence[str], arrived_at: str) -> dict[str, str]:
        types = self.column_types(table)
        if not types:
            raise ContractError(
                f"the source has no table {table}; load it with `refit load`, or name another in `source`"
            )
        if missing := [name for name in columns if name not in types]:
            if kept := [column.name for column in self._columns(table) if column.name in missing]:
                raise ContractError(
                    f"the user of {SETTING} may not read {', '.join(kept)} of {table}: GRANT SELECT ON {table} to it"
                )
            raise ContractError(f"{table} has no column {', '.join(missing)}; it has {', '.join(types)}")
        if types[arrived_at] not in ORDERABLE:
            raise ContractError(
                f"{table}.{arrived_at} is {types[arrived_at]}; `arrived_at` must be a date or a timestamp, to order by"
            )
        return types

    def put(
        self,
        table: str,
        columns: Sequence[tuple[str, str]],
        filing: Filing,
        chunks: Iterator[pa.RecordBatch],
        *,
        before_commit: Callable[[Put], None] = lambda _: None,
    ) -> Put:
        """Put rows into the table in one transaction, by COPY: new keys are added, changed rows replaced.

        Args:
            columns: Name and SQL type of each column of the chunks; a table that is not there is made of them.
            before_commit: Told what is about to be kept.

        Raises:
            ContractError: The table is there with other columns.
            OutageError: Postgres does not answer, or its disk is full. The table is as it was.
        """
        schema, name = table.split(".")
        target, staging = sql.Identifier(schema, name), sql.Identifier("refit_load")
        listed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(t)) for c, t in columns)
        names = _listed([c for c, _ in columns])
        with self._cursor() as cursor:
            cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            cursor.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({}))").format(
                    target, listed, sql.Identifier(filing.key)
                )
            )
            there = self._check_table(cursor, table, columns)
            cursor.execute(sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(staging, listed))
            copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(staging, names).as_string(cursor)
            total = 0
            for chunk in chunks:
                cursor.copy_expert(copy, _as_csv(chunk))
                total += len(chunk)
            readers = {name: one for name, one in filing.readers.items() if _can_read(one, there)}
            put = _merge(cursor, target, staging, [c for c, _ in columns], replace(filing, readers=readers), total)
            before_commit(put)
            return put

    def _check_table(self, cursor: Any, table: str, columns: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Return the table's columns with their types."""
        schema, name = table.split(".")
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
            (schema, name),
        )
        there: dict[str, str] = dict(cursor.fetchall())
        if missing := [c for c, _ in columns if c not in there]:
            raise ContractError(
                f"{table} is there already, without the file's column {', '.join(missing)}; "
                "load into another table, or add the column to this one"
            )
        if other := [f"{c} ({there[c]} there, {t} in the file)" for c, t in columns if there[c] != t]:
            raise ContractError(f"{table} is there already, with other types: {', '.join(other)}")
        return there

    @contextmanager
    def _cursor(self) -> Generator[Any, None, None]:
        with _outage(self._url):
            connection = connected(lambda: psycopg2.connect(self._url, connect_timeout=CONNECT_TIMEOUT_S))
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute("SET TIME ZONE 'UTC'")
                    yield cursor
            finally:
                connection.close()


def _can_read(reader: Reader, types: Mapping[str, str]) -> bool:
    """Tell whether a reader's columns are in the table; where they are not, its next ingest says so itself."""
    return reader.key in types and types.get(reader.arrived_at) in ORDERABLE


def _merge(cursor: Any, target: Any, staging: Any, columns: list[str], filing: Filing, total: int) -> Put:
    others = [c for c in columns if c != filing.key]
    told = [c for c in others if c != filing.stamp]
    readers = list(enumerate(filing.readers.values()))
    cursor.execute(
        sql.SQL(
            "WITH merged AS (INSERT INTO {target} AS t ({names}) SELECT {names} FROM {staging}"
            " ON CONFLICT ({key}) DO UPDATE SET ({set}) = ROW ({new}) WHERE ROW ({row}) IS DISTINCT FROM ROW ({other})"
            " RETURNING {returned}) SELECT {counted} FROM merged"
        ).format(
            target=target,
            names=_listed(columns),
            staging=staging,
            key=sql.Identifier(filing.key),
            set=_listed(others),
            new=_listed(others, "excluded"),
            row=_listed(told, "t"),
            other=_listed(told, "excluded"),
            returned=sql.SQL(", ").join([sql.SQL("xmax = 0 AS added"), *(_place(*one) for one in readers)]),
            counted=sql.SQL(", ").join([_ADDED, *(_passed_over(number, reader.mark) for number, reader in readers)]),
        )
    )
    added, changed, *found = cursor.fetchone()
    behind = zip(filing.readers, found[::2], found[1::2], strict=True)
    return Put(
        added, changed, total - added - changed, {name: Behind(count, first) for name, count, first in behind if count}
    )


_ADDED: Final = sql.SQL("count(*) FILTER (WHERE added), count(*) FILTER (WHERE NOT added)")


def _place(number: int, reader: Reader) -> sql.Composed:
    """Return where a row stands in the order of a reader."""
    return sql.SQL('t.{}::timestamptz AS {}, t.{}::text COLLATE "C" AS {}').format(
        sql.Identifier(reader.arrived_at),
        sql.Identifier(f"at_{number}"),
        sql.Identifier(reader.key),
        sql.Identifier(f"key_{number}"),
    )


def _passed_over(number: int, mark: Watermark) -> sql.Composed:
    """Count the rows a reader has passed, and name the first moment of theirs that a calendar of Python holds."""
    at = sql.Identifier(f"at_{number}")
    behind = sql.SQL("FILTER (WHERE ({}, {}) <= ({}, {}))").format(
        at, sql.Identifier(f"key_{number}"), sql.Literal(mark.at), sql.Literal(mark.key)
    )
    return sql.SQL("count(*) {behind}, greatest(min({at}) {behind}, '0001-01-01'::timestamptz)").format(
        at=at, behind=behind
    )


def _listed(columns: Sequence[str], table: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, c) if table else sql.Identifier(c) for c in columns)


def _as_csv(chunk: pa.RecordBatch) -> io.BytesIO:
    """Write rows as CSV in which null is an unquoted empty cell and an empty text a quoted one."""
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(chunk, buffer, pyarrow.csv.WriteOptions(include_header=False))
    buffer.seek(0)
    return buffer


def _selected(name: str, sql_type: str) -> str:
    """Select a column in a type that Arrow can hold: NUMERIC as float, all that is neither number nor date as text."""
    column = _quoted(name)
    if sql_type in {"decimal", "money"}:
        return f"{column}::numeric::float8 AS {column}"
    if sql_type == "numeric":  # without a precision it may hold what no float does, which would break the whole read
        return (
            f"CASE WHEN abs({column}) BETWEEN 1e-300 AND 1e300 THEN {column}::float8 WHEN abs({column}) < 1e-300 THEN 0"
            f" WHEN {column} <> 'NaN' THEN sign({column}) * 'Infinity'::float8 END AS {column}"
        )
    if sql_type == "boolean":
        return f"{column}::int AS {column}"
    if sql_type in {"double precision", "real", "integer", "bigint", "smallint", *ORDERABLE}:
        return column
    return f"{column}::text AS {column}"


def _require_arrivals(cursor: dbapi.Cursor, table: str, arrived_at: str) -> None:
    """Refuse a table with rows that no watermark reaches, rather than pass over them for good.

    Raises:
        DataError: Rows have no moment of arrival; says how many and what to do.
    """
    cursor.execute(f"SELECT count(*) FROM {_table(table)} WHERE {_quoted(arrived_at)} IS NULL")  # noqa: S608 - every part is quoted
    (count,) = cursor.fetchone() or (0,)
    if count:
        raise DataError(
            f"{table}.{arrived_at} is empty in {count:,} of its rows, which would never be taken in; fill it, or name "
            f"as `source.table` a view that does (COALESCE({arrived_at}, created_at) AS {arrived_at}) or leaves them "
            "out"
        )


def _arrived_query(
    table: str, selected: Sequence[str], order: tuple[str, str], after: Watermark | None, until: datetime
) -> str:
    arrived_at, key = _quoted(order[0]), f'{_quoted(order[1])}::text COLLATE "C"'
    where = f"{arrived_at} <= {_literal(until.isoformat())}::timestamptz"
    if after is not None:
        where += f" AND ({arrived_at}, {key}) > ({_literal(after.at.isoformat())}::timestamptz, {_literal(after.key)})"
    return f"SELECT {', '.join(selected)} FROM {_table(table)} WHERE {where} ORDER BY {arrived_at}, {key}"  # noqa: S608 - every part is quoted


def _table(name: str) -> str:
    return ".".join(map(_quoted, name.split(".")))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    if "\x00" in text:
        raise ContractError("a key cannot hold a NUL character")
    return "'" + text.replace("'", "''") + "'"


def _with_timeout(url: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}connect_timeout={CONNECT_TIMEOUT_S}"


@contextmanager
def _outage(url: str) -> Generator[None, None, None]:
    """Turn what either driver raises into an error without the password: an outage, or a table that does not fit."""
    where = url.rpartition("@")[2].partition("?")[0]
    try:
        with outages_explained(parsed_url(url, setting=SETTING), setting=SETTING), _limits_explained(where):
            yield
    except psycopg2.Error as error:
        if error.pgcode is None:  # libpq's own word, which may quote the address
            raise ContractError(f"{SETTING} is not an address that Postgres takes") from None
        raise ContractError(f"Postgres at {where} refuses: {_said(error)}") from None
    except adbc_driver_manager.Error as error:
        if (error.sqlstate or "").startswith("42"):  # syntax, names, rights (PostgreSQL manual, appendix A)
            first = str(error).strip().splitlines()[0]
            raise ContractError(f"Postgres at {where} refuses: {first}") from None
        raise _broken_off(str(error), where, error.sqlstate) from None


@contextmanager
def _limits_explained(where: str) -> Generator[None, None, None]:
    """Tell a limit of Postgres from an outage: psycopg2 calls both operational (PostgreSQL manual, appendix A)."""
    try:
        yield
    except psycopg2.OperationalError as error:
        if (error.pgcode or "").startswith("54"):
            raise ContractError(f"Postgres at {where} refuses: {_said(error)}") from None
        raise


def _unbroken(batches: pa.RecordBatchReader, url: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches; what breaks here is the source's, not that of whoever writes them."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise _broken_off(str(error), url.rpartition("@")[2].partition("?")[0]) from None
        yield batch


def _broken_off(text: str, where: str, sqlstate: str | None = None) -> DataError | OutageError:
    """Tell a value that cannot be read from a server that went away; what a server says of a value is not repeated."""
    code = sqlstate or ""
    if code[:2] in OUTAGES or (not code and ("ERROR:" not in text or "canceling" in text)):
        first = text.strip().splitlines()[0]
        return OutageError(f"Postgres at {where} broke off: {first}; run again once it answers")
    return DataError(
        f"Postgres at {where} cannot read a record of the table{f' (SQLSTATE {code})' if code else ''}: "
        "a value does not fit what the table or view makes of it"
    )


def _said(error: psycopg2.Error) -> str:
    """Return what Postgres says of a table or a column; of a record it says the value, which nobody shall read."""
    if (error.pgcode or "").startswith("22"):
        return f"a value of column {error.diag.column_name or '(unknown)'} does not fit"
    return (error.diag.message_primary or str(error)).strip().splitlines()[0]
