"""The one place where the parts are put together."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from refit.settings import Settings
from refit.store import embedded
from refit.store.lake import Lake
from refit.store.ledger import Ledger
from refit.store.reports import Reports
from refit.store.source import Source
from refit.usecase import catalogue
from refit.usecase.model import UseCase


@dataclass(frozen=True, slots=True)
class World:
    """Every store a step reads or writes."""

    settings: Settings
    ledger: Ledger
    source: Source
    lake: Lake
    reports: Reports

    def usecase(self, name: str) -> UseCase:
        """Return the use case of that name, a file of the settings' folder before a built-in one."""
        return catalogue.find(name, self.settings.usecases)


@contextmanager
def open_world(settings: Settings) -> Generator[World, None, None]:
    """Open the stores the settings name; without a database of yours, the embedded one runs meanwhile.

    Raises:
        OutageError: Postgres does not answer, or cannot be started.
    """
    if settings.database_url is not None:
        with _opened(settings, settings.database_url.get_secret_value()) as world:
            yield world
        return
    with embedded.running(settings.folder / "postgres") as url, _opened(settings, url) as world:
        yield world


@contextmanager
def _opened(settings: Settings, url: str) -> Generator[World, None, None]:
    source_url = settings.source_url.get_secret_value() if settings.source_url is not None else url
    with Ledger(url) as ledger:
        ledger.migrate()
        yield World(settings, ledger, Source(source_url), Lake(settings.lake), Reports(settings.reports))


def code_version() -> str:
    """Return what a model's card says it was made with."""
    return f"refit {version('refit')}"


def now() -> datetime:
    """Return this moment; only entrances and the shell may ask."""
    return datetime.now(UTC)
