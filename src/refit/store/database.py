"""One connection to one Postgres: how it is made, how rows go in and out, and what its failures mean."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar
from uuid import UUID

import psycopg2
import psycopg2.errors
from sqlalchemy import Column, Connection, Dialect, Engine, Select, Table, create_engine, event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from refit.errors import ContractError, OutageError
from refit.store.rows import NOT_YET

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = TypeVar("Row", bound=DataclassInstance)

Made = TypeVar("Made")
CONNECT_TIMEOUT_S: Final = 5
TIMED_OUT: Final = "timeout expired"
"""What libpq says then (PostgreSQL source, fe-connect.c)."""


def parsed_url(url: str, *, setting: str = "REFIT_DATABASE_URL") -> URL:
    """Return the parts of a database's address.

    Raises:
        ContractError: It is none; says what one looks like, never what was given.
    """
    wanted = f"{setting} is not the address of a Postgres; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except (ArgumentError, ValueError):
        raise ContractError(wanted) from None
    if parsed.get_backend_name() != "postgresql":
        raise ContractError(wanted)
    return parsed.set(drivername="postgresql+psycopg2")


def connected(connect: Callable[[], Made]) -> Made:
    """Connect, and once more where that took too long: if all of this machine stood still, it looks the same."""
    try:
        return connect()
    except Exception as error:
        if TIMED_OUT not in str(error):
            raise
    return connect()


@contextmanager
def outages_explained(url: URL, *, setting: str = "REFIT_DATABASE_URL") -> Iterator[None]:
    """Turn a failure of the server at `url` into an error that says what to do.

    Raises:
        OutageError: It does not answer, broke off, is full or takes no writes. Names host and port, no password.
        ContractError: Its user may not do what is needed.
    """
    where = f"Postgres at {url.host or 'localhost'}:{url.port or 5432}"
    try:
        yield
    except (DBAPIError, psycopg2.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        message = _first_line(cause, url)
        if isinstance(cause, psycopg2.errors.InsufficientPrivilege):
            raise ContractError(f"{where}: user {url.username!r} lacks a right: {message}; grant it") from None
        if isinstance(cause, psycopg2.errors.DiskFull):
            raise OutageError(f"{where}: its disk is full: {message}; make room and run again") from None
        if isinstance(cause, psycopg2.errors.ReadOnlySqlTransaction):
            raise OutageError(f"{where} takes no writes now: {message}; name the primary, or wait") from None
        if isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError) or _broke_off(error):
            raise OutageError(f"{where} does not answer: {message}; start it, or set {setting}") from None
        raise


def _connect(dialect: Dialect, _record: object, given: Sequence[Any], named: Mapping[str, Any]) -> Any:
    return connected(lambda: dialect.connect(*given, **named))


class Database:
    """A Postgres, by its address. Nothing connects before the first use."""

    setting: ClassVar[str] = "REFIT_DATABASE_URL"

    def __init__(self, url: str) -> None:
        self._engine: Engine = create_engine(
            parsed_url(url, setting=self.setting),
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": "refit",
                "client_encoding": "utf8",
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                "tcp_user_timeout": 60_000,
            },
            pool_pre_ping=True,
            hide_parameters=True,  # a record's values stay out of errors and logs
            json_serializer=to_json_text,
        )
        event.listen(self._engine, "do_connect", _connect)

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _outages_explained(self) -> AbstractContextManager[None]:
        return outages_explained(self._engine.url, setting=self.setting)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Give a connection whose work is kept as a whole or not at all."""
        with self._outages_explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _session(self) -> Iterator[Connection]:
        """Give a connection of its own, for a lock that lasts longer than a transaction; closed, not reused, after."""
        with self._outages_explained():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()
        with connection:
            yield connection

    def _rows(self, kind: type["Row"], query: Select[Any]) -> list["Row"]:
        with self._transaction() as connection:
            return [to_row(kind, found) for found in connection.execute(query).mappings()]

    def _row(self, kind: type["Row"], query: Select[Any]) -> "Row | None":
        return next(iter(self._rows(kind, query.limit(1))), None)

    def _add(self, table: Table, row: "DataclassInstance") -> bool:
        """Insert `row` unless it is there; say whether it was new."""
        with self._transaction() as connection:
            return add(connection, table, row)


def columns(table: Table, kind: type["DataclassInstance"]) -> list[Column[Any]]:
    """Return the columns of `table` that a row of `kind` holds, in its order."""
    return [table.c[one.name] for one in fields(kind)]


def to_row(kind: type["Row"], found: Mapping[Any, Any]) -> "Row":
    """Make a row of `kind` from what the database holds; a JSON list becomes a tuple."""
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})


def to_values(row: "DataclassInstance") -> dict[str, Any]:
    """Return what is to be inserted; what the database itself gives is left out."""
    values = {one.name: getattr(row, one.name) for one in fields(row) if one.name != "number"}
    return {name: value for name, value in values.items() if value is not NOT_YET and (name, value) != ("id", None)}


def add(connection: Connection, table: Table, row: "DataclassInstance") -> bool:
    """Insert `row` unless it is there; say whether it was new."""
    statement = insert(table).values(to_values(row)).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return connection.execute(statement).first() is not None


def to_json_text(value: object) -> str:
    """Return JSON that Postgres takes: it has no NaN, no infinity, no NUL character and no half of a character.

    >>> to_json_text({"psi": float("nan"), "columns": ("a", "b")})
    '{"psi":null,"columns":["a","b"]}'
    """
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError):
        return _ENCODER.encode(_plain(value))
    return _ENCODER.encode(_plain(value)) if "\\u0000" in text or "\\ud" in text else text


_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False)


def _plain(value: object) -> object:  # noqa: PLR0911 - one line a type
    match value:
        case None | bool() | int():
            return value
        case float():
            return float(value) if math.isfinite(value) else None
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case Mapping():
            return {_plain(str(key)): _plain(item) for key, item in value.items()}
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _ if hasattr(value, "tolist"):  # numpy's numbers and arrays
            return _plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _broke_off(error: DBAPIError | psycopg2.Error) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _first_line(error: BaseException | None, url: URL) -> str:
    lines = str(error).strip().splitlines() or ["no answer"]
    text = lines[0].strip().rstrip(";.")
    return text.replace(str(url.password), "***") if url.password else text
