"""The ledger of a service, which has to come up while Postgres is away and go on once it is back."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from refit.errors import OutageError
from refit.loop.wiring import open_desk
from refit.settings import Settings
from refit.store.ledger import Ledger
from refit.store.rows import OverrideRow, PredictionRow, ReleaseRow

FRESH_SECONDS: Final = 0.5
"""So long a failure stands for the next who asks: a server that is not there can take seconds to say so."""

LAST_SECONDS: Final = 2.0


class ServiceLedger(Protocol):
    """What a service asks of the ledger, and tells it."""

    def live(self, usecase: str) -> ReleaseRow | None:
        """Return what shall be live."""
        ...

    def record_release(self, release: ReleaseRow, override: OverrideRow | None = None) -> ReleaseRow:
        """Keep a refusal."""
        ...

    def keep_predictions(self, rows: Sequence[PredictionRow]) -> int:
        """Keep predictions, each once."""
        ...


class ServiceDesk(Protocol):
    """The settings, and a ledger that may be away."""

    @property
    def settings(self) -> Settings:
        """The environment's."""
        ...

    @property
    def ledger(self) -> ServiceLedger:
        """Raises OutageError where Postgres does not answer."""
        ...


class LateLedger:
    """Opens the ledger and brings its tables up to date at the first use that Postgres answers. Safe from any thread.

    Raises:
        OutageError: Postgres does not answer, or the embedded one cannot be started.
        ContractError: The tables belong to a newer version, or the settings name no database.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened = ExitStack()
        self._ledger: Ledger | None = None
        self._failure = ""
        self._stands_until = 0.0

    def open(self) -> Ledger:
        """Return the ledger, opened now where nobody did before."""
        with self._lock:
            if self._ledger is None:
                if time.monotonic() < self._stands_until:
                    raise OutageError(self._failure)
                try:
                    self._ledger = self._opened.enter_context(open_desk(self._settings)).ledger
                except OutageError as error:
                    self._failure, self._stands_until = str(error), time.monotonic() + FRESH_SECONDS
                    raise
            return self._ledger

    def live(self, usecase: str) -> ReleaseRow | None:
        """Return what shall be live."""
        return self.open().live(usecase)

    def record_release(self, release: ReleaseRow, override: OverrideRow | None = None) -> ReleaseRow:
        """Keep a refusal."""
        return self.open().record_release(release, override)

    def keep_predictions(self, rows: Sequence[PredictionRow]) -> int:
        """Keep predictions, each once."""
        return self.open().keep_predictions(rows)

    def close(self) -> None:
        """Let go of it, unless somebody is opening it still: with the process that ends by itself."""
        if self._lock.acquire(timeout=LAST_SECONDS):
            self._opened.close()
            self._lock.release()


@dataclass(frozen=True, slots=True)
class LateDesk:
    """The settings, and a ledger that is opened when Postgres answers."""

    settings: Settings
    ledger: LateLedger


@contextmanager
def open_late_desk(settings: Settings, *, wait: Callable[[], bool]) -> Generator[LateDesk, None, None]:
    """Give a desk that is there at once, its ledger as soon as Postgres answers.

    Args:
        wait: Asked where Postgres does not answer: whether to go on all the same.

    Raises:
        OutageError: Postgres does not answer, and nobody wants to wait for it.
        ContractError: The ledger belongs to a newer version, or the settings name no database.
    """
    ledger = LateLedger(settings)
    try:
        try:
            ledger.open()
        except OutageError:
            if not wait():
                raise
        yield LateDesk(settings, ledger)
    finally:
        ledger.close()
