"""What the doctor says of real stores: after a good night, and with one part at a time made ill."""

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from refit.cli import app
from refit.loop.doctor import LATE, examine
from refit.loop.load import load_demo
from refit.loop.nightly import nightly
from refit.loop.wiring import now, open_world
from refit.release.bento import bento_path
from refit.settings import Settings
from refit.store.rows import DecisionRow, RunRow
from refit.store.source import Source
from tests.integration.conftest import TEMPLATE, other_database, run
from tests.integration.loop.conftest import FIRST


@pytest.fixture(scope="module")
def database(server_url):
    name = f"doctor_{uuid4().hex}"
    run(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return other_database(server_url, name)


@pytest.fixture(scope="module")
def world(database, tmp_path_factory):
    """One good night of the demo, for the whole file: every test puts back what it took."""
    settings = Settings(home=tmp_path_factory.mktemp("doctor") / "home", database_url=SecretStr(database))
    settings.folder.mkdir()
    with open_world(settings) as world:
        load_demo(world, FIRST, months=20, per_month=700)
        nightly(world, world.usecase("demo"), FIRST)
        yield world


def findings(world, at=None, names=("demo",)):
    found = examine(world, [world.usecase(name) for name in names], at or now())
    return {finding.part: finding for finding in found}


@contextmanager
def gone(path: Path):
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


def test_after_a_good_night_all_is_well_and_each_part_was_looked_at(world):
    found = findings(world)
    parts = {"disk", "ledger", *(f"demo: {part}" for part in ("source", "lake", "nights", "requests", "live model"))}
    assert set(found) == parts
    assert {part: one.seen for part, one in found.items() if one.state != "ok" and part != "disk"} == {}
    assert "records" in found["demo: lake"].seen
    assert world.ledger.live("demo").version in found["demo: live model"].seen


def test_looking_changes_nothing(world, database):
    def everything():
        tables = run(database, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'refit'")
        counts = {table: run(database, f"SELECT count(*) FROM refit.{table}") for (table,) in tables}  # noqa: S608
        files = {path: path.stat().st_mtime_ns for path in world.settings.folder.rglob("*") if path.is_file()}
        return counts, files

    before = everything()
    findings(world, names=("demo", "sba"))
    assert everything() == before


def test_a_use_case_that_has_nothing_yet_is_told_how_to_begin_and_is_not_ill(world):
    found = findings(world, names=("sba",))
    assert [one.state for part, one in found.items() if part.startswith("sba")].count("wrong") == 0
    assert found["sba: source"].state == "warning"
    assert found["sba: source"].do == "load it: refit load sba FILE"


def test_a_source_that_lost_a_column_is_wrong_and_the_column_is_named(world, database):
    run(database, "ALTER TABLE source.demo_loans RENAME COLUMN income TO earnings")
    try:
        found = findings(world)["demo: source"]
    finally:
        run(database, "ALTER TABLE source.demo_loans RENAME COLUMN earnings TO income")
    assert (found.state, "income" in found.seen) == ("wrong", True)


def test_a_source_that_may_not_be_read_is_wrong_and_the_right_is_named(world, database):
    run(database, "CREATE ROLE outsider LOGIN PASSWORD 'outside'")
    own = database.partition("://")[2].partition("@")[0]
    limited = replace(world, source=Source(database.replace(own, "outsider:outside")))
    try:
        found = findings(limited)["demo: source"]
    finally:
        run(database, "DROP ROLE outsider")
    assert (found.state, "GRANT SELECT ON source.demo_loans" in found.seen) == ("wrong", True)


def test_a_batch_that_is_gone_from_the_lake_is_wrong_and_named(world):
    batch = world.ledger.batches("demo")[0]
    with gone(Path(world.settings.lake) / batch.path):
        found = findings(world)["demo: lake"]
    assert (found.state, found.seen) == ("wrong", f"1 of 1 batches are gone, first {batch.path}")


@pytest.mark.parametrize("part", ["bundle", "bento"])
def test_a_live_model_of_which_a_part_is_gone_is_wrong(world, part):
    live = world.ledger.live("demo")
    path = {
        "bundle": world.settings.bundles / world.ledger.bundle(live.version).path,
        "bento": bento_path(live.bento_tag, world.settings.bentoml),
    }[part]
    with gone(path):
        found = findings(world)
    assert found["demo: live model"].state == "wrong"
    assert [part for part, one in found.items() if one.state == "wrong"] == ["demo: live model"]


def test_a_bundle_whose_file_was_altered_is_wrong(world):
    live = world.ledger.live("demo")
    path = world.settings.bundles / world.ledger.bundle(live.version).path / "calibrator.json"
    before = path.read_text()
    path.write_text(before.replace("0", "1"))
    try:
        assert findings(world)["demo: live model"].state == "wrong"
    finally:
        path.write_text(before)


def test_a_night_that_did_not_come_is_a_warning(world):
    last = world.ledger.runs("demo", limit=1)[0].finished_at
    assert findings(world, last + LATE)["demo: nights"].state == "ok"
    assert findings(world, last + LATE + timedelta(minutes=1))["demo: nights"].state == "warning"


def test_a_request_that_waits_too_long_is_a_warning(world):
    asked = DecisionRow(usecase="demo", as_of=FIRST, action="retrain", reasons=(), n_new=0)
    world.ledger.record_decision(asked)
    try:
        assert findings(world, FIRST + LATE)["demo: requests"].state == "ok"
        found = findings(world, FIRST + LATE + timedelta(minutes=1))["demo: requests"]
    finally:
        world.ledger.take_decision(asked.id, "nobody", "withdrawn")
    assert (found.state, "2024-03-31" in found.seen) == ("warning", True)
    assert findings(world)["demo: requests"].state == "ok"


def test_a_part_that_is_down_does_not_hide_the_others(world):
    nowhere = SecretStr("postgresql://nobody:nothing@127.0.0.1:9/nowhere")
    with open_world(world.settings.model_copy(update={"source_url": nowhere})) as other:
        found = findings(other)
    assert found["demo: source"].state == "wrong"
    assert "nothing" not in found["demo: source"].seen, "the password"
    assert found["demo: lake"].state == "ok"


def test_the_command_ends_with_5_where_something_is_wrong_and_with_0_where_nothing_is(world, database, monkeypatch):
    for name, value in {"HOME": world.settings.folder, "DATABASE_URL": database, "PREFECT_PORT": 9}.items():
        monkeypatch.setenv(f"REFIT_{name}", str(value))
    monkeypatch.setenv("REFIT_SERVICE_PORT", "9")
    monkeypatch.setenv("REFIT_CONSOLE_PORT", "9")
    done = CliRunner().invoke(app, ["doctor", "--json"])
    told = {finding["part"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert told["Prefect server"]["state"] == "warning"
    assert {told[part]["do"] for part in ("service", "console")} == {
        "refit serve USECASE starts it",
        "refit console starts it",
    }
    assert done.exit_code == 0
    with gone(bento_path(world.ledger.live("demo").bento_tag, world.settings.bentoml)):
        done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 5
    assert "rollback" in done.stdout


def test_a_night_that_failed_is_wrong_until_the_next_one(world):
    moment = now()
    world.ledger.record_run(
        RunRow(usecase="demo", kind="nightly", as_of=FIRST, started_at=moment, finished_at=moment, outcome="failed",
               result={"error": {"kind": "OutageError", "message": "the disk is full"}})
    )  # fmt: skip
    found = findings(world)["demo: nights"]
    assert (found.state, found.do) == ("wrong", "see its run in the Prefect UI, then: refit nightly demo")
    nightly(world, world.usecase("demo"), FIRST)
    assert findings(world)["demo: nights"].state == "ok"
