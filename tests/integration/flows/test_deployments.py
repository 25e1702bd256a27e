"""`prefect.yaml` on a real Prefect server: what is deployed, and that it is due."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from flows.automations import DEAD_RUNS
from flows.conductor import POOL, ROOT, SERVER
from flows.deploy import deploy
from flows.environment import environment
from flows.events import RETRAIN_REQUESTED, resource
from flows.processes import Processes
from flows.server import PrefectServer
from refit.settings import Settings
from refit.usecase.catalogue import find, names
from tests.patient import Patient

pytestmark = pytest.mark.slow


@dataclass
class Deployed:
    """A server with everything of `prefect.yaml` on it, and no worker."""

    server: PrefectServer
    api: httpx.Client

    def deployment(self, name):
        return self.api.get(f"/deployments/name/{name}").raise_for_status().json()

    def runs(self, **wanted):
        return self.api.post("/flow_runs/filter", json={"flow_runs": wanted, "limit": 200}).raise_for_status().json()

    def make_run(self, deployment, state):
        found = self.deployment(deployment)["id"]
        run = self.api.post(f"/deployments/{found}/create_flow_run", json={"state": state}).raise_for_status()
        return run.json()["id"]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> Iterator[Deployed]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(home=tmp_path_factory.mktemp("home"), prefect_port=port)
    given = environment(settings)
    processes = Processes(settings.folder / "logs")
    server = PrefectServer(given["PREFECT_API_URL"])
    try:
        processes.start("prefect-server", SERVER, given, settings.folder)
        _wait(lambda: (processes.check(), server.is_healthy())[1])
        deploy(settings, print)
        server.keep_pool(POOL, is_paused=True)
        with httpx.Client(base_url=given["PREFECT_API_URL"], timeout=75, transport=Patient()) as api:
            yield Deployed(server, api)
    finally:
        server.close()
        processes.stop(*processes.names, patience_seconds=15)
        processes.dismiss_warden()


def _scheduled(deployed):
    return {run["id"] for run in deployed.runs(state={"type": {"any_": ["SCHEDULED"]}})}


def _wait(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def test_every_night_has_a_run_to_come(deployed):
    """With a database layer the server does not fit, it looks healthy and never schedules anything."""
    now = datetime.now(UTC)
    wanted = {f"nightly-{usecase}" for usecase in names()}
    _wait(lambda: wanted <= set(deployed.server.scheduled(now)), 90)
    for name in wanted:
        due = deployed.server.scheduled(now)[name]
        hour = int(find(name.removeprefix("nightly-")).schedule.split()[1])
        assert now < due < now + timedelta(days=1, minutes=1)
        assert due.astimezone(UTC).hour == hour


def test_every_use_case_is_retrained_once_a_week(deployed):
    now = datetime.now(UTC)
    wanted = {f"retrain-{usecase}" for usecase in names()}
    _wait(lambda: wanted <= set(deployed.server.scheduled(now)), 90)
    assert all(now < deployed.server.scheduled(now)[name] < now + timedelta(days=7, minutes=1) for name in wanted)


def test_fifty_requests_at_once_start_one_retrain(deployed):
    def request(usecase):
        return {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": RETRAIN_REQUESTED,
            "resource": {"prefect.resource.id": resource(usecase)},
            "payload": {"usecase": usecase},
        }

    def asked_for(usecase):
        parameters = {"usecase": usecase, "requested": True}
        return [run for run in deployed.runs() if run["parameters"] == parameters]

    for batch in ([request("demo") for _ in range(50)], [request("sba")]):
        deployed.api.post("/events", json=batch).raise_for_status()
    _wait(lambda: asked_for("sba"), 60)  # told last, so that all of the others have been looked at
    _wait(lambda: asked_for("demo"), 60)  # and yet the server may act on the last one first
    assert len(asked_for("demo")) == 1
    assert asked_for("demo")[0]["deployment_id"] == deployed.deployment("retrain/retrain-demo")["id"]
    for run in (*asked_for("demo"), *asked_for("sba")):
        deployed.api.delete(f"/flow_runs/{run['id']}").raise_for_status()


def test_an_automation_is_kept_once_and_brought_up_to_date(deployed):
    def kept():
        found = deployed.api.post("/automations/filter", json={}).raise_for_status().json()
        return [one for one in found if one["name"] == DEAD_RUNS["name"]]

    deployed.server.keep_automation({**DEAD_RUNS, "enabled": False})
    deployed.server.keep_automation(DEAD_RUNS)
    assert [one["enabled"] for one in kept()] == [True]
    assert kept()[0]["actions"][0]["state"] == "CRASHED"


def test_runs_that_ended_long_ago_are_swept_and_counted_before(deployed):
    run = deployed.make_run("nightly/nightly-demo", {"type": "SCHEDULED"})
    deployed.api.post(f"/flow_runs/{run}/set_state", json={"state": {"type": "CANCELLED"}, "force": True})
    later = datetime.now(UTC) + timedelta(minutes=1)
    n = deployed.server.sweep(later, dry_run=True)
    assert n >= 1
    assert deployed.server.sweep(later) == n
    assert deployed.server.sweep(later, dry_run=True) == 0
    assert deployed.api.get(f"/flow_runs/{run}").status_code == 404


@pytest.mark.parametrize("usecase", names())
@pytest.mark.parametrize("flow", ["nightly", "retrain"])
def test_a_deployment_stands_as_the_file_says(deployed, flow, usecase):
    found = deployed.deployment(f"{flow}/{flow}-{usecase}")
    assert found["entrypoint"] == f"flows/{flow}.py:{flow}"
    assert found["parameters"] == {"usecase": usecase}
    assert found["work_pool_name"] == POOL
    assert found["global_concurrency_limit"]["limit"] == 1
    assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"


def test_the_form_in_the_ui_has_the_flows_parameters_with_their_meaning(deployed):
    form = deployed.deployment("nightly/nightly-demo")["parameter_openapi_schema"]["properties"]
    assert set(form) == {"usecase", "as_of"}
    assert "name of the use case" in form["usecase"]["description"]


def test_a_worker_finds_the_flows_in_the_folder_they_were_deployed_from(deployed):
    steps = deployed.deployment("nightly/nightly-demo")["pull_steps"]
    assert steps == [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]


def test_a_paused_pool_is_opened_and_closed_as_asked(deployed):
    for is_paused in (False, True):
        deployed.server.keep_pool(POOL, is_paused=is_paused)
        pool = deployed.api.get(f"/work_pools/{POOL}").json()
        assert pool["is_paused"] is is_paused
        assert pool["type"] == "process"
        assert "command" in pool["base_job_template"]["job_configuration"]


def test_what_an_earlier_server_left_is_ended_and_makes_way_for_the_next_run(deployed):
    night = "nightly/nightly-demo"
    broken = deployed.make_run(night, {"type": "SCHEDULED"})
    for state in ("PENDING", "RUNNING"):
        deployed.api.post(f"/flow_runs/{broken}/set_state", json={"state": {"type": state}}).raise_for_status()
    assert deployed.server.state(broken).type == "RUNNING"
    assert deployed.deployment(night)["global_concurrency_limit"]["active_slots"] == 1
    past = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    missed = deployed.make_run(night, {"type": "SCHEDULED", "state_details": {"scheduled_time": past}})
    to_come = _scheduled(deployed) - {missed}
    yesterday = datetime.now(UTC) - timedelta(days=1)  # a night that falls due at this minute is none of those

    assert deployed.server.clear_the_past(yesterday) == (1, 1)

    assert deployed.server.state(broken).name == "Crashed"
    assert deployed.server.state(missed).name == "Skipped"
    assert to_come
    assert to_come <= _scheduled(deployed)
    assert deployed.deployment(night)["global_concurrency_limit"]["active_slots"] == 0
    assert deployed.server.clear_the_past(yesterday) == (0, 0)


def test_a_run_that_is_started_has_its_name_and_waits_for_the_worker(deployed):
    run = deployed.server.start("nightly/nightly-demo", "nightly-demo-2026-03-17")
    found = deployed.api.get(f"/flow_runs/{run}").json()
    assert found["name"] == "nightly-demo-2026-03-17"
    assert found["parameters"] == {"usecase": "demo"}
    assert not deployed.server.state(run).is_final
    assert deployed.server.tasks(run) == {}
    assert deployed.server.artifacts(run) == []
    deployed.api.delete(f"/flow_runs/{run}").raise_for_status()
