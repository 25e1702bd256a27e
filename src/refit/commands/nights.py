"""Commands of the loop: monitor, retrain, release, rollback, nightly, status."""

from pathlib import Path
from typing import Annotated

import typer

from refit.commands.app import AsJson, AsOf, Name, app, moment, open_stores
from refit.commands.serving import SERVICE_IMAGE, write_image
from refit.errors import ContractError
from refit.terminal import out, print_decision, print_json, print_released, print_verdict, spinner

_OUTCOMES = ("happened", "final", "ripe")


@app.command()
def monitor(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Check for drift and decide what to do, with reasons; the full report is stored."""
    from refit.loop.monitor import monitor as run  # noqa: PLC0415 - heavy, and not needed for --help

    with open_stores() as world, spinner() as progress:
        progress("Checking for drift", None)
        seen = run(world, world.usecase(usecase), moment(as_of, usecase))
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
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="BUDGET", help="How long to search, like 40, '40 trials', 90s or 5m. Default: as declared."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a challenger on the matured records and judge it against the champion."""
    from refit.loop.retrain import retrain as run  # noqa: PLC0415 - heavy, and not needed for --help
    from refit.training.budget import budget as read_budget  # noqa: PLC0415 - heavy, and not needed for --help

    search = None if budget is None else read_budget(budget)
    with open_stores() as world, spinner() as progress:
        made = run(
            world,
            world.usecase(usecase),
            moment(as_of, usecase),
            recalibrate=recalibrate,
            search=search,
            progress=progress,
        )
    if as_json:
        print_json(made.to_json())
        return
    print_verdict(made.version, made.verdict.to_json())


@app.command()
def release(
    usecase: Name,
    *,
    version: Annotated[str | None, typer.Option(help="A promoted model version. Default: the newest.")] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who overrides the gate's refusal; needs --version and --reason.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why the gate's refusal is overridden; it is recorded.")] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Change nothing; write a folder to build an image of the live release from."
        ),
    ] = None,
    service_image: Annotated[
        str, typer.Option(metavar="IMAGE", help="The service image that --image stands on, best by its digest.")
    ] = SERVICE_IMAGE,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Build a promoted model as a Bento and put it live; with --by and --reason a refused one."""
    if image is not None:
        if (version, by, reason, as_of) != (None, None, None, None):
            raise ContractError("--image is of the live release: only --service-image and --json go with it")
        write_image(usecase, image, base=service_image, as_json=as_json)
        return
    from refit.loop.release import Override  # noqa: PLC0415 - heavy, and not needed for --help
    from refit.loop.release import release as run  # noqa: PLC0415 - heavy, and not needed for --help

    if (by is None) != (reason is None):
        raise ContractError("--by and --reason go together: an override names who takes it upon them, and why")
    override = None if by is None or reason is None else Override(by, reason)
    if override is not None and version is None:
        raise ContractError("an override names its model: give --version")
    with open_stores() as world, spinner() as progress:
        progress("Building the release", None)
        day = None if as_of is None else moment(as_of, usecase)
        done = run(world, world.usecase(usecase), version, day, override=override)
    print_released(usecase, done.to_json(), as_json=as_json)


@app.command()
def rollback(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Bring the release before the live one back."""
    from refit.loop.release import rollback as run  # noqa: PLC0415 - heavy, and not needed for --help

    with open_stores() as world:
        done = run(world, world.usecase(usecase), moment(as_of, usecase))
    print_released(usecase, done.to_json(), as_json=as_json)


@app.command()
def nightly(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Run the whole night: ingest, monitor, and where it is decided retrain, judge and release."""
    from refit.loop.nightly import nightly as run  # noqa: PLC0415 - heavy, and not needed for --help

    with open_stores() as world, spinner() as progress:
        night = run(world, world.usecase(usecase), moment(as_of, usecase), progress=progress).to_json()
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

    with open_stores() as world:
        found = run(world, world.usecase(usecase), moment(as_of, usecase)).to_json()
    if as_json:
        print_json(found)
        return
    known = found["outcomes"]
    out.print(f"{usecase} as of {found['as_of'][:10]}")
    out.print(f"  records   {found['n_records']:,} in {found['n_batches']} batches; {found['n_rejected']:,} rejects")
    by_outcome = ", ".join(f"{n:,} {name}" for name, n in known.items() if name not in _OUTCOMES)
    out.print(
        f"  outcomes  {known['happened']:,} on record; {known['final']:,} labels final, of them {by_outcome}; "
        f"{known['ripe']:,} records ripe"
    )
    out.print(f"  live      {found['live'] or 'nothing yet'}")
    if found["last_decision"] is not None:
        print_decision(usecase, found["last_decision"])
    for model in found["models"]:
        out.print(f"  model     {model['version']}  {model['learner']}  {model['verdict'] or 'not judged'}")


@app.command()
def explore(usecase: Name, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Say what stands out in the records: who pays, what is odd, what may leak; the full report is stored."""
    from refit.loop.explore import explore as run  # noqa: PLC0415 - heavy, and not needed for --help

    with open_stores() as world, spinner() as progress:
        found = run(world, world.usecase(usecase), moment(as_of, usecase), progress=progress)
    if as_json:
        print_json(found.to_json())
        return
    for text in found.findings:
        out.print(f"  - {text}")
    for text in found.warnings:
        out.print(f"  ! {text}")
    out.print(f"report {found.report_id}: {found.path}")
