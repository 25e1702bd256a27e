"""Commands that run and keep the product: up, console, deploy, migrate, doctor, sweep."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from refit.commands.app import AsJson, app, open_ledger, open_stores
from refit.saying import unfailing
from refit.settings import Settings
from refit.terminal import err, out, print_json
from refit.usecase import catalogue


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
    run(settings, chosen, unfailing(out.print))


@app.command()
def console() -> None:
    """Serve the console: models, decisions, drift reports, and a page to score an applicant."""
    from refit.console.__main__ import serve as run  # noqa: PLC0415 - heavy, and not needed for --help

    run(Settings.read())


@app.command()
def deploy() -> None:
    """Put the work pool, every deployment of prefect.yaml and the automations on the Prefect server."""
    from flows.deploy import deploy as run  # noqa: PLC0415 - heavy, and not needed for --help

    run(Settings.read(), err.print)


@app.command()
def migrate() -> None:
    """Bring the ledger's tables up to this version of refit; safe to run again."""
    with open_ledger() as desk:
        out.print(f"the ledger stands at revision {desk.ledger.revision()}")


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Look at every part and say what is wrong and what to do; exit code 5 where something is."""
    from flows.doctor import examine as servers  # noqa: PLC0415 - heavy, and not needed for --help
    from refit.loop.doctor import examine as stores  # noqa: PLC0415 - heavy, and not needed for --help

    settings, now = Settings.read(), datetime.now(UTC)
    usecases = [catalogue.find(name, settings.usecases) for name in catalogue.names(settings.usecases)]
    with open_stores() as world:
        findings = [*stores(world, usecases, now), *servers(settings, usecases, now)]
    if as_json:
        print_json({"findings": [finding.to_json() for finding in findings]})
    else:
        table = Table("part", "state", "seen", "do", box=None, pad_edge=False)
        for finding in findings:
            table.add_row(finding.part, finding.state, finding.seen, finding.do)
        out.print(table)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(5)


@app.command()
def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let go of old reports, predictions and Prefect runs, as REFIT_KEEP_* say."""
    from flows.server import sweep_runs  # noqa: PLC0415 - heavy, and not needed for --help
    from refit.loop.sweep import sweep as run  # noqa: PLC0415 - heavy, and not needed for --help

    settings, now = Settings.read(), datetime.now(UTC)
    with open_stores() as world:
        swept = run(world, catalogue.names(settings.usecases), now, dry_run=dry_run)
    swept.runs = sweep_runs(settings, now - timedelta(days=settings.keep_runs_days), dry_run=dry_run)
    if as_json:
        print_json(swept.to_json())
        return
    verb = "would go" if dry_run else "went"
    out.print(f"{swept.report_files:,} report files, {swept.report_bytes / 1e6:,.1f} MB {verb}")
    out.print(f"{swept.predictions:,} predictions {verb}")
    out.print("Prefect does not answer, so its runs stay" if swept.runs is None else f"{swept.runs:,} runs {verb}")
    out.print(f"{len(swept.left_overs):,} left-overs of killed runs {verb}")
