"""`python -m refit.console`: serve the console."""

import sys

import uvicorn

from refit.console.app import create_app
from refit.errors import RefitError
from refit.loop.wiring import open_world
from refit.settings import Settings
from refit.usecase import catalogue

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    usecases = [catalogue.find(name, settings.usecases) for name in catalogue.names(settings.usecases)]
    hosts = LOOPBACK if settings.host in LOOPBACK else ("*",)
    with open_world(settings) as world:
        app = create_app(world.ledger, world.reports, usecases, allowed_hosts=hosts)
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.console_port,
            log_level=settings.log_level.lower(),
            server_header=False,
            timeout_graceful_shutdown=3,
        )


def main() -> None:
    """Run; a failure of ours is a clean message and an honest exit code."""
    try:
        serve(Settings.read())
    except RefitError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
