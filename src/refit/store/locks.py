"""Work that only one process may do at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import text

from refit.store.database import Database

_TRY: Final = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_WAIT: Final = text("SELECT pg_advisory_lock(hashtextextended(:name, 0))")


class Locks(Database):
    """Locks of the whole ledger, whichever process or machine asks; a killed holder's lock frees itself."""

    @contextmanager
    def release_lock(self, usecase: str) -> Iterator[None]:
        """Have every other release and rollback of `usecase` wait meanwhile: what is live must not change under it."""
        with self._session() as connection:
            with self._outages_explained():
                connection.execute(_WAIT, {"name": f"refit release {usecase}"})
            yield

    @contextmanager
    def retrain_lock(self, usecase: str, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep every other retrain of `usecase` out meanwhile.

        Args:
            waits: Told once where another one runs and this has to wait for it.
        """
        name = {"name": f"refit retrain {usecase}"}
        with self._session() as connection:
            with self._outages_explained():
                if not connection.execute(_TRY, name).scalar_one():
                    waits()
                    connection.execute(_WAIT, name)
            yield
