"""Nights on a real Prefect server whose worker and flow are killed on the way, and the nights that come after them.

One server for all; each night has a home and a database of its own, and a deployment of its own to run through, since
a killed night holds its deployment's one place until it counts as crashed.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from pydantic import SecretStr

from flows import automations
from flows.conductor import POOL, SERVER
from flows.deploy import deploy
from flows.environment import environment
from flows.processes import Processes
from flows.server import PrefectServer
from refit.loop.load import load_demo
from refit.loop.nightly import nightly
from refit.loop.wiring import open_world
from refit.settings import Settings
from refit.store import embedded
from refit.usecase.catalogue import names
from tests.e2e.product import free_port
from tests.integration.conftest import other_database, run

USECASE = "demo"
DAY = date(2026, 6, 30)
PER_MONTH = 700
MONTHS = 20
STEPS = ("ingest", "monitor", "retrain", "release")
PENDING = frozenset(event.rpartition(".")[2] for event in automations.NEVER_STARTED["trigger"]["after"])
"""The names of a run that waits for its process; they follow each other within a second."""
STARTS = {"Pending": PENDING, "Running": frozenset({"Running"})}
"""How a run stands before its first step: waiting for its process, and running without a heartbeat yet."""
TRIES = 3
"""So many nights are started to see one in a step: some steps are over within the time of a slow answer."""
CRASHED_SECONDS = 180
"""A killed run counts as crashed after that long at most: the promise that is tested."""
NEVER_STARTED_SECONDS = automations.START_SECONDS + 60
"""And one that had not started yet after that long."""
PATIENCE_SECONDS = 600
LOOK_SECONDS = 0.05


class MissedError(Exception):
    """What was waited for is over already."""


def as_of() -> datetime:
    return datetime.combine(DAY, clock_time.max, UTC)


@dataclass
class Night:
    """A loan book that nobody has looked at yet, in a home and a database of its own."""

    settings: Settings
    deployment: str = ""
    """The one it runs through, from its first run on."""

    def left(self) -> dict[str, Any]:
        """Return what matters of what a night left: what came in, what was promoted, what is live, what is kept."""
        with open_world(self.settings) as world:
            ledger = world.ledger
            live = ledger.live(USECASE)
            verdicts = ledger.verdicts(USECASE)
            return {
                "batches": sorted(
                    (row.sha256, row.n_records, row.n_rejected, row.watermark_at.isoformat(), row.watermark_key)
                    for row in ledger.batches(USECASE)
                ),
                "lake": sorted(world.lake.paths(USECASE)),
                "models": sorted({row.version for row in ledger.bundles(USECASE)}),
                "promoted": sorted({row.challenger for row in verdicts if row.outcome == "promote"}),
                "releases": [row.version for row in ledger.releases(USECASE)],
                "live": None if live is None else live.version,
                "open": len(ledger.open_decisions(USECASE)),
            }


@dataclass
class Killed:
    """A night that was killed: in which step, and how it went on."""

    night: Night
    step: str
    run: str
    at: float
    states: list[str] = field(default_factory=list)


class Yard:
    """The server, and the worker of one night at a time."""

    def __init__(self, folder: Path, database: str, port: int) -> None:
        self.folder = folder
        self._database = database
        self._port = port
        self._free = iter([f"nightly-{name}" for name in names()] * 9)
        self.processes = Processes(folder / "logs")
        self.settings = Settings(home=folder / "server", prefect_port=port)
        self.server = PrefectServer(f"http://127.0.0.1:{port}/api")

    def open(self) -> None:
        """Start the server and put everything on it."""
        given = environment(self.settings)
        self.settings.folder.mkdir(parents=True, exist_ok=True)
        self.processes.start("prefect-server", SERVER, given, self.folder)
        self.wait(lambda: (self.processes.check(), self.server.is_healthy())[1])
        deploy(self.settings, print)
        for deployment in self.server._ask("POST", "/deployments/filter", {}):  # no night but those started here
            self.server._ask("PATCH", f"/deployments/{deployment['id']}", {"paused": True})

    def close(self) -> None:
        self.processes.stop(*self.processes.names, patience_seconds=15, whole_tree=True)
        self.processes.stop_rest()
        self.server.close()

    def night(self, name: str) -> Night:
        """Return a night to come: the book is loaded, nothing of it taken in."""
        database = f"night_{uuid4().hex}"
        run(self._database, f"CREATE DATABASE {database}")
        settings = Settings(
            home=self.folder / name,
            prefect_port=self._port,
            database_url=SecretStr(other_database(self._database, database)),
        )
        settings.folder.mkdir(parents=True)
        with open_world(settings) as world:
            load_demo(world, as_of(), months=MONTHS, per_month=PER_MONTH)
        return Night(settings)

    def undisturbed(self) -> dict[str, Any]:
        """Return what the night leaves where nobody disturbs it."""
        night = self.night("undisturbed")
        with open_world(night.settings) as world:
            nightly(world, world.usecase(USECASE), as_of())
        return night.left()

    def start(self, night: Night) -> str:
        """Start the night through its deployment, with its worker."""
        self.start_worker(night)
        return self.ask_for(night)

    def start_worker(self, night: Night) -> None:
        """Start the worker of a night, and wait until the server knows it."""
        since = datetime.now(UTC)
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        self.processes.start("worker", command, environment(night.settings), night.settings.folder)
        self.wait(lambda: self.server.has_fresh_worker(POOL, since))

    def ask_for(self, night: Night) -> str:
        night.deployment = night.deployment or next(self._free)
        found = self.server._ask("GET", f"/deployments/name/nightly/{night.deployment}")["id"]
        asked = {"parameters": {"usecase": USECASE, "as_of": DAY.isoformat()}, "state": {"type": "SCHEDULED"}}
        return str(self.server._ask("POST", f"/deployments/{found}/create_flow_run", asked)["id"])

    def until_it_stands(self, run: str, wanted: str) -> None:
        """Wait until a run that has not begun a step stands like one of `STARTS`.

        Raises:
            MissedError: It has gone on from there.
        """

        def is_there() -> bool:
            seen = self.server.state(run).name
            if seen not in {"Scheduled", "Late", *PENDING, *STARTS[wanted]}:
                raise MissedError(f"the run is {seen} already")
            return seen in STARTS[wanted]

        self.wait(is_there)

    def until(self, run: str, step: str, state: str = "Running") -> None:
        """Wait for a step of a run.

        Raises:
            MissedError: The step or the run is over.
        """

        def is_there() -> bool:
            seen = self.server.tasks(run).get(step)
            if seen not in {None, "Pending", "Scheduled", state}:
                raise MissedError(f"{step} is {seen} already")
            if (stands := self.server.state(run)).is_final:
                raise MissedError(f"the run is {stands} already")
            return seen == state

        self.wait(is_there)

    def kill_worker_and_flow(self) -> None:
        """SIGKILL to both, and to all that they started; nobody says goodbye to the server."""
        child = self.processes._children.pop("worker")
        kill_tree(psutil.Process(child.process.pid))
        child.process.wait()

    def kill_flow(self) -> None:
        """SIGKILL to the flow alone; its worker lives, and tells."""
        worker = psutil.Process(self.processes._children["worker"].process.pid)
        for one in worker.children():
            kill_tree(one)

    def stop_worker(self) -> None:
        self.processes.stop("worker", patience_seconds=30, whole_tree=True)

    def seconds_to_crashed(self, killed: Killed) -> float:
        """Wait until the server says of a killed run that it crashed; return how long after the kill that was.

        It is told by the server's own clock, so that whoever asks late learns the same.
        """
        self.wait(lambda: self.server.state(killed.run).is_final, NEVER_STARTED_SECONDS + 60)
        state = self.server._ask("GET", f"/flow_runs/{killed.run}")["state"]
        killed.states.append(state["name"])
        return datetime.fromisoformat(state["timestamp"]).timestamp() - killed.at

    def ends(self, run: str) -> str:
        """Wait for the end of a run, and return the name of its state."""
        self.wait(lambda: self.server.state(run).is_final)
        return self.server.state(run).name

    def wait(self, condition, seconds: float = PATIENCE_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(LOOK_SECONDS)


@contextmanager
def opened(folder: Path) -> Iterator[Yard]:
    """Give a yard with its server, all of it gone afterwards."""
    with embedded.running(folder / "postgres") as url:
        yard = Yard(folder, url, free_port())
        try:
            yard.open()
            yield yard
        finally:
            yard.close()
            shutil.rmtree(folder / "server", ignore_errors=True)


def kill_tree(top: psutil.Process) -> None:
    """SIGKILL to a process and all that came of it, all of them suspended first: none starts another meanwhile."""
    held: set[psutil.Process] = set()
    with suppress(psutil.NoSuchProcess):
        top.suspend()
        while more := {top, *top.children(recursive=True)} - held:
            held |= more
            for one in more:
                with suppress(psutil.NoSuchProcess):
                    one.suspend()
    for one in held:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def kill_in(yard: Yard, step: str, *, worker_too: bool, after: float = 0.0) -> Killed:
    """Start a night and kill it in that step, so many seconds after the step began; return it as it lies there.

    Of `STARTS` it is killed before any step, as soon as it stands so.
    """
    night, found = seen_in(yard, step, f"{step}-{'worker' if worker_too else 'flow'}-{after:g}")
    if after:
        time.sleep(after)  # how far the step has come is the point
    if worker_too:
        yard.kill_worker_and_flow()
    else:
        yard.kill_flow()
    return Killed(night, step, found, time.time())


def seen_in(yard: Yard, step: str, name: str) -> tuple[Night, str]:
    """Start a night and return it with its run, which is in that step now.

    One whose step was missed ends well, and a fresh one with a book of its own follows through the same deployment.

    Raises:
        MissedError: The step was missed again and again.
    """
    deployment = ""
    for left in range(TRIES - 1, -1, -1):
        night = yard.night(f"{name}-{left}")
        night.deployment = deployment
        found = yard.start(night)
        try:
            (yard.until_it_stands if step in STARTS else yard.until)(found, step)
        except MissedError:
            assert yard.ends(found) == "Completed"
            if not left:
                raise
            yard.stop_worker()
            deployment = night.deployment
        else:
            break
    return night, found


def go_on(yard: Yard, killed: Killed) -> dict[str, Any]:
    """Start the worker again where it is gone, let the next night run, and return what there is then."""
    found = yard.ask_for(killed.night) if "worker" in yard.processes.names else yard.start(killed.night)
    killed.states.append(yard.ends(found))
    yard.stop_worker()
    return killed.night.left()
