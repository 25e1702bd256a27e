"""The command that says what the contract refused, and why."""

from typing import Annotated, Any

import typer

from refit.commands.app import AsJson, AsOf, Name, app, moment, open_ledger
from refit.terminal import out, print_json


@app.command()
def rejects(
    usecase: Name,
    *,
    as_of: AsOf = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only of the file or batch whose name begins so.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many loads and ingests, the newest.")] = 10,
    show_keys: Annotated[
        bool, typer.Option("--show-keys", help="Print the keys of refused records too: one may name a person.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what the contract refused and why, by load and ingest, newest first; never a record's values."""
    from refit.loop.refused import refused as run  # noqa: PLC0415 - heavy, and not needed for --help

    with open_ledger() as desk:
        day = None if as_of is None else moment(as_of, usecase)
        found = run(desk, desk.usecase(usecase), day, source=source, limit=limit).to_json(show_keys=show_keys)
    if as_json:
        print_json(found)
        return
    if not found["sources"]:
        out.print(f"{usecase}: no record was refused")
        return
    out.print(f"{usecase}: {_records(found['n_rejected'])} refused; a record can have more causes than one")
    for one in found["sources"]:
        _print_source(one)
    if older := found["n_sources"] - len(found["sources"]):
        out.print(f"and {older:,} older loads and ingests; --limit shows more")


def _print_source(one: dict[str, Any]) -> None:
    name = one["source"] if one["origin"] == "load" else f"batch {one['source'][:12]}"
    seen = "" if one["as_of"] is None else f" as of {one['as_of']:%Y-%m-%d}"
    out.print(f"{one['origin']} of {name}{seen}, {one['created_at']:%Y-%m-%d %H:%M} UTC: {_records(one['n'])}")
    for cause in one["causes"]:
        what = f"{cause['column']}: {cause['why']}" if cause["column"] else cause["why"]
        where = f"  ({_places(cause)})" if any(cause["places"]) else ""
        out.print(f"  {cause['n']:>9,}  {what}{where}")


def _places(cause: dict[str, Any]) -> str:
    named = [place for place in cause["places"] if place]
    more = cause["n"] - len(named)
    return f"{', '.join(named)}{f' and {more:,} more' if more else ''}"


def _records(n: int) -> str:
    return f"{n:,} record{'' if n == 1 else 's'}"
