"""What every command shares: the application, its arguments, and the way to the stores."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, TextIO, cast

import structlog
import typer

from refit.errors import ContractError
from refit.loop.days import end_of, lived
from refit.saying import Unfailing
from refit.settings import Settings

if TYPE_CHECKING:
    from refit.loop.wiring import Desk, World

app = typer.Typer(
    name="refit",
    help="Keep a loan model fit: ingest, check for drift, decide, retrain, judge, release; each step by hand.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="USECASE", help="The use case's name; `refit usecases` lists them.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="DAY", help="The day (2003-06-30, its end) or moment from which data is seen. Default: now."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, all else on standard error.")
]


@contextmanager
def open_stores() -> Generator["World", None, None]:
    """Open the stores that the settings name."""
    from refit.loop.wiring import open_world  # noqa: PLC0415 - heavy, and not needed for --help

    with open_world(settings_read()) as world:
        yield world


@contextmanager
def open_ledger() -> Generator["Desk", None, None]:
    """Open the ledger alone, which is all that serving needs."""
    from refit.loop.wiring import open_desk  # noqa: PLC0415 - heavy, and not needed for --help

    with open_desk(settings_read()) as desk:
        yield desk


def settings_read() -> Settings:
    """Read the settings, and send the log where they say; a line that cannot be written ends no thread."""
    settings = Settings.read()
    logging.basicConfig(stream=sys.stderr, level=settings.log_level)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level)),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Unfailing(sys.stderr))),
    )
    return settings


def moment(text: str | None, usecase: str) -> datetime:
    """Read the `--as-of` of a use case: a day means its end; a moment without zone is UTC.

    Raises:
        ContractError: It is no day, or one that is still to come.
    """
    now = datetime.now(UTC)
    return now if text is None else lived(_read(text), now, usecase)


def _read(text: str) -> datetime:
    try:
        return end_of(date.fromisoformat(text))
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ContractError(f"--as-of {text!r} is no day; write it like 2003-06-30 or 2003-06-30T18:00") from None
