"""What `refit up` asks of the Prefect server, over its HTTP API: importing Prefect's client would take seconds."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from flows.addresses import prefect_api
from flows.automations import OURS
from refit.errors import OutageError
from refit.settings import Settings

FINAL: Final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
PAGE: Final = 200
PATIENCE_SECONDS: Final = 75
"""How long an answer may take: on SQLite the server waits up to a minute for another's write."""
BUSY_SECONDS: Final = 30
BUSY_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run stands: Prefect's type and name of its state, and what it says."""

    type: str
    name: str
    message: str

    @property
    def is_final(self) -> bool:
        """Whether it will not change any more."""
        return self.type in FINAL


class PrefectServer:
    """A Prefect server, by the address of its API."""

    def __init__(self, api: str) -> None:
        lock = os.environ.get("PREFECT_API_AUTH_STRING", "")
        auth = httpx.BasicAuth(*lock.split(":", 1)) if ":" in lock else None
        self._client = httpx.Client(base_url=api, timeout=PATIENCE_SECONDS, trust_env=False, auth=auth)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def is_healthy(self) -> bool:
        """Say whether it answers."""
        try:
            return self._client.get("/health", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def has_fresh_worker(self, pool: str, since: datetime) -> bool:
        """Say whether a worker of the pool reported after `since`."""
        workers = self._ask("POST", f"/work_pools/{pool}/workers/filter", {})
        return any(_moment(worker.get("last_heartbeat_time")) > since for worker in workers)

    def keep_pool(self, name: str, *, is_paused: bool) -> None:
        """See that there is a work pool of local processes; a paused one starts no run."""
        if self._answer("GET", f"/work_pools/{name}").status_code == httpx.codes.NOT_FOUND:
            types = self._ask("GET", "/collections/views/aggregate-worker-metadata")
            template = types["prefect"]["process"]["default_base_job_configuration"]
            pool = {"name": name, "type": "process", "base_job_template": template, "is_paused": is_paused}
            self._ask("POST", "/work_pools/", pool)
        else:
            self._ask("PATCH", f"/work_pools/{name}", {"is_paused": is_paused})

    def keep_automation(self, automation: dict[str, Any]) -> None:
        """See that there is an automation of that name and that it says what it should."""
        wanted = {"automations": {"name": {"any_": [automation["name"]]}}}
        found = self._ask("POST", "/automations/filter", wanted)
        if found:
            self._ask("PUT", f"/automations/{found[0]['id']}", automation)
        else:
            self._ask("POST", "/automations/", automation)

    def clear_the_past(self, now: datetime) -> tuple[int, int]:
        """End what an earlier server left: runs that no process runs any more, and nights that were missed.

        Returns:
            How many runs were broken off, how many nights missed.
        """
        broken = self._runs({"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}})
        for run in broken:
            self._set_state(
                run, "CRASHED", "Crashed", "refit was stopped while this ran; the next run goes on from there."
            )
        late = {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "next_scheduled_start_time": {"before_": now.isoformat()},
        }
        missed = self._runs(late)
        for run in missed:
            self._set_state(run, "CANCELLED", "Skipped", "refit was not running then; the next run takes in all of it.")
        return len(broken), len(missed)

    def sweep(self, before: datetime, *, dry_run: bool = False) -> int:
        """Delete the runs that ended before a moment, with their logs and artifacts; return how many there were."""
        wanted = {"state": {"type": {"any_": sorted(FINAL)}}, "end_time": {"before_": before.isoformat()}}
        asked = {"flow_runs": wanted, "flows": {"name": {"any_": list(OURS)}}}  # others may use this server too
        if dry_run:
            return int(self._ask("POST", "/flow_runs/count", asked))
        swept = 0
        while runs := self._ask("POST", "/flow_runs/filter", {**asked, "limit": PAGE}):
            for run in runs:
                self._ask("DELETE", f"/flow_runs/{run['id']}")
            swept += len(runs)
        return swept

    def start(self, deployment: str, name: str) -> str:
        """Start a run of a deployment, like `nightly/nightly-demo`, under a name; return the run's id."""
        found = self._ask("GET", f"/deployments/name/{deployment}")
        run = {"name": name, "state": {"type": "SCHEDULED", "message": "Started by refit up."}}
        return str(self._ask("POST", f"/deployments/{found['id']}/create_flow_run", run)["id"])

    def state(self, run: str) -> RunState:
        """Return how a run stands."""
        found = self._ask("GET", f"/flow_runs/{run}")["state"] or {}
        return RunState(found.get("type", ""), found.get("name", ""), found.get("message") or "")

    def tasks(self, run: str) -> dict[str, str]:
        """Return the tasks of a run in the order of their start, each with its state's name."""
        asked = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found = self._ask("POST", "/task_runs/filter", asked)
        return {task["name"].rpartition("-")[0] or task["name"]: task["state_name"] for task in found}

    def artifacts(self, run: str) -> list[dict[str, Any]]:
        """Return what a run left to see."""
        found: list[dict[str, Any]] = self._ask(
            "POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}}
        )
        return found

    def scheduled(self, now: datetime) -> dict[str, datetime]:
        """Return the deployments with a run to come, by name, and when that is."""
        names = {one["id"]: one["name"] for one in self._ask("POST", "/deployments/filter", {})}
        wanted = {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "next_scheduled_start_time": {"after_": now.isoformat()},
        }
        found: dict[str, datetime] = {}
        for run in self._runs(wanted):
            name, at = names.get(run["deployment_id"], ""), _moment(run["next_scheduled_start_time"])
            found[name] = min(at, found.get(name, at))
        return found

    def _runs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("POST", "/flow_runs/filter", {"flow_runs": wanted, "limit": PAGE})
        return found

    def _set_state(self, run: dict[str, Any], kind: str, name: str, message: str) -> None:
        state = {"type": kind, "name": name, "message": message}
        self._ask("POST", f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._answer(method, path, body)
        if not answer.is_success:
            raise OutageError(f"the Prefect server answered {answer.status_code} to {path}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Ask, and ask again while the server is busy: on SQLite it answers 503 when two write at once."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                answer = self._client.request(method, path, json=body)
            except httpx.HTTPError as error:
                raise OutageError(f"the Prefect server does not answer: {error}") from None
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > end:
                return answer
            time.sleep(BUSY_PAUSE_SECONDS)


def _moment(text: str | None) -> datetime:
    return datetime.min.replace(tzinfo=UTC) if text is None else datetime.fromisoformat(text)


def sweep_runs(settings: Settings, before: datetime, *, dry_run: bool) -> int | None:
    """Sweep the runs of the server the settings name; None where none answers."""
    server = PrefectServer(prefect_api(settings))
    try:
        return server.sweep(before, dry_run=dry_run) if server.is_healthy() else None
    finally:
        server.close()
