"""Serve the one release an image holds. The ledger is not asked what shall be live; it gets the decision log alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from refit.errors import ContractError, ReleaseError
from refit.loop.mover import moving, spool_folder
from refit.loop.serve import require_spool, service_environment
from refit.loop.wiring import Desk
from refit.release.bento import BUNDLE, bento_path
from refit.release.image import Image, packed, write_image
from refit.release.supervisor import Release, Supervisor
from refit.settings import Settings
from refit.store.ledger import Ledger
from refit.usecase.model import UseCase

ONLY: Final = 1


def image_of_live(desk: Desk, usecase: str, folder: Path, *, base: str) -> Image:
    """Write the folder from which an image of the live release is built.

    Raises:
        ReleaseError: Nothing is live, or its Bento is gone.
        ContractError: The folder is there already, or `base` is no name of an image.
    """
    live = desk.ledger.live(usecase)
    if live is None:
        raise ReleaseError(f"{usecase} has no live release to make an image of; run `refit nightly {usecase}` first")
    return write_image(bento_path(live.bento_tag, desk.settings.bentoml), folder, base=base)


def release_of(bento: Path) -> Release:
    """Return what an image serves.

    Raises:
        ReleaseError: The folder holds no Bento of ours.
    """
    found = packed(bento)
    return Release(ONLY, found.version, f"refit_{found.usecase}:{found.version}", bento)


def serve_image(
    settings: Settings, bento: Path, usecase: str, *, host: str, port: int, echo: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT. Starts while Postgres is away: what is answered waits in the spool.

    Raises:
        ContractError: No database is named, the Bento is of another use case, or a file stands where the decision log's
            folder is needed.
        ReleaseError: The Bento does not answer as it should: there is nothing to serve.
        OutageError: The port is taken, or the decision log's folder cannot be written.
    """
    found = packed(bento)
    if found.usecase != usecase:
        raise ContractError(f"{bento} serves {found.usecase}, not {usecase}")
    if settings.database_url is None:
        raise ContractError("REFIT_DATABASE_URL names the Postgres that the decision log goes to; an image has none")
    release, spool = release_of(bento), spool_folder(settings, usecase)
    require_spool(spool)
    refusals: SimpleQueue[str] = SimpleQueue()

    def on_refused(_release: Release, reason: str) -> None:
        refusals.put(reason)
        supervisor.stop()

    supervisor = Supervisor(
        desired=lambda: release,
        on_live=lambda release: echo(f"{usecase}: {release.version} is live on http://{host}:{port}"),
        on_refused=on_refused,
        host=host,
        port=port,
        start_seconds=settings.start_seconds,
        environment=service_environment(settings, _usecase(bento)),
        fit=partial(require_spool, spool),
    )
    supervisor.bind()
    with Ledger(settings.database_url.get_secret_value()) as ledger, moving(ledger, spool):
        supervisor.run()
    if not refusals.empty():
        raise ReleaseError(f"{release.bento_tag} cannot be served: {refusals.get()}")


def check_bento(settings: Settings, bento: Path) -> str:
    """Start the Bento, ask its golden records, and end it; return the version that answered as it should.

    Raises:
        ReleaseError: It answered otherwise, or not at all.
    """
    release = release_of(bento)
    told: SimpleQueue[str | None] = SimpleQueue()

    def end(why: str | None) -> None:
        told.put(why)
        supervisor.stop()

    supervisor = Supervisor(
        desired=lambda: release,
        on_live=lambda _: end(None),
        on_refused=lambda _, reason: end(reason),
        host="127.0.0.1",
        port=0,
        start_seconds=settings.start_seconds,
        environment={"REFIT_API_KEYS": ""},
    )
    supervisor.run()
    if told.empty():
        raise ReleaseError(f"{release.bento_tag}: broken off")
    if (reason := told.get()) is not None:
        raise ReleaseError(f"{release.bento_tag}: {reason}")
    return release.version


def _usecase(bento: Path) -> UseCase:
    """Return the use case as the Bento carries it: the image needs no file of it."""
    return UseCase.model_validate_json((bento / BUNDLE / "usecase.json").read_bytes())
