"""`python -m refit.console`: serve the console."""

import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import Final, TextIO, cast

import structlog
import uvicorn

from refit.console.app import create_app
from refit.console.hosts import ANY
from refit.errors import ContractError, RefitError
from refit.loop.score import Scorer
from refit.loop.wiring import open_world
from refit.saying import Unfailing
from refit.settings import Settings
from refit.usecase import catalogue

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
LEAST_TOKEN: Final = 16


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        ContractError: It shall be reached from elsewhere, and no token keeps strangers out.
    """
    token = None if settings.console_token is None else settings.console_token.get_secret_value()
    if token is None and settings.host not in LOOPBACK:
        raise ContractError(
            f"the console refuses to listen on {settings.host} without a token: set REFIT_CONSOLE_TOKEN, or leave "
            "REFIT_HOST at 127.0.0.1"
        )
    if token is not None and len(token) < LEAST_TOKEN:
        raise ContractError(f"REFIT_CONSOLE_TOKEN is too short: {LEAST_TOKEN} characters at least")
    usecases = [catalogue.find(name, settings.usecases) for name in catalogue.names(settings.usecases)]
    hosts = LOOPBACK if settings.host in LOOPBACK else (ANY,)
    # uvicorn raises the signal again once it has stopped, and by default that would leave the stores open behind it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with open_world(settings) as world:
        scorer = Scorer(world)
        app = create_app(world.ledger, world.reports, usecases, scorer, token=token, allowed_hosts=hosts)
        Thread(target=warm, args=(scorer, [usecase.name for usecase in usecases]), daemon=True).start()
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.console_port,
            http="h11",  # httptools sets no bound to a request's head
            ws="none",
            log_level=settings.log_level.lower(),
            server_header=False,
            access_log=False,  # it would hold the keys of reports
            timeout_graceful_shutdown=3,
        )


def warm(scorer: Scorer, usecases: Sequence[str]) -> None:
    """Read every live model before somebody asks for it: the first one brings libraries that take seconds to import."""
    for name in usecases:
        with suppress(RefitError):  # its own page will say what is wrong
            scorer.bundle(name)


def main() -> None:
    """Run; a failure of ours is a clean message and an honest exit code."""
    try:
        settings = Settings.read()
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level)),
            logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Unfailing(sys.stderr))),
        )
        serve(settings)
    except RefitError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
