"""The decision log: every answered prediction, as moved here from the machines that serve."""

import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
import psycopg2
import psycopg2.errors
import psycopg2.extensions
from sqlalchemy import ColumnElement, Connection, delete, func, select, text

from refit.errors import DataError
from refit.store.database import Database, columns, to_json_text
from refit.store.rows import PredictionRow
from refit.store.tables import PREDICTION, utc

SWEPT_AT_ONCE: Final = 20_000
COUNTED: Final = 50_000

_NO_ROOM: Final = (
    psycopg2.DataError,
    psycopg2.IntegrityError,
    psycopg2.errors.ProgramLimitExceeded,
    psycopg2.errors.StatementTooComplex,
)
_ROWS: Final = select(*columns(PREDICTION, PredictionRow))
_COPIED: Final = tuple(column.name for column in PREDICTION.columns if column.name != "created_at")
_NAMES: Final = ", ".join(_COPIED)
_ESCAPED: Final = re.compile(r"[\\\t\n\r\0]").search
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\ufffd"})
# Once a connection: a table made and dropped every second would bloat the catalogue.
_WAITING_ROOM: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS moved (LIKE refit.prediction INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
)
_LET_IN: Final = (
    f"INSERT INTO refit.prediction ({_NAMES}) SELECT {_NAMES} FROM pg_temp.moved ON CONFLICT (id) DO NOTHING"  # noqa: S608 - every part stands in this file
)


class Predictions(Database):
    """The ledger's pages on predictions."""

    def keep_predictions(self, rows: Sequence[PredictionRow]) -> int:
        """Keep predictions in one transaction, each once by its id; return how many are new.

        Raises:
            DataError: Postgres has no room for a value of theirs, and none is kept. Names no value.
        """
        with self._transaction() as connection:
            try:
                return _copy(connection, rows)
            except _NO_ROOM as error:
                raise DataError(f"Postgres has no room for a prediction: {type(error).__name__}") from None

    def prediction(self, prediction_id: UUID) -> PredictionRow | None:
        """Return one prediction."""
        return self._row(PredictionRow, _ROWS.where(PREDICTION.c.id == prediction_id))

    def predictions(
        self, usecase: str, since: datetime | None = None, until: datetime | None = None, limit: int = 100
    ) -> list[PredictionRow]:
        """Return predictions from `since` on and before `until`, newest first."""
        query = _ROWS.where(*_between(usecase, since, until)).order_by(PREDICTION.c.at.desc()).limit(limit)
        return self._rows(PredictionRow, query)

    def count_predictions(self, usecase: str, since: datetime | None = None, until: datetime | None = None) -> int:
        """Count predictions from `since` on and before `until`; a third of a second for a million."""
        return self._count(_between(usecase, since, until))

    def about_predictions(
        self, usecase: str, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[int, bool]:
        """Count for a page, which must not wait: `(n, whether that is exact)`.

        Up to `COUNTED` they are counted; more are as many as the planner, by its statistics, thinks there are.
        """
        query = select(PREDICTION.c.id).where(*_between(usecase, since, until))
        some = select(func.count()).select_from(query.limit(COUNTED + 1).subquery())
        with self._transaction() as connection:
            n = connection.execute(some).scalar_one()
            if n <= COUNTED:
                return n, True
            statement = query.compile(connection)
            plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", statement.construct_params())
            return max(n, int(plan.scalar_one()[0]["Plan"]["Plan Rows"])), False

    def sweep_predictions(self, before: datetime, usecase: str | None = None, *, dry_run: bool = False) -> int:
        """Take out the predictions before a moment, of one use case or of all; return how many.

        The table is append-only to all else: its trigger lets rows go only in a transaction that says it is retention.

        Args:
            before: Predictions of this moment itself stay.
            usecase: None for all.
            dry_run: Only count what would go.
        """
        chosen = [PREDICTION.c.at < before, *([] if usecase is None else [PREDICTION.c.usecase == usecase])]
        if dry_run:
            return self._count(chosen)
        some = select(PREDICTION.c.id).where(*chosen).limit(SWEPT_AT_ONCE)
        swept, last = 0, -1
        while last:
            with self._transaction() as connection:
                connection.execute(text("SET LOCAL refit.retention = 'on'"))
                last = connection.execute(delete(PREDICTION).where(PREDICTION.c.id.in_(some))).rowcount
            swept += max(last, 0)
        return swept

    def _count(self, chosen: Sequence[ColumnElement[bool]]) -> int:
        with self._transaction() as connection:
            return connection.execute(select(func.count()).select_from(PREDICTION).where(*chosen)).scalar_one()


def _between(usecase: str, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = [PREDICTION.c.usecase == usecase]
    if since is not None:
        chosen.append(PREDICTION.c.at >= since)
    if until is not None:
        chosen.append(PREDICTION.c.at < until)
    return chosen


def _copy(connection: Connection, rows: Iterable[PredictionRow]) -> int:
    """Insert by COPY what is not there yet."""
    lines = "".join(map(_line, rows)).encode("utf-8", "replace")
    driver: psycopg2.extensions.connection = connection.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor() as cursor:
        cursor.execute(_WAITING_ROOM)
        cursor.copy_expert(f"COPY pg_temp.moved ({_NAMES}) FROM STDIN", io.BytesIO(lines))
        cursor.execute(_LET_IN)
        return cursor.rowcount


def _line(row: PredictionRow) -> str:
    """Write a prediction in COPY's text format (PostgreSQL manual, COPY, "Text Format")."""
    return "\t".join([_cell(getattr(row, name)) for name in _COPIED]) + "\n"


def _cell(value: object) -> str:
    match value:
        case None:
            return "\\N"
        case str():
            return value.translate(_ESCAPES) if _ESCAPED(value) else value
        case float() | int() | UUID():
            return str(value)
        case datetime():
            return utc(value).isoformat()
    return _json(value).replace("\\", "\\\\")


def _json(value: object) -> str:
    """Return what `to_json_text` does, at a tenth of its cost where the value is plain."""
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError):
        return to_json_text(value)
    return to_json_text(value) if "\\u0000" in text else text
