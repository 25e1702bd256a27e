"""Retention on real stores: a dry run says what would go and touches nothing, then exactly that goes."""

import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from refit.cli import app
from refit.loop.sweep import ALWAYS_KEPT, LEFT_OVER, sweep
from refit.loop.wiring import now
from refit.store.rows import PredictionRow, ReportRow
from tests.integration.conftest import run

DRIFT_REPORTS = ALWAYS_KEPT + 3
OLD = 5


@pytest.fixture
def later(world):
    """A day on which everything there is now has become too old."""
    longest = max(world.settings.keep_reports_days, world.settings.keep_predictions_days)
    return now() + timedelta(days=longest + 1)


@pytest.fixture
def kept(world, later):
    """Drift reports and cards, predictions old and new, and what killed runs left."""
    rows = [keep_report(world, "drift") for _ in range(DRIFT_REPORTS)]
    rows += [keep_report(world, "card") for _ in range(ALWAYS_KEPT + 2)]
    world.ledger.keep_predictions([prediction(later - timedelta(days=800)) for _ in range(OLD)])
    world.ledger.keep_predictions([prediction(later - timedelta(days=1))])
    left = [world.settings.bentoml / ".building-x1", world.settings.bundles / "demo" / ".ab12.unfinished"]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
    journal = world.settings.folder / "search" / "demo" / "0123.log"
    journal.parent.mkdir(parents=True)
    journal.write_text("a trial")
    return rows, [*left, journal]


def keep_report(world, kind):
    run_id = uuid4()
    paths = world.reports.write("demo", kind, run_id, "<html>", "{}")
    row = ReportRow(
        id=run_id,
        usecase="demo",
        kind=kind,
        run=run_id,
        as_of=datetime(2026, 3, 17, tzinfo=UTC),
        path_html=paths.html,
        path_json=paths.json,
        title=kind,
    )
    world.ledger.record_report(row)
    return row


def prediction(at):
    return PredictionRow(
        id=uuid4(),
        usecase="demo",
        version="demo-1",
        at=at,
        request_id="r",
        inputs={"amount": 1.0},
        probability=0.1,
        threshold=0.2,
        decision="approve",
        latency_ms=1.0,
    )


def files(world):
    return {path: path.read_bytes() for path in world.settings.folder.rglob("*") if path.is_file()}


def rows_of(database_url):
    tables = run(database_url, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'refit'")
    return {table: run(database_url, f"SELECT count(*) FROM refit.{table}")[0][0] for (table,) in tables}  # noqa: S608


@pytest.mark.usefixtures("kept")
def test_a_dry_run_says_what_would_go_and_changes_nothing(world, later, database_url):
    before = files(world), rows_of(database_url)
    would = sweep(world, ["demo"], later, dry_run=True)
    assert (files(world), rows_of(database_url)) == before
    went = sweep(world, ["demo"], later)
    assert would.to_json() == went.to_json() | {"dry_run": True}
    assert (went.report_files, went.predictions, len(went.left_overs)) == (2 * 3, OLD, 3)
    assert went.report_bytes == 3 * len("<html>" + "{}")


def test_the_files_go_and_the_ledger_goes_on_saying_that_they_were(world, later, kept, database_url):
    reports, left = kept
    before = rows_of(database_url)
    sweep(world, ["demo"], later)
    oldest = reports[:3]
    assert [world.reports.size(row.path_html) for row in oldest] == [None] * 3
    assert all(world.ledger.report(row.id) == row for row in oldest)
    assert all(world.reports.size(row.path_html) for row in reports[3:DRIFT_REPORTS])
    assert not any(path.exists() for path in left)
    assert rows_of(database_url) == before | {"prediction": 1}


def test_a_models_card_is_never_swept(world, later, kept):
    sweep(world, ["demo"], later)
    assert all(world.reports.size(row.path_html) for row in kept[0] if row.kind == "card")


@pytest.mark.usefixtures("kept")
def test_what_is_young_stays(world):
    swept = sweep(world, ["demo"], now())
    assert (swept.report_files, swept.predictions, swept.left_overs) == (0, 0, [])


@pytest.mark.usefixtures("kept")
def test_a_second_sweep_finds_nothing_left(world, later):
    sweep(world, ["demo"], later)
    again = sweep(world, ["demo"], later)
    assert (again.report_files, again.report_bytes, again.predictions, again.left_overs) == (0, 0, 0, [])


def test_a_build_that_may_still_run_is_left_alone(world):
    young, dead = (world.settings.bentoml / f".building-{name}" for name in ("young", "dead"))
    for folder, age in ((young, LEFT_OVER / 2), (dead, LEFT_OVER * 2)):
        folder.mkdir(parents=True)
        at = (now() - age).timestamp()
        os.utime(folder, (at, at))
    assert sweep(world, ["demo"], now()).left_overs == ["bentoml/.building-dead"]
    assert (young.exists(), dead.exists()) == (True, False)


@pytest.mark.usefixtures("kept")
def test_the_command_says_what_would_go_and_that_prefect_does_not_answer(world, database_url, monkeypatch):
    monkeypatch.setenv("REFIT_HOME", str(world.settings.folder))
    monkeypatch.setenv("REFIT_DATABASE_URL", database_url)
    monkeypatch.setenv("REFIT_PREFECT_PORT", "9")
    monkeypatch.setenv("REFIT_KEEP_PREDICTIONS_DAYS", "1")
    before = files(world)
    done = CliRunner().invoke(app, ["sweep", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "would go" in done.stdout
    assert "Prefect does not answer" in done.stdout
    assert files(world) == before
