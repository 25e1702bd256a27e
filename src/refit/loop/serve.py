"""Serve what the ledger says is live, and write back what could not be."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from refit.errors import OutageError, ReleaseError
from refit.loop.late_ledger import ServiceDesk, open_late_desk
from refit.loop.mover import moving, spool_folder
from refit.release.bento import bento_path
from refit.release.kept import Keeper
from refit.release.supervisor import Release, Supervisor
from refit.settings import Settings
from refit.store.atomic import make_folder
from refit.store.rows import ReleaseRow
from refit.usecase import catalogue
from refit.usecase.model import UseCase

NOTHING: Final = "Every request gets 503 until the ledger answers"
NEVER_LIVE: Final = f"No release was live on this machine before. {NOTHING}"

Echo = Callable[[str], None]


def start(settings: Settings, usecase: str, *, host: str, port: int, echo: Echo) -> None:
    """Open the ledger and serve. While Postgres is away, what was live here last is served, and else it is waited for.

    An embedded Postgres is not waited for where nothing is kept: nobody but us would start it.

    Raises:
        ContractError: There is no such use case, or the ledger belongs to a newer version.
        OutageError: The port is taken, the decision log's folder cannot be written, or the embedded Postgres does not
            start.
    """
    found = catalogue.find(usecase, settings.usecases)
    kept = kept_file(settings, usecase)
    with open_late_desk(settings, wait=lambda: settings.database_url is not None or kept.exists()) as desk:
        serve(desk, found, host=host, port=port, echo=echo)


def serve(world: ServiceDesk, usecase: UseCase, *, host: str, port: int, echo: Echo) -> None:
    """Serve until SIGTERM or SIGINT; the newest release of the ledger is swapped in while requests go on.

    Meanwhile, and once more after the last answer, the decision log is moved from this machine's spool to Postgres.
    Until the ledger answers for the first time, what was live here last is served.

    Raises:
        OutageError: The port is taken, or the decision log's folder cannot be written.
        ContractError: A file stands where that folder is needed.
    """
    spool = spool_folder(world.settings, usecase.name)
    require_spool(spool)
    talk = _Talk(world, usecase.name, f"http://{host}:{port}", echo)
    supervisor = Supervisor(
        desired=talk.desired,
        on_live=talk.on_live,
        on_refused=talk.on_refused,
        host=host,
        port=port,
        start_seconds=world.settings.start_seconds,
        environment=service_environment(world.settings, usecase),
        kept=talk.kept,
        fit=partial(require_spool, spool),
    )
    supervisor.bind()
    with moving(world.ledger, spool):
        supervisor.run()


def require_spool(folder: Path) -> None:
    """Make the decision log's folder, unless it is there, and see that it can be written.

    A generation without it does not start, and would look as if its release were at fault.

    Raises:
        OutageError: The disk refuses; says what to do.
        ContractError: A file stands in its place.
    """
    try:
        make_folder(folder, mode=0o700)
    except OSError as error:
        raise OutageError(f"{folder}: {error.strerror}; name another place in REFIT_HOME") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutageError(f"{folder}: the decision log cannot be written; make it writable, or set another REFIT_HOME")


def kept_file(settings: Settings, usecase: str) -> Path:
    """Return where it is written down which release of a use case was live on this machine last."""
    return settings.folder / "serving" / f"{usecase}.json"


class _Talk:
    """What the supervisor asks and tells: passed on to the ledger, to the disk, and to whoever reads the terminal.

    All of it is called on one thread.
    """

    def __init__(self, world: ServiceDesk, usecase: str, address: str, echo: Echo) -> None:
        self._ledger = world.ledger
        self._usecase = usecase
        self._address = address
        self._bentoml = world.settings.bentoml
        self._keeper = Keeper(kept_file(world.settings, usecase), self._bentoml)
        self._echo = echo
        self._last_said = ""

    def desired(self) -> Release | None:
        """Return what the ledger wants live."""
        self._keeper.again()
        row = self._ledger.live(self._usecase)
        if self._last_said:
            self._say("the ledger answers again")
            self._last_said = ""
        if row is None or row.id is None:
            return None
        path = bento_path(row.bento_tag, self._bentoml)
        return self._keeper.recalled(Release(row.id, row.version, row.bento_tag, path))

    def kept(self, error: OutageError) -> Release | None:
        """Return what was live here last, and say what is done without the ledger."""
        try:
            release = self._keeper.last()
        except ReleaseError as refused:
            found, then = None, f"What was live here last cannot be served: {refused}. {NOTHING}"
        else:
            found, then = release, NEVER_LIVE
        if found is not None:
            then = f"Until the ledger answers, {found.version} is served, which was live here last"
        self._say(f"{error}. {then}")
        return found

    def on_live(self, release: Release) -> None:
        """Keep it, and say so."""
        self._keeper.keep(release)
        self._echo(f"{self._usecase}: {release.version} is live on {self._address}")

    def on_refused(self, release: Release, reason: str) -> None:
        """Write the refusal into the ledger, and say so."""
        self._ledger.record_release(
            ReleaseRow(
                usecase=self._usecase,
                version=release.version,
                bento_tag=release.bento_tag,
                kind="refused",
                reason=reason,
                as_of=datetime.now(UTC),
                refuses=release.id,
            )
        )
        self._echo(f"{self._usecase}: {release.version} was refused: {reason}")

    def _say(self, what: str) -> None:
        """Say it, unless it was said last."""
        if what != self._last_said:
            self._echo(f"{self._usecase}: {what}")
        self._last_said = what


def service_environment(settings: Settings, usecase: UseCase) -> dict[str, str]:
    """Return what each generation is told; of the keys the supervisor passes on the hashes alone."""
    keys = settings.api_keys
    return {
        "REFIT_API_KEYS": "" if keys is None else keys.get_secret_value(),
        "REFIT_REQUEST_SECONDS": str(settings.request_seconds),
        "REFIT_MAX_CONCURRENT": str(settings.max_concurrent),
        "REFIT_SPOOL": str(spool_folder(settings, usecase.name)),
        "REFIT_SPOOL_MB": str(settings.spool_mb),
    }
