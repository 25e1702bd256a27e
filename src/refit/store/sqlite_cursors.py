"""Cursors for a server that keeps SQLite beside an event loop, as Prefect's does.

A `sqlite3.Cursor` whose statement failed keeps it until the cursor is collected as garbage, on whatever thread that is.
Letting go of it takes the lock of its connection, which that connection holds for as long as it waits for another's
write, and that can be `busy_timeout`: a minute with Prefect. If the thread is the event loop's, and the other's commit
waits for the event loop, all stands still for that minute. So these cursors let go of a statement as soon as it fails.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, Self

from sqlalchemy import Dialect, Engine, event


def let_go_of_failed_statements(engine: Engine | type[Engine] = Engine) -> None:
    """Give the connections that an engine makes from now on such cursors, on aiosqlite; by default every engine."""
    event.listen(engine, "do_connect", _with_our_cursors)


def _with_our_cursors(dialect: Dialect, _record: object, _given: object, named: dict[str, Any]) -> None:
    if dialect.driver == "aiosqlite":
        named["factory"] = _Connection


class _Cursor(sqlite3.Cursor):
    def execute(self, *given: Any) -> Self:
        return self._closed_if_it_fails(super().execute, given)

    def executemany(self, *given: Any) -> Self:
        return self._closed_if_it_fails(super().executemany, given)

    def _closed_if_it_fails(self, run: Callable[..., Self], given: tuple[Any, ...]) -> Self:
        try:
            return run(*given)
        except BaseException:
            self.close()
            raise


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)
