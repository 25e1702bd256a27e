"""Serve what the ledger says is live, and write back what could not be."""

from collections.abc import Callable
from datetime import UTC, datetime

from refit.loop.mover import moving, spool_folder
from refit.loop.wiring import Desk
from refit.release.bento import bento_path
from refit.release.supervisor import Release, Supervisor
from refit.settings import Settings
from refit.store.rows import ReleaseRow
from refit.usecase.model import UseCase


def serve(world: Desk, usecase: UseCase, *, host: str, port: int, echo: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; the newest release of the ledger is swapped in while requests go on.

    Meanwhile, and once more after the last answer, the decision log is moved from this machine's spool to Postgres.

    Raises:
        OutageError: The port is taken.
    """

    def desired() -> Release | None:
        row = world.ledger.live(usecase.name)
        if row is None or row.id is None:
            return None
        return Release(row.id, row.version, row.bento_tag, bento_path(row.bento_tag, world.settings.bentoml))

    def on_refused(release: Release, reason: str) -> None:
        world.ledger.record_release(
            ReleaseRow(
                usecase=usecase.name,
                version=release.version,
                bento_tag=release.bento_tag,
                kind="refused",
                reason=reason,
                as_of=datetime.now(UTC),
                refuses=release.id,
            )
        )
        echo(f"{usecase.name}: {release.version} was refused: {reason}")

    def on_live(release: Release) -> None:
        echo(f"{usecase.name}: {release.version} is live on http://{host}:{port}")

    supervisor = Supervisor(
        desired=desired,
        on_live=on_live,
        on_refused=on_refused,
        host=host,
        port=port,
        start_seconds=world.settings.start_seconds,
        environment=_environment(world.settings, usecase),
    )
    supervisor.bind()
    with moving(world.ledger, spool_folder(world.settings, usecase.name)):
        supervisor.run()


def _environment(settings: Settings, usecase: UseCase) -> dict[str, str]:
    """Return what each generation is told; of the keys the supervisor passes on the hashes alone."""
    keys = settings.api_keys
    return {
        "REFIT_API_KEYS": "" if keys is None else keys.get_secret_value(),
        "REFIT_REQUEST_SECONDS": str(settings.request_seconds),
        "REFIT_MAX_CONCURRENT": str(settings.max_concurrent),
        "REFIT_SPOOL": str(spool_folder(settings, usecase.name)),
        "REFIT_SPOOL_MB": str(settings.spool_mb),
    }
