"""The one place where the parts are put together."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from refit.settings import Settings
from refit.store.ledger import Ledger
from refit.usecase import catalogue
from refit.usecase.model import UseCase

if TYPE_CHECKING:
    from refit.store.lake import Lake
    from refit.store.reports import Reports
    from refit.store.source import Source


@dataclass(frozen=True, slots=True)
class Desk:
    """The ledger and the settings: all that serving needs, so that its image holds no Arrow and no pandas."""

    settings: Settings
    ledger: Ledger

    def usecase(self, name: str) -> UseCase:
        """Return the use case of that name, a file of the settings' folder before a built-in one."""
        return catalogue.find(name, self.settings.usecases)


@dataclass(frozen=True, slots=True)
class World(Desk):
    """Every store a step reads or writes."""

    source: "Source"
    lake: "Lake"
    reports: "Reports"


@contextmanager
def open_desk(settings: Settings) -> Generator[Desk, None, None]:
    """Open the ledger alone.

    Raises:
        OutageError: Postgres does not answer, or cannot be started.
    """
    with _database(settings) as url, _ledger(url) as ledger:
        yield Desk(settings, ledger)


@contextmanager
def open_world(settings: Settings) -> Generator[World, None, None]:
    """Open the stores the settings name; without a database of yours, the embedded one runs meanwhile.

    Raises:
        OutageError: Postgres does not answer, or cannot be started.
    """
    from refit.store.lake import Lake  # noqa: PLC0415 - these bring Arrow along, which the service has no use for
    from refit.store.reports import Reports  # noqa: PLC0415
    from refit.store.source import Source  # noqa: PLC0415

    with _database(settings) as url, _ledger(url) as ledger:
        source_url = settings.source_url.get_secret_value() if settings.source_url is not None else url
        yield World(settings, ledger, Source(source_url), Lake(settings.lake), Reports(settings.reports))


@contextmanager
def _database(settings: Settings) -> Generator[str, None, None]:
    """Give the address of the database: the one the settings name, or the embedded one's."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    from refit.store import embedded  # noqa: PLC0415 - only where no database is named

    with embedded.running(settings.folder / "postgres") as url:
        yield url


@contextmanager
def _ledger(url: str) -> Generator[Ledger, None, None]:
    with Ledger(url) as ledger:
        ledger.migrate()
        yield ledger


def code_version() -> str:
    """Return what a model's card says it was made with."""
    return f"refit {version('refit')}"


def now() -> datetime:
    """Return this moment; only entrances and the shell may ask."""
    return datetime.now(UTC)
