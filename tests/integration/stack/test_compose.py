"""The whole stack in real containers: what `make stack` runs, in this order, each step on what the one before left."""

import gzip
import json
import math
import os
import re
import signal
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
import yaml

from tests.integration.stack.lab import LOANS, ROOT, Engine, Stack, between_nights, until
from tests.integration.stack.load import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EACH = 3
"""One loan in so many: with fewer the gate rightly finds no signal, with more two cores take too long."""
SERVICE, CONSOLE, PREFECT, PROMETHEUS, GRAFANA = 3000, 8080, 4200, 9090, 3001
PARTS = ("service", "worker", "console", "prometheus", "grafana", "prefect", "postgres")
MAX_SERVICE_BYTES = 500_000_000
NIGHT_SECONDS = 600


def key(stack: Stack) -> str:
    return stack.secrets["REFIT_API_KEYS"]


def example(stack: Stack) -> dict[str, Any]:
    return dict(stack.ask(SERVICE, "/model", key=key(stack))["example"])


def kept(stack: Stack) -> dict[str, str]:
    """Return what must never be lost."""
    counts = {
        table: stack.sql("ledger", f"SELECT count(*) FROM refit.{table}")  # noqa: S608 - fixed names
        for table in ("batch", "bundle", "verdict", "release", "prediction", "run")
    }
    return counts | {
        "loans": stack.sql("source", "SELECT count(*) FROM source.sba_loans"),
        "runs in Prefect": stack.sql("prefect", "SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'"),
    }


def assert_kept(before: dict[str, str], after: dict[str, str]) -> None:
    """See that nothing was lost, predictions apart, of which each test knows how many there should be."""
    one, other = dict(before), dict(after)
    # A retrain that was asked for too may have ended meanwhile: it starts a minute after its night.
    assert int(other.pop("runs in Prefect")) >= int(one.pop("runs in Prefect"))
    one.pop("prediction")
    other.pop("prediction")
    assert other == one


def started(stack: Stack, day: str) -> str:
    """Start a night through its deployment, as the schedule does; return its run."""
    found = stack.ask(PREFECT, f"/api/deployments/name/nightly/nightly-{stack.usecase}")
    given = {"parameters": {"usecase": stack.usecase, "as_of": day}}
    return str(stack.ask(PREFECT, f"/api/deployments/{found['id']}/create_flow_run", given)["id"])


def state(stack: Stack, run: str) -> dict[str, Any]:
    return dict(stack.ask(PREFECT, f"/api/flow_runs/{run}")["state"])


def ended(stack: Stack, run: str) -> dict[str, Any]:
    """Wait for the end of a run, and return the state it ended in."""
    over = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    until(lambda: state(stack, run)["type"] in over, NIGHT_SECONDS, f"the end of run {run}")
    return state(stack, run)


def night(stack: Stack, day: str) -> None:
    """Run a night through its deployment, and see that it ends well."""
    end = ended(stack, started(stack, day))
    assert end["type"] == "COMPLETED", f"{end['message']}\n{stack.compose('logs', '--tail', '60', 'worker')}"


def idle(stack: Stack) -> None:
    """Wait until Prefect has nothing at work or to come: a retrain asked for starts a minute after its night."""
    busy = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "SCHEDULED"]}}}}
    until(lambda: stack.ask(PREFECT, "/api/flow_runs/count", busy) == 0, NIGHT_SECONDS, "no run at work")


def all_moved(stack: Stack, port: int = SERVICE) -> None:
    """Wait until every prediction is in Postgres."""
    text = stack.ask(port, "/metrics", key=key(stack))
    until(lambda: "refit_log_backlog 0.0" in stack.ask(port, "/metrics", key=key(stack)), 60, text)


def test_the_images_hold_what_they_should_and_no_more(engine: Engine) -> None:
    size = int(engine.docker("image", "inspect", "--format", "{{.Size}}", "refit-service:local"))
    assert size < MAX_SERVICE_BYTES
    unwanted = ("prefect", "evidently", "pandas", "pyarrow")
    absent = f"import importlib.util as u, sys; sys.exit(any(map(u.find_spec, {unwanted})))"
    engine.docker("run", "--rm", "--network=none", "--entrypoint=python", "refit-service:local", "-c", absent)
    for image in ("refit:local", "refit-service:local"):
        assert engine.docker("image", "inspect", "--format", "{{.Config.User}}", image).strip() == "10001:10001"


def test_compose_refuses_to_start_without_its_secrets(engine: Engine, stack: Stack) -> None:
    assert "POSTGRES_PASSWORD" in (ROOT / ".env.example").read_text()
    with pytest.raises(AssertionError, match=r"see \.env\.example"):
        engine.docker("compose", "--project-directory", str(ROOT), "--env-file", "/dev/null", "config", "-q")
    stack.compose("config", "-q")


def test_from_nothing_everything_is_healthy(stack: Stack) -> None:
    stack.up()
    assert stack.healthy() == set(PARTS)
    checked = stack.compose("exec", "-T", "prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml")
    assert "SUCCESS" in checked
    rules = (ROOT / "deployments/prometheus/alerts.yml").read_text().count("- alert: ")
    assert f"{rules} rules found" in checked
    boards = stack.ask(GRAFANA, "/api/search")
    assert [board["uid"] for board in boards] == ["refit"]
    assert "<html" in stack.ask(PREFECT, "/").lower()
    settings = stack.ask(PREFECT, "/ui-settings")
    assert settings["api_url"] == "http://127.0.0.1:4200/api"


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loans")
    folder.chmod(0o755)
    with gzip.open(LOANS, "rt") as whole, gzip.open(folder / "loans.csv.gz", "wt") as part:
        part.write(next(whole))
        part.writelines(line for number, line in enumerate(whole) if number % EACH == 0)
    return folder


def test_real_loans_are_loaded_by_the_lender_and_refit_cannot_change_them(stack: Stack, loans: Path) -> None:
    volume = f"{loans}:/files:ro"
    arguments = (
        "run",
        "--rm",
        "-T",
        "--volume",
        volume,
        "lender",
        "load",
        stack.usecase,
        "/files/loans.csv.gz",
        "--json",
    )
    loaded = json.loads(stack.compose(*arguments).strip().splitlines()[-1])
    assert loaded["added"] > 150_000
    write = (
        "import os, psycopg2\n"
        "psycopg2.connect(os.environ['REFIT_SOURCE_URL']).cursor().execute('DELETE FROM source.sba_loans')"
    )
    with pytest.raises(AssertionError, match="permission denied"):
        stack.compose("exec", "-T", "worker", "python", "-c", write)


def test_a_night_through_prefect_puts_a_model_live_and_it_predicts(stack: Stack) -> None:
    night(stack, "2003-06-30")
    until(lambda: stack.asked(SERVICE, "/readyz"), 60, "the service has the release")
    answer = stack.ask(SERVICE, "/predict", example(stack), key=key(stack))
    assert 0.0 < answer["probability"] < 1.0
    with pytest.raises(HTTPError, match="401"):
        stack.ask(SERVICE, "/predict", example(stack))


def test_a_release_and_a_rollback_under_load_fail_no_request(stack: Stack) -> None:
    first = stack.ask(SERVICE, "/model", key=key(stack))["version"]
    made = stack.refit("retrain", stack.usecase, "--as-of", "2003-07-31", "--recalibrate")
    second = made["version"]
    arguments = ["--version", second, "--as-of", "2003-07-31"]
    if made["verdict"]["outcome"] != "promote":
        arguments += ["--by", "The test", "--reason", "what is measured is the swap"]

    def live() -> Any:
        return stack.ask(SERVICE, "/model", key=key(stack))["version"]

    with load(SERVICE, key(stack), example(stack)) as counts:
        until(lambda: counts.answered > 50, 30, "load")
        stack.refit("release", stack.usecase, *arguments)
        until(lambda: live() == second, 60, "the release")
        stack.refit("rollback", stack.usecase, "--as-of", "2003-08-31")
        until(lambda: live() == first, 60, "the rollback")
        seen = counts.answered
        until(lambda: counts.answered > seen + 50, 30, "load afterwards")
    assert counts.failed == []
    assert counts.versions == {first, second}
    all_moved(stack)
    assert int(stack.sql("ledger", "SELECT count(*) FROM refit.prediction")) >= counts.answered


def test_an_image_of_the_release_serves_that_model_and_no_other(stack: Stack, tmp_path: Path) -> None:
    model = stack.ask(SERVICE, "/model", key=key(stack))
    stack.refit("release", stack.usecase, "--image", "/var/lib/refit/images/test")
    stack.compose("cp", "worker:/var/lib/refit/images/test", str(tmp_path / "image"))
    stack.engine.docker("build", "--network=none", "--tag", "refit-release:test", str(tmp_path / "image"))
    n_before = int(stack.sql("ledger", "SELECT count(*) FROM refit.prediction"))
    port, name = 3999, f"{stack.project}-image"
    url = f"postgresql://refit:{stack.secrets['LEDGER_PASSWORD']}@postgres:5432/ledger"
    options = ["--rm", "--detach", "--name", name, "--network", f"{stack.project}_inside", "--read-only"]
    options += ["--tmpfs", "/var/lib/refit:uid=10001", "--publish", f"127.0.0.1:{port}:3000"]
    options += ["--env", f"REFIT_DATABASE_URL={url}", "--env", f"REFIT_API_KEYS={key(stack)}", "--stop-timeout", "45"]
    stack.engine.docker("run", *options, "refit-release:test")
    try:
        until(lambda: stack.asked(port, "/readyz"), 60, "the image's service")
        assert stack.ask(port, "/model", key=key(stack))["version"] == model["version"]
        here, there = (stack.ask(one, "/predict", model["example"], key=key(stack)) for one in (SERVICE, port))
        assert here["probability"] == there["probability"]
        all_moved(stack, port)
    finally:
        stack.engine.docker("stop", name)
    all_moved(stack)
    assert int(stack.sql("ledger", "SELECT count(*) FROM refit.prediction")) == n_before + 2


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_container_comes_back_and_nothing_is_lost(stack: Stack, part: str) -> None:
    idle(stack)
    all_moved(stack)
    before, record = kept(stack), example(stack)
    survivors = part != "service"
    with load(SERVICE, key(stack), record, clients=2) as counts:
        until(lambda: counts.answered > 10, 30, "load")
        stack.compose("kill", part)
        if survivors:
            seen = counts.answered
            until(lambda: counts.answered > seen + 20, 60, f"predictions while {part} is dead")
        stack.up("--no-deps", part)
        until(lambda: stack.asked(SERVICE, "/readyz"), 90, "the service")
    if survivors:
        assert counts.failed == []
    all_moved(stack)
    after = kept(stack)
    grown = int(after["prediction"]) - int(before["prediction"])
    assert grown >= counts.answered, "an answer that went out is not in the decision log"
    assert_kept(before, after)


def test_where_every_process_dies_at_once_all_come_back_by_themselves(stack: Stack) -> None:
    idle(stack)
    answer = stack.ask(SERVICE, "/predict", example(stack), key=key(stack))
    before, processes = kept(stack), stack.processes()
    assert processes.keys() == set(PARTS)
    for process in processes.values():
        os.kill(process, signal.SIGKILL)
    until(lambda: stack.healthy() == set(PARTS) and stack.processes().items().isdisjoint(processes.items()), 240, "all")
    until(lambda: stack.asked(SERVICE, "/readyz"), 90, "the service")
    again = stack.ask(SERVICE, "/predict", example(stack), key=key(stack))
    assert again["probability"] == answer["probability"]
    all_moved(stack)
    after = kept(stack)
    # The answer before the kill may have been moved before it was counted, or only after it.
    assert int(after["prediction"]) - int(before["prediction"]) in {1, 2}
    assert_kept(before, after)


def test_the_doctor_finds_nothing_wrong(stack: Stack) -> None:
    def scheduled() -> set[str]:
        """Return the deployments that have a run to come."""
        wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        return {run["deployment_id"] for run in stack.ask(PREFECT, "/api/flow_runs/filter", wanted)}

    between_nights()
    stack.schedules("resume")
    try:
        everything = {one["id"] for one in stack.ask(PREFECT, "/api/deployments/filter", {})}
        until(lambda: scheduled() == everything, 240, "runs to come")
        found = stack.refit("doctor", part="console")["findings"]
    finally:
        stack.schedules("pause")
    assert found
    assert [finding for finding in found if finding["state"] == "wrong"] == []


def test_a_night_after_all_that_goes_on_from_the_ledger(stack: Stack) -> None:
    until(lambda: stack.sql("prefect", "SELECT count(*) FROM worker WHERE status = 'ONLINE'") != "0", 90, "a worker")
    before = kept(stack)
    night(stack, "2004-03-31")
    after = kept(stack)
    assert int(after["batch"]) == int(before["batch"]) + 1, "the loans since the night before"
    assert int(after["run"]) > int(before["run"])


def test_a_night_outlives_its_prefect_server(stack: Stack) -> None:
    run = started(stack, "2004-04-30")
    until(lambda: state(stack, run)["type"] == "RUNNING", NIGHT_SECONDS, "the night")
    leases = ["exec", "-T", "prefect", "sh", "-c", "ls /var/lib/refit/prefect/concurrency_leases"]
    held = {name for name in stack.compose(*leases).split() if name != "expirations.json"}
    stack.compose("kill", "prefect")
    stack.up("--no-deps", "prefect")
    assert held
    assert held <= set(stack.compose(*leases).split()), "the new server does not know who holds a place"
    assert ended(stack, run)["type"] == "COMPLETED"


def test_a_run_whose_worker_dies_before_it_starts_counts_as_crashed(stack: Stack) -> None:
    idle(stack)
    before = kept(stack)
    run = started(stack, "2004-05-31")
    until(lambda: state(stack, run)["type"] == "PENDING", NIGHT_SECONDS, "the night")
    stack.compose("kill", "worker")
    stack.up("--no-deps", "worker")
    assert ended(stack, run)["type"] == "CRASHED"
    assert_kept(before, kept(stack))


def test_prometheus_scrapes_both_and_every_panel_and_alert_has_its_data(stack: Stack) -> None:
    def up() -> bool:
        found = stack.ask(PROMETHEUS, "/api/v1/targets")["data"]["activeTargets"]
        return len(found) == 2 and all(target["health"] == "up" for target in found)

    def query(text: str) -> list[Any]:
        return list(stack.ask(PROMETHEUS, f"/api/v1/query?{urlencode({'query': text})}")["data"]["result"])

    until(up, 90, "both jobs are scraped")
    with load(SERVICE, key(stack), example(stack), clients=1):
        board = json.loads((ROOT / "deployments/grafana/dashboards/refit.json").read_text())
        empty = {(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", ())}

        def filled() -> bool:
            for one in list(empty):
                text = one[1].replace("$use_case", ".*").replace("$__rate_interval", "1m")
                if query(text):
                    empty.discard(one)
            return not empty

        deadline = time.monotonic() + 300
        while not filled():
            assert time.monotonic() < deadline, f"no data for {empty}"
            time.sleep(1)
    rules = yaml.safe_load((ROOT / "deployments/prometheus/alerts.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        query(rule["expr"])
        for name in set(re.findall(r"\b(?:refit_\w+|up)(?=[{\[ ]|$|\))", rule["expr"])):
            assert query(f"last_over_time({name}[1h])"), f"{rule['alert']}: no series {name}"
    loaded = stack.ask(PROMETHEUS, "/api/v1/rules")["data"]["groups"]
    assert all(rule["health"] != "err" for group in loaded for rule in group["rules"])


def test_down_and_up_keep_everything(stack: Stack) -> None:
    idle(stack)
    all_moved(stack)
    before, record = kept(stack), example(stack)
    answer = stack.ask(SERVICE, "/predict", record, key=key(stack))
    all_moved(stack)
    since = time.time()
    stack.compose("down")
    stack.up()
    until(lambda: stack.asked(SERVICE, "/readyz"), 60, "the service")
    again = stack.ask(SERVICE, "/predict", record, key=key(stack))
    assert again["model_version"] == answer["model_version"]
    assert math.isclose(again["probability"], answer["probability"], rel_tol=1e-9)
    all_moved(stack)
    after = kept(stack)
    assert int(after["prediction"]) == int(before["prediction"]) + 2
    assert_kept(before, after)
    told = stack.ask(PROMETHEUS, f"/api/v1/query?{urlencode({'query': 'refit_psi', 'time': since - 5})}")
    assert told["data"]["result"], "Prometheus forgot"


def test_a_back_up_brings_an_empty_stack_to_where_this_one_was(stack: Stack, tmp_path: Path) -> None:
    idle(stack)
    all_moved(stack)
    before, record = kept(stack), example(stack)
    answer = stack.ask(SERVICE, "/predict", record, key=key(stack))
    folder = tmp_path / "kept"  # begun at once: whether that answer waits or is in Postgres, it was given before
    stack.script("backup.sh", str(folder))
    with pytest.raises(AssertionError, match="not empty"):
        stack.script("backup.sh", str(folder))
    with pytest.raises(AssertionError, match="has a ledger already"):
        stack.script("restore.sh", str(folder))
    stack.compose("down", "--volumes")
    stack.script("restore.sh", str(folder))
    stack.up()
    until(lambda: stack.asked(SERVICE, "/readyz"), 60, "the service")
    again = stack.ask(SERVICE, "/predict", record, key=key(stack))
    assert again["probability"] == answer["probability"]
    all_moved(stack)
    after = kept(stack)
    assert int(after["prediction"]) == int(before["prediction"]) + 2
    assert_kept(before, after)
    assert stack.refit("status", stack.usecase)["live"] == answer["model_version"]
