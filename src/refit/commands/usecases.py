"""Commands on use-case files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from refit.commands.app import AsJson, app
from refit.errors import ContractError
from refit.scoring import request
from refit.settings import Settings
from refit.terminal import out, print_json
from refit.usecase import catalogue
from refit.usecase.model import UseCase
from refit.usecase.parsing import parse_rule

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
    usecase = catalogue.read_named(file)
    if problems := _of_example(usecase):
        raise ContractError("\n".join(f"{file}: {problem}" for problem in problems))
    out.print(f"{file}: use case {usecase.name} is sound: {len(usecase.features)} features, label {usecase.label.name}")
    if (why := usecase.outcome_known_too_early) is not None:
        out.print(f"warning: {why}")


def _of_example(usecase: UseCase) -> list[str]:
    """Return why the example would not answer 200, or why no model of such records could be released."""
    if not usecase.example:
        return []
    sent, problems = request.check(dict(usecase.example), usecase)
    if problems:
        return [f"example.{problem.field}: {problem.why}" for problem in problems]
    return [
        f"features.{name}: required, and {column.rule!r} does not read its own result, so that no golden record could "
        "hold it: say 'required: false', or give a rule that reads its own result too"
        for name, column in usecase.inputs.items()
        if column.required and isinstance(text := sent[name], str)
        if not parse_rule(column.rule).reads_itself(text, column.unknown)
    ]
