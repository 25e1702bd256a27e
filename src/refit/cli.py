"""Every step by hand, without Prefect."""

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import structlog
import typer
from rich.table import Table

from refit.errors import ContractError, RefitError
from refit.settings import Settings
from refit.terminal import bytes_bar, err, out, print_decision, print_json, print_released, print_verdict, spinner
from refit.usecase import catalogue

if TYPE_CHECKING:
    from refit.loop.wiring import World

app = typer.Typer(
    name="refit",
    help="Keep a loan model fit: ingest, check for drift, decide, retrain, judge, release; each step by hand.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
usecases_app = typer.Typer(help="List the use cases, or check a use-case file.", rich_markup_mode=None)
app.add_typer(usecases_app, name="usecases")

INTERRUPTED = 130

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


def main() -> NoReturn:
    """Run the command line; turn every failure into a clean message and an honest exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # A training thread that waits must not spin: with a neighbour on its core, fitting takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except RefitError as error:
        _fail(type(error).__name__, str(error), error.exit_code)
    except KeyboardInterrupt:
        err.print("stopped")
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the one place of this entrance that catches all
        err.print(traceback.format_exc())
        _fail(type(error).__name__, "refit met a fault of its own; the trace above says where", 1)
    sys.exit(0)


def _fail(kind: str, message: str, code: int) -> NoReturn:
    err.print(f"error: {message}")
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": {"kind": kind, "message": message}}) + "\n")
    sys.exit(code)


@usecases_app.callback(invoke_without_command=True)
def usecases(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the use cases."""
    if context.invoked_subcommand is not None:
        return
    settings = Settings.read()
    found = [catalogue.find(name, settings.usecases) for name in catalogue.names(settings.usecases)]
    if as_json:
        print_json({u.name: {"title": u.title, "task": u.task, "table": u.source.table} for u in found})
        return
    table = Table("use case", "title", "task", "source", "learners", box=None, pad_edge=False)
    for usecase in found:
        table.add_row(usecase.name, usecase.title, usecase.task, usecase.source.table, ", ".join(usecase.learners))
    out.print(table)


@usecases_app.command("check")
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="A use-case file, in YAML.")]) -> None:
    """Check a use-case file; every fault is named with its key and the valid choices."""
    usecase = catalogue.read(file)
    out.print(f"{file}: use case {usecase.name} is sound: {len(usecase.features)} features, label {usecase.label.name}")


@app.command()
def load(
    usecase: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, CSV.gz or Parquet.")],
    *,
    delimiter: Annotated[str, typer.Option(help="What parts the cells of a CSV file.")] = ",",
    encoding: Annotated[str, typer.Option(help="The encoding of a CSV file, such as latin-1.")] = "utf-8",
    as_json: AsJson = False,
) -> None:
    """Put a file of records into the use case's source table."""
    from refit.loop.load import load as run  # noqa: PLC0415 - heavy, and not needed for --help

    if len(delimiter) != 1:
        raise ContractError(f"--delimiter takes one character, not {delimiter!r}")
    with _world() as world, bytes_bar(f"Loading {file.name}", file) as progress:
        loaded = run(world, world.usecase(usecase), file, delimiter=delimiter, encoding=encoding, progress=progress)
    if as_json:
        print_json(loaded.to_json())
        return
    out.print(
        f"{loaded.table}: {loaded.added:,} added, {loaded.changed:,} changed, {loaded.unchanged:,} unchanged, "
        f"{loaded.rejected:,} rejected"
    )
    for reason, count in loaded.reasons.items():
        out.print(f"  {count:>9,}  {reason}")


@app.command()
def demo(
    *,
    as_of: AsOf = None,
    months: Annotated[int, typer.Option(min=1, help="How many months of applications.")] = 24,
    per_month: Annotated[int, typer.Option(min=1, help="How many applications a month.")] = 1500,
    drift: Annotated[
        bool, typer.Option("--drift", help="Let the newest applications differ from the older ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put the simulated loan book, as it stands on a day, into the source of use case demo."""
    from refit.loop.load import load_demo  # noqa: PLC0415 - heavy, and not needed for --help

    with _world() as world, spinner() as progress:
        progress("Simulating the loan book", None)
        loaded = load_demo(world, _moment(as_of), months=months, per_month=per_month, drift=drift)
    if as_json:
        print_json(loaded.to_json())
        return
    out.print(f"{loaded.table}: {loaded.added:,} added, {loaded.changed:,} changed, {loaded.unchanged:,} unchanged")


@app.command()
def ingest(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Take in the records that are new since the watermark."""
    from refit.loop.ingest import ingest as run  # noqa: PLC0415 - heavy, and not needed for --help

    with _world() as world, spinner() as progress:
        taken = run(
            world, world.usecase(usecase), _moment(as_of), progress=lambda n: progress(f"Taking in: {n:,} rows", None)
        )
    if as_json:
        print_json(taken.to_json())
        return
    out.print(f"{usecase}: {taken.n_records:,} records taken in, {taken.n_rejected:,} rejected")


@app.command()
def monitor(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Check for drift and decide what to do, with reasons; the full report is stored."""
    from refit.loop.monitor import monitor as run  # noqa: PLC0415 - heavy, and not needed for --help

    with _world() as world, spinner() as progress:
        progress("Checking for drift", None)
        seen = run(world, world.usecase(usecase), _moment(as_of))
        report = world.settings.reports / usecase if seen.report_id else None
    if as_json:
        print_json(seen.to_json())
        return
    print_decision(usecase, seen.decision.to_json())
    if report is not None:
        out.print(f"report {seen.report_id} under {report}")


@app.command()
def retrain(
    usecase: Name,
    *,
    as_of: AsOf = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Keep the model; refit calibrator and threshold.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a challenger on the matured records and judge it against the champion."""
    from refit.loop.retrain import retrain as run  # noqa: PLC0415 - heavy, and not needed for --help

    with _world() as world, spinner() as progress:
        made = run(world, world.usecase(usecase), _moment(as_of), recalibrate=recalibrate, progress=progress)
    if as_json:
        print_json(made.to_json())
        return
    print_verdict(made.version, made.verdict.to_json())


@app.command()
def release(
    usecase: Name,
    *,
    version: Annotated[str | None, typer.Option(help="A promoted model version. Default: the newest.")] = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Build a promoted model as a Bento and put it live."""
    from refit.loop.release import release as run  # noqa: PLC0415 - heavy, and not needed for --help

    with _world() as world, spinner() as progress:
        progress("Building the release", None)
        done = run(world, world.usecase(usecase), version, _moment(as_of))
    print_released(usecase, done.to_json(), as_json=as_json)


@app.command()
def rollback(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Bring the release before the live one back."""
    from refit.loop.release import rollback as run  # noqa: PLC0415 - heavy, and not needed for --help

    with _world() as world:
        done = run(world, world.usecase(usecase), _moment(as_of))
    print_released(usecase, done.to_json(), as_json=as_json)


@app.command()
def nightly(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Run the whole night: ingest, monitor, and where it is decided retrain, judge and release."""
    from refit.loop.nightly import nightly as run  # noqa: PLC0415 - heavy, and not needed for --help

    with _world() as world, spinner() as progress:
        night = run(world, world.usecase(usecase), _moment(as_of), progress=progress).to_json()
    if as_json:
        print_json(night)
        return
    out.print(
        f"{usecase} as of {night['as_of'][:10]}: {night['ingested']:,} records in, {night['rejected']:,} rejected"
    )
    print_decision(usecase, night["decision"])
    if night["verdict"] is not None:
        print_verdict(night["model"], night["verdict"])
    if night["release"] is not None:
        print_released(usecase, night["release"], as_json=False)


@app.command()
def status(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Say what is known, what is live, and what was decided last."""
    from refit.loop.status import status as run  # noqa: PLC0415 - heavy, and not needed for --help

    with _world() as world:
        found = run(world, world.usecase(usecase), _moment(as_of)).to_json()
    if as_json:
        print_json(found)
        return
    known = found["outcomes"]
    out.print(f"{usecase} as of {found['as_of'][:10]}")
    out.print(f"  records   {found['n_records']:,} in {found['n_batches']} batches; {found['n_rejected']:,} rejects")
    out.print(
        f"  outcomes  {known['happened']:,} on record; {known['final']:,} labels final, "
        f"{known['bad']:,} of them bad; {known['ripe']:,} records ripe"
    )
    out.print(f"  live      {found['live'] or 'nothing yet'}")
    if found["last_decision"] is not None:
        print_decision(usecase, found["last_decision"])
    for model in found["models"]:
        out.print(f"  model     {model['version']}  {model['learner']}  {model['verdict'] or 'not judged'}")


@app.command()
def serve(
    usecase: Name,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: REFIT_HOST, 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: REFIT_SERVICE_PORT, 3000.")] = None,
) -> None:
    """Serve the live release over HTTP, and swap to each new one without dropping a request."""
    from refit.loop.serve import serve as run  # noqa: PLC0415 - heavy, and not needed for --help

    settings = Settings.read()
    with _world() as world:
        run(
            world,
            world.usecase(usecase),
            host=host or settings.host,
            port=port or settings.service_port,
            echo=err.print,
        )


@app.command()
def up(
    usecases: Annotated[
        list[str] | None, typer.Argument(metavar="[USECASE]...", help="What to serve. Default: demo.")
    ] = None,
) -> None:
    """Run the whole product in the foreground on embedded defaults; Ctrl-C stops all of it."""
    from flows.up import up as run  # noqa: PLC0415 - heavy, and not needed for --help

    settings = Settings.read()
    chosen = [catalogue.find(name, settings.usecases) for name in (usecases or ["demo"])]
    run(settings, chosen, out.print)


@contextmanager
def _world() -> Generator["World", None, None]:
    from refit.loop.wiring import open_world  # noqa: PLC0415 - heavy, and not needed for --help

    settings = Settings.read()
    logging.basicConfig(stream=sys.stderr, level=settings.log_level)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    with open_world(settings) as world:
        yield world


def _moment(text: str | None) -> datetime:
    """Read `--as-of`: a day means its end; a moment without zone is UTC."""
    if text is None:
        return datetime.now(UTC)
    try:
        return datetime.combine(date.fromisoformat(text), time.max, UTC)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ContractError(f"--as-of {text!r} is no day; write it like 2003-06-30 or 2003-06-30T18:00") from None


if __name__ == "__main__":
    main()
