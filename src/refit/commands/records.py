"""Commands that bring records in and look at them: load, demo, ingest, explore."""

from pathlib import Path
from typing import Annotated, Final

import typer

from refit.commands.app import AsJson, AsOf, Name, app, moment, open_stores
from refit.errors import ContractError
from refit.loop.days import SIMULATED
from refit.terminal import bytes_bar, out, print_json, spinner

TAB: Final = r"\t"
"""How a message names a tab, and how a shell passes that on: in two characters."""


@app.command()
def load(
    usecase: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, CSV.gz or Parquet.")],
    *,
    delimiter: Annotated[str, typer.Option(help="What parts the cells of a CSV file; '\\t' is a tab.")] = ",",
    encoding: Annotated[str, typer.Option(help="The encoding of a CSV file, such as latin-1.")] = "utf-8",
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Put a file of records into the use case's source table."""
    from refit.loop.load import load as run  # noqa: PLC0415 - heavy, and not needed for --help

    delimiter = delimiter.replace(TAB, "\t")
    if len(delimiter) != 1:
        raise ContractError(f"--delimiter takes one character, not {delimiter!r}")
    with open_stores() as world, bytes_bar(f"Loading {file.name}", file) as progress:
        loaded = run(
            world,
            world.usecase(usecase),
            file,
            loaded_at=moment(as_of, usecase),
            delimiter=delimiter,
            encoding=encoding,
            progress=progress,
        )
    if as_json:
        print_json(loaded.to_json())
        return
    out.print(
        f"{loaded.table}: {loaded.added:,} added, {loaded.changed:,} changed, {loaded.unchanged:,} unchanged, "
        f"{loaded.rejected:,} rejected"
    )
    for reason, count in loaded.reasons.items():
        out.print(f"  {count:>9,}  {reason}")
    if loaded.behind:
        out.print(f"{loaded.behind:,} rows lie before what was taken in last; the next ingest goes back for them")


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

    with open_stores() as world, spinner() as progress:
        progress("Simulating the loan book", None)
        loaded = load_demo(world, moment(as_of, SIMULATED), months=months, per_month=per_month, drift=drift)
    if as_json:
        print_json(loaded.to_json())
        return
    out.print(f"{loaded.table}: {loaded.added:,} added, {loaded.changed:,} changed, {loaded.unchanged:,} unchanged")


@app.command()
def ingest(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Take in the records that are new since the watermark."""
    from refit.loop.ingest import ingest as run  # noqa: PLC0415 - heavy, and not needed for --help

    with open_stores() as world, spinner() as progress:
        taken = run(
            world,
            world.usecase(usecase),
            moment(as_of, usecase),
            progress=lambda n: progress(f"Taking in: {n:,} rows", None),
        )
    if as_json:
        print_json(taken.to_json())
        return
    out.print(f"{usecase}: {taken.n_records:,} records taken in, {taken.n_rejected:,} rejected")
