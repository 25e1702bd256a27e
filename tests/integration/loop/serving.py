"""A service as `refit serve` runs it, in a process of its own, and clients that remember every id they were given.

The benchmark of the decision log uses it too.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from refit.loop.wiring import open_world
from refit.release.bento import build
from refit.scoring.bundle import Bundle, save
from refit.settings import Settings
from refit.store.rows import BundleRow, ReleaseRow

PATIENCE = 120.0

# As the command does it; but a process that is killed again and again comes back at once.
RUN = """
import sys
import refit.release.supervisor as supervisor
from refit.loop.serve import serve
from refit.loop.wiring import open_world
from refit.settings import Settings
supervisor.LONGEST_PAUSE = supervisor.FIRST_PAUSE
with open_world(Settings.read()) as world:
    serve(world, world.usecase(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), echo=lambda text: None)
"""


def wait_until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)


def put_live(settings: Settings, bundle: Bundle) -> None:
    """Have the ledger say that the bundle shall be live, with its files where they belong."""
    settings.usecases.mkdir(parents=True, exist_ok=True)
    name = bundle.usecase.name
    (settings.usecases / f"{name}.yaml").write_text(bundle.usecase.model_dump_json(by_alias=True, exclude_unset=True))
    folder = settings.bundles / name / bundle.version
    save(bundle, folder)
    settings.bentoml.mkdir(parents=True, exist_ok=True)
    tag = build(folder, bentoml_home=settings.bentoml)
    common = {"usecase": name, "version": bundle.version, "as_of": bundle.as_of}
    path = f"{name}/{bundle.version}"
    with open_world(settings) as world:
        world.ledger.record_bundle(
            BundleRow(**common, snapshot="s", path=path, learner=bundle.learner, metrics={}, card={})
        )
        world.ledger.record_release(ReleaseRow(**common, bento_tag=tag, kind="release", reason="a test"))


class Service:
    """A `refit serve` in a process of its own."""

    def __init__(self, settings: Settings, usecase: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = settings.folder / "spool" / usecase
        environment = {
            "REFIT_HOME": str(settings.folder),
            "REFIT_USECASES": str(settings.usecases),
            "REFIT_DATABASE_URL": settings.database_url.get_secret_value(),
            "REFIT_SPOOL_MB": str(settings.spool_mb),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, usecase, str(self.port)],
            env={name: value for name, value in os.environ.items() if not name.startswith("REFIT_")} | environment,
            stderr=subprocess.DEVNULL,
        )

    def ready(self) -> bool:
        """Whether a release is live."""
        assert self.process.poll() is None, "the service ended"
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Return status and answer."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            client.request(method, path, None if body is None else json.dumps(body))
            response = client.getresponse()
            return response.status, response.read()
        finally:
            client.close()

    def generations(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                if any(part.endswith("generation.py") for part in child.cmdline()) and child.status() != "zombie":
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def kill_generation(self) -> int:
        """End whatever answers with SIGKILL, in the middle of whatever it does; return how many that were."""
        found = self.generations()
        for one in found:
            os.kill(one.pid, signal.SIGKILL)
        return len(found)

    def stop(self) -> int:
        """End it in good order."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def served(settings: Settings, usecase: str) -> Iterator[Service]:
    """Give a service that is ready, and leave no process behind."""
    service = Service(settings, usecase)
    try:
        wait_until(service.ready)
        yield service
    finally:
        children = psutil.Process(service.process.pid).children() if service.process.poll() is None else []
        service.process.kill()
        service.process.wait()
        psutil.wait_procs(children, PATIENCE)


class Client(threading.Thread):
    """Asks over one connection, single records and batches by turns, and remembers each id it was given."""

    def __init__(self, port: int, records: Sequence[Any], pause: float) -> None:
        super().__init__()
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        many = [record for record in records for _ in range(10)]
        self._single = json.dumps(records[0])
        self._batch = json.dumps(many)
        self._n_batch = len(many)
        self._pause = pause
        self.ended = threading.Event()
        self.ids: list[str] = []
        self.broken = 0
        self.unanswered = 0
        self.refused: list[str] = []

    def run(self) -> None:
        """Ask until told to end."""
        turn = 0
        while not self.ended.is_set():
            turn += 1
            batch = turn % 20 == 0
            try:
                self._client.request(
                    "POST", *(("/predict/batch", self._batch) if batch else ("/predict", self._single))
                )
                response = self._client.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.broken += 1  # killed before it could answer
                self.unanswered += self._n_batch if batch else 1
                self._client.close()
                continue
            if response.status == 200:
                self.ids += [one["id"] for one in (answer["predictions"] if batch else [answer])]
            else:
                self.refused.append(answer["error"]["message"])
                self.ended.wait(0.1)  # as Retry-After asks; who hammers takes the start's own processor
            self.ended.wait(self._pause)
        self._client.close()


@contextmanager
def load(port: int, records: Sequence[Any], connections: int = 8, pause: float = 0.002) -> Iterator[list[Client]]:
    clients = [Client(port, records, pause) for _ in range(connections)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.ended.set()
        for client in clients:
            client.join()


def kill_at_random_moments(service: Service, kills: int, seed: int = 1) -> None:
    """Kill the generation so many times, each some moment after it has begun to answer."""
    moments = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(kills):
        wait_until(service.ready)
        threading.Event().wait(moments.uniform(0, 0.5))
        assert service.kill_generation() == 1


def ids_of(clients: list[Client]) -> list[str]:
    return [one for client in clients for one in client.ids]


def stop_postgres(folder: Path) -> None:
    """End an embedded server as a crash would; opened again, it has the same address."""
    os.kill(int((folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def left_over(folder: Path) -> list[str]:
    """Return what is left of the spool."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
