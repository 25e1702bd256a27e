"""Commands on use-case files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from refit.commands.app import AsJson, app
from refit.settings import Settings
from refit.terminal import out, print_json
from refit.usecase import catalogue

usecases_app = typer.Typer(help="List the use cases, or check a use-case file.", rich_markup_mode=None)
app.add_typer(usecases_app, name="usecases")


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
