"""Commands around the decision log: one decision again, and the moving by hand."""

from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from refit.commands.app import AsJson, Name, app, open_stores
from refit.terminal import out, print_json

if TYPE_CHECKING:
    from refit.loop.wiring import Desk

log_app = typer.Typer(help="Look after the decision log.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(log_app, name="log")

DIFFERENT: Final = 6
"""Apart from 1: whoever looks through decisions by a script must tell a changed answer from a command that broke."""


@app.command()
def decision(
    prediction: Annotated[str, typer.Argument(metavar="ID", help="The `id` that stood in the answer.")],
    *,
    show_inputs: Annotated[
        bool, typer.Option("--show-inputs", help="Print the inputs too: a person's record.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a stored decision, and score its inputs again with the model that made it; exit code 6 if it differs."""
    from refit.loop.decision import replay  # noqa: PLC0415 - heavy, and not needed for --help

    with open_stores() as world:
        found = replay(world, prediction)
    shown = found.to_json(show_inputs=show_inputs)
    if as_json:
        print_json(shown)
    else:
        table = Table(show_header=False, box=None, pad_edge=False)
        inputs = shown.pop("inputs", {})
        shown["equal"] = "yes" if found.equal else "no"
        for name, value in [*shown.items(), *((f"  {name}", value) for name, value in inputs.items())]:
            if value is not None:
                table.add_row(name, "; ".join(map(str, value)) if isinstance(value, tuple) else str(value))
        out.print(table)
    if not found.equal:
        raise typer.Exit(DIFFERENT)


@log_app.command("move")
def move(usecase: Name, *, as_json: AsJson = False) -> None:
    """Move the decisions of this machine's spool to Postgres, where no `refit serve` runs that does it.

    The use case's file may be gone, as long as there is a spool of that name.
    """
    from refit.loop.mover import move_by_hand  # noqa: PLC0415 - heavy, and not needed for --help

    with open_stores() as world:
        moved = move_by_hand(world, usecase if _has_spool(world, usecase) else world.usecase(usecase).name)
    if as_json:
        print_json(moved.to_json())
        return
    out.print(
        f"{usecase}: {moved.n_moved:,} decisions moved, {moved.n_known:,} were there, "
        f"{moved.n_quarantined:,} put aside in quarantine"
    )


def _has_spool(world: "Desk", usecase: str) -> bool:
    """Tell whether a spool lies here under that very name: what is no folder's own name, like `..`, is none."""
    spools = world.settings.folder / "spool"
    return spools.is_dir() and any(folder.name == usecase and folder.is_dir() for folder in spools.iterdir())
