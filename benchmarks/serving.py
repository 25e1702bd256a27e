"""CPU seconds a request of the service against others with the same model, on the same machine, in one run.

Each server is a process of its own; what it and its children used of the processor is read before and after the same
requests over one keep-alive connection. Rounds alternate, so that a busy machine is busy for all.

Ours: `refit serve`'s supervisor with a key, validation, metrics and decision log. Against a bare FastAPI handler with
pydantic and `inplace_predict`, and a BentoML service with a DataFrame and `XGBClassifier`; a batch of 1,000 against
decoding it and `inplace_predict` alone. `--mlflow PYTHON` adds `mlflow models serve`, from an environment of its own.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
import psutil
from served import CATEGORIES, NUMBERS, bento, bundle, free_port, record, served

from refit.scoring.bundle import Bundle

KEY = "a-key-of-0123456789"
RECORD = "\n".join(
    [f"    number_{i}: float | None = Field(None, ge=0, le=1e6)" for i in range(NUMBERS)]
    + [f"    category_{i}: str | None = None" for i in range(CATEGORIES)]
)
FASTAPI = f"""
import json, math, sys
import numpy as np, uvicorn, xgboost
from fastapi import FastAPI
from pydantic import BaseModel, Field

class Record(BaseModel):
    model_config = {{"extra": "forbid"}}
{RECORD}

booster = xgboost.Booster(model_file=sys.argv[1])
booster.set_param({{"nthread": 1}})
codes = json.loads(sys.argv[2])
app = FastAPI()

@app.post("/predict")
async def predict(given: Record):
    row = np.empty((1, {NUMBERS + 1 + CATEGORIES}), dtype=np.float32)
    for i in range({NUMBERS}):
        value = getattr(given, f"number_{{i}}")
        row[0, i] = math.nan if value is None else value
    row[0, {NUMBERS}] = given.number_0 / given.number_1
    for i in range({CATEGORIES}):
        row[0, {NUMBERS + 1} + i] = codes[i].get(getattr(given, f"category_{{i}}"), 0.0)
    return {{"probability": float(booster.inplace_predict(row)[0])}}

uvicorn.run(app, port=int(sys.argv[3]), log_level="warning")
"""
BENTOML = f"""
import json, pathlib
import bentoml, pandas as pd, xgboost
from pydantic import BaseModel, Field

class Record(BaseModel):
{RECORD}

here = pathlib.Path(__file__).parent
codes = json.loads((here / "codes.json").read_text())

@bentoml.service(workers=1)
class Plain:
    def __init__(self):
        self.model = xgboost.XGBClassifier(n_jobs=1)
        self.model.load_model(here / "model.ubj")

    @bentoml.api
    def predict(self, given: Record) -> dict:
        frame = pd.DataFrame([given.model_dump()])
        frame.insert({NUMBERS}, "share", frame["number_0"] / frame["number_1"])
        for i in range({CATEGORIES}):
            frame[f"category_{{i}}"] = frame[f"category_{{i}}"].map(codes[i]).astype(float)
        return {{"probability": float(self.model.predict_proba(frame)[0, 1])}}
"""


def codes(made: Bundle) -> str:
    known = [made.encoder.vocabularies[f"category_{i}"] for i in range(CATEGORIES)]
    return json.dumps([{value: i + 1.0 for i, value in enumerate(each)} for each in known])


def cpu(process: psutil.Process) -> float:
    """Return what a process and those below it used of the processor, in seconds, as the scheduler counts it."""
    family = [process, *process.children(recursive=True)]
    tasks = [task for each in family for task in Path(f"/proc/{each.pid}/task").glob("*/schedstat")]
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Server:
    """A server under test and a connection to it."""

    def __init__(self, port: int, process: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._process = psutil.Process(process)
        self._client = HTTPConnection("127.0.0.1", port, timeout=120)
        self._body = body
        self._headers = {"content-type": "application/json", **(headers or {})}

    def ask(self, path: str = "/predict", body: bytes | None = None) -> dict[str, Any]:
        """Return its answer."""
        self._client.request("POST", path, body or self._body, self._headers)
        response = self._client.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"{path} answered {response.status}: {content[:500]!r}")
        return dict(json.loads(content))

    def cost(self, n: int, path: str = "/predict", body: bytes | None = None) -> float:
        """Return the CPU seconds a request."""
        self._client.close()  # a server may have closed it while another was asked
        self.ask(path, body)
        before = cpu(self._process)
        for _ in range(n):
            self.ask(path, body)
        return (cpu(self._process) - before) / n


@contextmanager
def script(command: list[str], port: int, **environment: str) -> Iterator[int]:
    """Run a server; give its process id once the port answers."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=sys.stderr)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} did not start") from None
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def servers(stack: ExitStack, made: Bundle, folder: Path, python: str | None) -> dict[str, Server]:
    """Start them all."""
    _, path = bento(made, folder, folder / "bentoml")
    plain = json.dumps(record(1)).encode()
    spool = {"REFIT_SPOOL": str(folder / "spool"), "REFIT_SPOOL_MB": "4096", "REFIT_API_KEYS": KEY}
    port, process = stack.enter_context(served(made.version, path, **spool))
    found = {"refit": Server(port, process.pid, plain, {"X-API-Key": KEY})}

    model = folder / "plain" / "model.ubj"
    model.parent.mkdir()
    model.write_bytes(made.model.to_bytes())
    (model.parent / "codes.json").write_text(codes(made))
    (model.parent / "service.py").write_text(BENTOML)

    port = free_port()
    pid = stack.enter_context(script([sys.executable, "-c", FASTAPI, str(model), codes(made), str(port)], port))
    found["fastapi"] = Server(port, pid, plain)

    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "service:Plain", "--port", str(port), "--host", "127.0.0.1"]
    pid = stack.enter_context(
        script(
            [*command, "--working-dir", str(model.parent)],
            port,
            PYTHONPATH=str(model.parent),
            BENTOML_DO_NOT_TRACK="True",
            BENTOML_HOME=str(folder / "bentoml"),
        )
    )
    found["bentoml"] = Server(port, pid, json.dumps({"given": record(1)}).encode())
    if python is not None:
        found["mlflow"] = mlflow(stack, made, folder, python)
    return found


MLFLOW = """
import sys, mlflow, xgboost
booster = xgboost.Booster(model_file=sys.argv[1])
mlflow.xgboost.save_model(booster, sys.argv[2])
"""


def mlflow(stack: ExitStack, made: Bundle, folder: Path, python: str) -> Server:
    saved = folder / "mlflow"
    subprocess.run([python, "-c", MLFLOW, str(folder / "plain" / "model.ubj"), str(saved)], check=True)
    port = free_port()
    command = [python, "-m", "mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local"]
    path = os.pathsep.join([str(Path(python).parent), os.environ["PATH"]])  # it starts the uvicorn it finds there
    pid = stack.enter_context(script([*command, "-p", str(port), "--workers", "1"], port, PATH=path))
    row = made.encoder.encode_records([record(1)])[0].tolist()
    named = {"dataframe_split": {"columns": list(made.encoder.features), "data": [row]}}
    return Server(port, pid, json.dumps(named).encode())


def seconds(work: Callable[[], object], n: int) -> float:
    start = time.process_time()
    for _ in range(n):
        work()
    return (time.process_time() - start) / n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400, help="a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mlflow", metavar="PYTHON", help="interpreter of an environment with mlflow and xgboost")
    options = parser.parse_args()
    if options.mlflow is None:
        print("mlflow is left out: name an environment that has it with --mlflow PYTHON", file=sys.stderr)
    made = bundle(1)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        against = servers(stack, made, Path(name), options.mlflow)
        paths = {"mlflow": "/invocations"}
        for each, server in against.items():
            server.cost(50, paths.get(each, "/predict"))
        costs: dict[str, list[float]] = {each: [] for each in against}
        for _ in range(options.rounds):
            for each, server in against.items():
                costs[each].append(server.cost(options.requests, paths.get(each, "/predict")))
        middle = {each: median(values) for each, values in costs.items()}

        records = [record(i) for i in range(1000)]
        body = json.dumps(records).encode()
        matrix = np.ascontiguousarray(made.encoder.encode_records(records))
        batch, alone = [], []
        for _ in range(options.rounds):
            batch.append(against["refit"].cost(5, "/predict/batch", body))
            alone.append(seconds(lambda: (orjson.loads(body), made.model.probability(matrix)), 5))
    result = {
        "benchmark": "serving, CPU microseconds a request",
        **{each: round(value * 1e6) for each, value in middle.items()},
        "times_fastapi": round(middle["refit"] / middle["fastapi"], 2),
        "times_fastapi_reach": "<= 1.5",
        "bentoml_times_ours": round(middle["bentoml"] / middle["refit"], 2),
        "bentoml_reach": ">= 6",
        "mlflow_times_ours": round(middle["mlflow"] / middle["refit"], 2) if "mlflow" in middle else None,
        "mlflow_reach": ">= 1.5",
        "batch_of_1000": round(median(batch) * 1e6),
        "decode_and_predict_alone": round(median(alone) * 1e6),
        "times_alone": round(median(batch) / median(alone), 2),
        "times_alone_reach": "<= 1.3",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
