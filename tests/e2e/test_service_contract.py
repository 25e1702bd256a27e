"""The running service against its own OpenAPI document, and against bodies made to hurt it."""

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from refit.release.bento import bento_path, build
from refit.release.supervisor import Release, Supervisor
from refit.scoring.bundle import named, save
from refit.usecase.model import UseCase
from tests.integration.release.conftest import INPUTS, USECASE, toy_bundle

KEY = "a-key-of-0123456789"
PATIENCE = 120.0
BODIES = 2_000
PLAIN = USECASE.model_dump(by_alias=True)
PLAIN["features"]["share"] |= {"min": None, "max": None}
UNBOUNDED = UseCase.model_validate(PLAIN)
"""Without the range of what is computed from two inputs: no JSON Schema can say that one."""
SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory) -> Iterator[Supervisor]:
    """A Bento made of a small trained model, served as `refit serve` does it."""
    bundle = named(dataclasses.replace(toy_bundle(7), usecase=UNBOUNDED, version=""))
    folder, home = tmp_path_factory.mktemp("bundle") / "folder", tmp_path_factory.mktemp("home")
    save(bundle, folder)
    tag = build(folder, bentoml_home=home)
    release = Release(1, bundle.version, tag, bento_path(tag, home))
    live = threading.Event()
    environment = {"REFIT_API_KEYS": KEY, "REFIT_SPOOL": str(tmp_path_factory.mktemp("spool"))}
    supervisor = Supervisor(
        lambda: release, lambda _: live.set(), print, "127.0.0.1", 0, poll_seconds=0.1, environment=environment
    )
    supervisor.bind()
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        assert live.wait(PATIENCE)
        yield supervisor
    finally:
        supervisor.stop()
        thread.join(PATIENCE)


@pytest.fixture(scope="module")
def port(supervisor) -> int:
    return supervisor.port


def test_the_service_keeps_every_promise_of_its_openapi_document(port, tmp_path):
    """schemathesis makes requests that fit the document and some that break it, and judges the answers by it."""
    command = [str(Path(sys.executable).with_name("st")), "run", f"http://127.0.0.1:{port}/openapi.json"]
    options = ["-H", f"Authorization: Bearer {KEY}", "--checks", "all", "--max-examples", "60", "--seed", "1"]
    options += ["--request-timeout", "60", "--no-color"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None
    assert int(generated[1]) > 200


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text()
    | st.sampled_from([SECRET, "\x00", "-0", "1e999", "NaN", "\u202e", "' OR 1=1 --", "${jndi:x}"])
)
ANY = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
FIELDS = st.sampled_from(["amount", "covered", "sector", "owner", "share", "paid", "colour", SECRET])
RECORDS = st.dictionaries(FIELDS, SCALARS | ANY, max_size=6) | st.sampled_from(INPUTS)
DEEP = st.integers(1, 200_000).flatmap(
    lambda n: st.sampled_from([b"[" * n, b'{"a":' * n, b"[" * n + b"]" * n, b'{"a":' * n + b"1" + b"}" * n])
)
TWICE = st.tuples(FIELDS, SCALARS, SCALARS).map(
    lambda found: b"{%s: %s, %s: %s}" % tuple(json.dumps(part).encode() for part in (*found[:2], found[0], found[2]))
)
WRITTEN = (RECORDS | st.lists(RECORDS, max_size=4) | ANY).map(lambda value: json.dumps(value, allow_nan=True))
ENCODED = st.tuples(WRITTEN, st.sampled_from(["utf-8", "utf-16", "utf-32", "latin-1", "utf-7", "cp037"])).map(
    lambda found: found[0].encode(found[1], errors="replace")
)
BODY = ENCODED | DEEP | TWICE | st.binary() | st.sampled_from([b"x" * (1 << 20), b"[" + b" " * (1 << 20)])
PATHS = st.sampled_from(["/predict", "/predict/batch", "/explain"])


@pytest.mark.timeout(1200)
def test_no_body_brings_a_fault_a_trace_or_its_own_values_back(supervisor, port, capfd):
    generation = psutil.Process(supervisor._live.process.pid)  # our other children may be anybody's
    assert any("generation.py" in part for part in generation.cmdline())
    before: list[int] = []
    seen: set[int] = set()

    @settings(max_examples=BODIES, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(PATHS, BODY)
    def ask(path, body):
        status, answer = posted(port, path, body)
        seen.add(status)
        assert status in {200, 400, 413}
        assert b"Traceback" not in answer
        if status != 200:
            assert set(json.loads(answer)) == {"error"}
            assert SECRET.encode() not in answer.replace(b'"field":"s3cr3t"', b"")  # a field's name may be repeated
        if not before and len(seen) == 3:
            before.append(generation.memory_info().rss)

    ask()
    assert seen == {200, 400, 413}
    assert generation.is_running()
    assert generation.memory_info().rss < before[0] + (48 << 20)
    said = "".join(capfd.readouterr())
    assert SECRET not in said
    assert "Traceback" not in said


def posted(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    """Post a body over a connection of its own, as it is; return status and answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\nconnection: close\r\n"
        line.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        said = b"".join(iter(lambda: line.recv(1 << 16), b""))
    start, _, answer = said.partition(b"\r\n\r\n")
    return int(start.split(b" ", 2)[1]), answer
