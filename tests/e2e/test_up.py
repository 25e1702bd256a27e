"""The whole product, as `make up` starts it: on free ports, in a home of its own, stopped as a user would."""

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from tests.e2e.product import LAST_LINE, REFIT, STOP_SECONDS, Up, ask

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    started = Up(tmp_path_factory.mktemp("up") / "home")
    started.start()
    yield started
    started.end()


@pytest.fixture(scope="module")
def running(up):
    up.wait_for(LAST_LINE)
    return up


@pytest.fixture(scope="module")
def night(running):
    """The run that its deployment made of the first night."""
    runs = running.runs("nightly-demo", "COMPLETED")
    assert len(runs) == 1
    return runs[0]


def test_the_printed_curl_line_is_answered(running):
    line = next(line for line in running.printed.splitlines() if line.strip().startswith("curl "))
    words = shlex.split(line)
    if shutil.which("curl"):
        asked = [*words, "-w", "\n%{http_code}"]
        body, _, status = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.rpartition("\n")
        answer = httpx.Response(int(status), text=body).json()
    else:
        content = words[words.index("-d") + 1]
        answer = ask(words[2], content=content, headers={"content-type": "application/json"}).json()
    assert 0 < answer["probability"] < 1
    assert answer["decision"] in {"approve", "decline"}
    assert answer["model_version"].startswith("demo-")


def test_the_first_night_ran_through_its_deployment(running, night):
    deployment = running.prefect(f"/deployments/{night['deployment_id']}")
    assert deployment["name"] == "nightly-demo"
    assert night["name"] == f"nightly-demo-{datetime.fromisoformat(night['expected_start_time']):%Y-%m-%d}"
    assert night["work_pool_name"] == "refit"


def artifacts(running, run):
    """What a run left to see, by key."""
    found = running.prefect("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    return {artifact["key"]: artifact for artifact in found}


def test_the_night_and_the_run_that_its_event_asked_for_train_once_between_them(running, night):
    """The night decides to retrain and does so; the event it sends of that starts a run that finds it done.

    The week's own retrain may fall into the same minutes, and train another.
    """
    asked_for = running.wait_until(lambda: running.runs("retrain-demo", "COMPLETED"))
    assert [run for run in asked_for if "demo-training" in artifacts(running, run)] == []
    summary = artifacts(running, night)["demo-summary"]["data"]
    models = json.loads(running.run("status", "demo", "--json"))["models"]
    assert len([model for model in models if model["version"] in summary]) == 1


def test_the_run_shows_what_it_did(running, night):
    by_key = artifacts(running, night)
    shown = ("summary", "drift", "drift-history", "report-link", "report", "training")
    assert set(by_key) == {f"demo-{what}" for what in shown}
    assert "records came in" in by_key["demo-summary"]["data"]
    assert "Decided: **retrain**" in by_key["demo-summary"]["data"]
    assert "credit_score" in by_key["demo-drift"]["data"]
    assert by_key["demo-report"]["type"] == "rich"
    assert by_key["demo-report"]["data"]["html"].startswith("<iframe")
    assert len(by_key["demo-report"]["data"]["html"]) < 200


def test_the_report_is_one_click_away(running, night):
    link = re.search(r"\((http.*)\)", artifacts(running, night)["demo-report-link"]["data"])[1]
    assert link in running.printed
    assert link.startswith(running.url("CONSOLE"))
    page = ask(link)
    assert 'sandbox="allow-scripts"' in page.text
    report = ask(f"{link}/html")
    assert len(report.content) > 1_000_000
    assert report.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert ask(f"{link}/json").json()["drift"]["columns"]


def test_the_overview_shows_the_model_that_is_live(running):
    live = ask(f"{running.url('SERVICE')}/model").json()["version"]
    assert live in ask(f"{running.url('CONSOLE')}/").text
    assert live in running.printed


def test_the_ui_shows_a_report_inside_a_run_by_default(running):
    assert ask(f"{running.url('PREFECT')}/ui-settings").json()["default_ui"] == "v1"


def test_the_next_night_is_due(running):
    wanted = {
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "next_scheduled_start_time": {"after_": datetime.now(UTC).isoformat()},
    }
    end = time.monotonic() + 90
    while not running.prefect("/flow_runs/filter", {"flow_runs": wanted}):
        assert time.monotonic() < end
        time.sleep(0.5)


def test_a_second_one_on_the_same_home_says_that_one_is_running(running):
    second = Up(running.home)
    done = subprocess.run(
        [REFIT, "up"], env=second.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 5
    assert f"already (process {running.process.pid})" in done.stdout + done.stderr


def test_the_same_ports_for_another_home_are_a_clear_error(running, tmp_path):
    other = Up(tmp_path / "home", ports=running.ports)
    done = subprocess.run([REFIT, "up"], env=other.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert "REFIT_PREFECT_PORT" in done.stdout + done.stderr
    assert other.left() == []


def test_ctrl_c_stops_all_of_it_and_leaves_no_process(running):
    assert running.stop(signal.SIGINT) == 0
    assert running.left() == []
    for port in running.ports.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_sigterm_stops_it_too(running):
    running.start()
    running.wait_for("The Prefect server answers")
    assert running.stop(signal.SIGTERM) == 0
    assert running.left() == []


def test_stopped_while_it_starts_it_leaves_nothing(running):
    running.start()
    running.wait_for("Starting the Prefect server")
    time.sleep(1)
    assert running.stop(signal.SIGHUP) == 0
    assert running.left() == []


def test_a_part_that_dies_ends_the_rest_with_the_end_of_its_log(running):
    running.start()
    running.wait_for("The Prefect server answers")
    server = next(one for one in psutil.Process(running.process.pid).children() if "server" in one.cmdline())
    server.kill()
    assert running.process.wait(STOP_SECONDS) == 5
    assert re.search(r"prefect-server was ended by SIGKILL|the Prefect server does not answer", running.printed)
    assert running.left() == []
