"""A model as large as the real ones, its Bento, and clients: what the benchmarks of the service share."""

import asyncio
import dataclasses
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import numpy as np
import xgboost

from refit.loop.wiring import open_world
from refit.release.bento import bento_path, build
from refit.scoring.bundle import Bundle, GoldenRecord, named, save
from refit.scoring.calibration import Calibrator
from refit.scoring.encoder import Encoder
from refit.scoring.model import XGBoostModel
from refit.settings import Settings
from refit.store.rows import ReleaseRow
from refit.usecase.model import UseCase

NUMBERS, CATEGORIES = 18, 9
CONTENT = {
    "name": "bench",
    "title": "Benchmark",
    "source": {"table": "source.bench", "key": "id", "arrived_at": "day"},
    "event_time": {"column": "day"},
    "label": {"name": "bad", "happened_on": {"column": "failed_on"}, "within_months": 12},
    "features": {f"number_{i}": {"type": "number", "min": 0, "max": 1e6} for i in range(NUMBERS)}
    | {"share": {"type": "number", "from": "number_0 / number_1", "min": 0}}
    | {f"category_{i}": {"type": "category"} for i in range(CATEGORIES)},
    "known_later": ["paid"],
    "score": {"bands": {"A": 620, "B": 580}},
}


def record(seed: int) -> dict[str, Any]:
    """Return one record of inputs."""
    random = np.random.default_rng(seed)
    numbers = {f"number_{i}": round(float(random.uniform(1, 1000)), 2) for i in range(NUMBERS)}
    return numbers | {f"category_{i}": f"value {random.integers(5 + 5 * i)}" for i in range(CATEGORIES)}


def bundle(seed: int, *, rounds: int = 200, depth: int = 6) -> Bundle:
    """Return a bundle; another seed gives another model and version."""
    usecase = UseCase.model_validate(CONTENT | {"example": record(0)})
    random = np.random.default_rng(seed)
    n = 4000
    columns: dict[str, Any] = {f"number_{i}": random.uniform(1, 1000, n) for i in range(NUMBERS)}
    columns["share"] = columns["number_0"] / columns["number_1"]
    for i in range(CATEGORIES):
        columns[f"category_{i}"] = np.array([f"value {v}" for v in random.integers(5 + 5 * i, size=n)], dtype=object)
    encoder = Encoder.fit(columns, usecase)
    bad = columns["number_2"] + columns["number_3"] + random.normal(0, 300, n) > 1000
    matrix = xgboost.DMatrix(encoder.encode(columns), bad.astype(float))
    settings = {"objective": "binary:logistic", "max_depth": depth, "nthread": 1, "seed": seed}
    model = XGBoostModel(xgboost.train(settings, matrix, num_boost_round=rounds))
    made = Bundle(
        usecase=usecase,
        version="",
        as_of=datetime(2024, 6, 30, tzinfo=UTC),
        learner="xgboost",
        model=model,
        encoder=encoder,
        calibrator=Calibrator(kind="platt", x=(), y=(0.9, 0.01)),
        threshold=0.4,
        profile={},
        card={},
    )
    inputs = [record(i) for i in range(5)]
    golden = tuple(GoldenRecord(i, float(p)) for i, p in zip(inputs, made.predict(inputs), strict=True))
    return named(dataclasses.replace(made, golden=golden))


def bento(made: Bundle, scratch: Path, home: Path) -> tuple[str, Path]:
    """Build the Bento of a bundle; return its tag and folder."""
    folder = scratch / made.version
    save(made, folder)
    tag = build(folder, bentoml_home=home)
    return tag, bento_path(tag, home)


SERVE = """
import sys
from pathlib import Path
from refit.release.supervisor import Release, Supervisor
release = Release(1, sys.argv[1], "refit_bench:" + sys.argv[1], Path(sys.argv[2]))
supervisor = Supervisor(lambda: release, lambda *_: print("live", supervisor.port, flush=True), print, "127.0.0.1", 0)
supervisor.run()
"""


@contextmanager
def served(version: str, path: Path, **environment: str) -> Iterator[tuple[int, Popen[str]]]:
    """Serve a Bento as `refit serve` does; give its port and the supervisor."""
    command = [sys.executable, "-c", SERVE, version, str(path)]
    process = Popen(command, stdout=PIPE, env={**os.environ, **environment}, text=True)
    try:
        port = None
        for line in process.stdout or ():
            if line.startswith("live "):
                port = int(line.split()[1])
                break
        if port is None:
            raise SystemExit("the service did not start")
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def put_live(made: Bundle, folder: Path, url: str) -> None:
    """Make a bundle live in the ledger at `url`."""
    (folder / "bench.yaml").write_text(json.dumps(CONTENT | {"example": record(0)}))
    settings = Settings(home=folder, database_url=url, usecases=folder)
    tag, _ = bento(made, folder / "bundles", settings.bentoml)
    with open_world(settings) as world:
        world.ledger.record_release(released(made.version, tag))


@contextmanager
def whole(folder: Path, url: str, **environment: str) -> Iterator[tuple[int, Popen[str]]]:
    """Run `refit serve` on what `put_live` made live; give its port and the supervisor."""
    port = free_port()
    told = {"REFIT_HOME": str(folder), "REFIT_DATABASE_URL": url, "REFIT_USECASES": str(folder), "COLUMNS": "500"}
    command = [Path(sys.executable).with_name("refit"), "serve", "bench", "--port", str(port)]
    process = Popen(command, stderr=PIPE, env={**os.environ, **told, **environment}, text=True)
    try:
        if not any("is live on" in line for line in process.stderr or ()):
            raise SystemExit("the service did not start")
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def released(version: str, tag: str) -> ReleaseRow:
    """Return the ledger's row that makes a version live."""
    return ReleaseRow(
        usecase="bench", version=version, bento_tag=tag, kind="release", reason="benchmark", as_of=datetime.now(UTC)
    )


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclasses.dataclass(slots=True)
class Reply:
    """One answer: when it was due and how long it took, in seconds of `time.monotonic`; status 0 is a failure."""

    due: float
    took: float
    status: int
    version: str
    id: str


class Connection:
    """A keep-alive connection that is opened anew only when the server said that it closes."""

    def __init__(self, port: int, headers: str = "") -> None:
        self._port = port
        self._headers = headers
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Post a body; return status and answer. No failure is tried again."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            head = f"POST {path} HTTP/1.1\r\nhost: a\r\n{self._headers}content-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            told = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(told.split(b"content-length:")[1].split(b"\r\n")[0])
            content = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        if b"connection: close" in told:
            self.close()
        return int(told.split(b" ", 2)[1]), content

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def steady(port: int, connections: int, rate: float, until: asyncio.Event, headers: str = "") -> list[Reply]:
    """Ask at a steady `rate` a second over each connection until told to stop; late answers delay no clock."""
    replies: list[Reply] = []
    body = json.dumps(record(1)).encode()
    start = time.monotonic()

    async def client(number: int) -> None:
        line = Connection(port, headers)
        due = start + number / connections / rate
        while not until.is_set():
            await asyncio.sleep(max(due - time.monotonic(), 0))
            status, answer = 0, {}
            try:
                status, content = await line.ask("/predict", body)
                answer = json.loads(content)
            except (OSError, asyncio.IncompleteReadError):
                pass
            took = time.monotonic() - due
            replies.append(Reply(due, took, status, answer.get("model_version", ""), answer.get("id", "")))
            due += 1 / rate
        line.close()

    await asyncio.gather(*(client(number) for number in range(connections)))
    return replies


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    return sorted(values)[max(int(len(values) * share + 0.999999) - 1, 0)] if values else float("nan")
