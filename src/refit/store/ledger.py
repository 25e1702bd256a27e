"""The ledger: append-only tables in Postgres that hold whatever `refit` took in, concluded, made and put live."""

from typing import Final

from sqlalchemy import Connection, text

from refit.errors import ContractError
from refit.store.batches import Batches
from refit.store.decisions import Decisions
from refit.store.locks import Locks
from refit.store.models import Models
from refit.store.predictions import Predictions
from refit.store.refusals import Refusals
from refit.store.releases import Releases
from refit.store.runs import Runs

MIGRATIONS: Final = "db:migrations"
HEAD: Final = "0002"
"""The newest revision under `db/migrations`; a test holds the two together."""


class Ledger(Batches, Decisions, Locks, Models, Predictions, Refusals, Releases, Runs):
    """All that `refit` remembers. Rows are added and never changed; the database itself refuses it."""

    def revision(self) -> str | None:
        """Return the revision the tables are at."""
        with self._transaction() as connection:
            return _revision(connection)

    def migrate(self) -> None:
        """Bring the tables up to this version of `refit`; safe to call at once from several processes.

        Raises:
            ContractError: They belong to a newer version.
        """
        with self._transaction() as connection:
            if _revision(connection) == HEAD:
                return
        # imported here: it takes a third of a second, and most who open the ledger find it migrated
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", MIGRATIONS)
        known = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]
        with self._transaction() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('refit migrate', 0))"))
            if connection.execute(text("SELECT to_regnamespace('refit') IS NULL")).scalar_one():
                connection.execute(text("CREATE SCHEMA refit"))
            present = _revision(connection)
            if present == known[0]:
                return
            if present is not None and present not in known:
                raise ContractError(
                    f"the ledger in {self._engine.url.database} was made by a newer refit (revision {present}); "
                    "install that one, or name another database in REFIT_DATABASE_URL"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('refit.alembic_version') IS NULL")).scalar_one():
        return None
    found = connection.execute(text("SELECT version_num FROM refit.alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)
