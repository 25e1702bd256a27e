"""A private Docker engine with Compose, and the way into its network: from there published ports are 127.0.0.1's."""

import ctypes
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

ROOT = Path(__file__).parents[3]
TOOLS = ROOT.parent / "shared" / "tools" / "compose-lab"
LOANS = ROOT.parent / "shared" / "data" / "sba_loans_fy1990_2004.csv.gz"
STATE = Path(os.environ.get("COMPOSE_LAB_STATE") or "/var/tmp/compose-lab")  # noqa: S108 - the lab's own default
NAMESPACE = Path("/run/netns/composelab")
CLONE_NEWNET = 0x40000000
IMAGES = {"refit:local": "refit.Dockerfile", "refit-service:local": "service.Dockerfile"}
SECRETS = (
    "POSTGRES_PASSWORD",
    "LENDER_PASSWORD",
    "READER_PASSWORD",
    "LEDGER_PASSWORD",
    "PREFECT_PASSWORD",
    "REFIT_API_KEYS",
    "METRICS_KEY",
    "REFIT_CONSOLE_TOKEN",
    "GRAFANA_PASSWORD",
)


KEPT_LAYERS = "4gb"
NEEDED_BYTES = 8_000_000_000
START_SECONDS = 240
"""Room for a stack to start and have its schedules paused; the nights of prefect.yaml lie further apart."""
DAY_SECONDS = 86_400


class NoEngineError(Exception):
    """This machine cannot have what the stack runs on, through no fault of the stack."""


def why_not() -> str | None:
    """Say what is missing here for an engine of our own."""
    if os.geteuid() != 0:
        return "a Docker engine of our own needs root"
    for needed in (TOOLS, LOANS):
        if not needed.exists():
            return f"{needed} is not there"
    if not Path("/etc/debian_version").exists():
        return "the engine is installed from Debian packages, and this is no Debian"
    if not STATE.exists() and shutil.disk_usage(STATE.parent).free < NEEDED_BYTES:
        return f"the engine and its images need {NEEDED_BYTES / 1e9:.0f} GB of disk"
    return None


def ended(command: Sequence[str], *, seconds: float = 900, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, timeout=seconds, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options
    )


def done(command: Sequence[str], *, seconds: float = 900, **options: Any) -> str:
    found = ended(command, seconds=seconds, **options)
    assert found.returncode == 0, (
        f"{' '.join(command[:8])} ended with {found.returncode}:\n{found.stdout[-2000:]}{found.stderr[-3000:]}"
    )
    return found.stdout


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait for something to be so; return what it said. No answer, or one of 500 and above, means not yet."""
    deadline = time.monotonic() + seconds
    while True:
        last = time.monotonic() >= deadline
        trouble: Exception | None = None
        try:
            if seen := true():
                return seen
        except (OSError, HTTPException) as error:
            if isinstance(error, HTTPError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            trouble = error
        if last:
            raise AssertionError(f"not within {seconds:g} s: {what}") from trouble
        time.sleep(0.2)


def between_nights() -> None:
    """Wait until no schedule is about to start a run: it would count among those of the tests."""
    crons = [
        schedule["cron"].split()
        for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
        for schedule in deployment["schedules"]
    ]
    starts = [int(hour) * 3600 + int(minute) * 60 for minute, hour, *_ in crons]
    until(
        lambda: all((start - time.time()) % DAY_SECONDS > START_SECONDS for start in starts),
        900,
        "no schedule about to start a run",
    )


def prepare(script: str, otherwise: str) -> None:
    """Run a script of the lab that needs more of this machine than we may ask for."""
    try:
        found = ended([str(TOOLS / script)], env=Engine("host").environment)
    except subprocess.TimeoutExpired as error:
        raise NoEngineError(f"{otherwise}: {error}") from None
    if found.returncode != 0:
        raise NoEngineError(f"{otherwise}: {found.stderr[-300:]}")


class Engine:
    """The engine in one of its two forms: `host` builds, `net` runs. Only one runs at a time."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.environment = os.environ | {
            "COMPOSE_LAB_STATE": str(STATE),
            "DOCKER_HOST": f"unix://{STATE}/run-{mode}/docker.sock",
            "DOCKER_CONFIG": str(STATE / "cfg"),
            "COMPOSE_PROGRESS": "quiet",
        }

    def start(self) -> None:
        # Its own log takes the daemon's output: a pipe of ours would stay open as long as it lives.
        log = STATE / f"start-{self.mode}.log"
        with log.open("w") as file:
            code = subprocess.run(
                [TOOLS / "engine.sh", "start", self.mode], env=self.environment, stdout=file, stderr=file, check=False
            ).returncode
        if code != 0:
            raise NoEngineError(f"no engine can be started here: {log.read_text()[-500:]}")

    def stop(self) -> None:
        """Stop it, one that a killed run left behind too, with all it started; its network goes with it."""
        ended([str(TOOLS / "engine.sh"), "stop", self.mode], env=self.environment)
        ended(["umount", str(STATE / f"run-{self.mode}" / "exec" / "netns" / "default")])
        if self.mode == "net" and NAMESPACE.exists():
            ended(["ip", "netns", "del", NAMESPACE.name])

    def reaches_packages(self) -> None:
        command = ["run", "--rm", "--network=host", "python:3.11-slim", "pip", "download", "--no-deps", "iniconfig"]
        found = ended(["docker", *command], env=self.environment)
        if found.returncode != 0:
            raise NoEngineError(f"a build reaches no package index from here: {found.stderr[-300:]}")

    def tidy(self) -> None:
        """Let go of images that no tag names and of old layers; what the next build can use stays."""
        for arguments in (
            ["image", "prune", "--force"],
            ["builder", "prune", "--force", f"--keep-storage={KEPT_LAYERS}"],
        ):
            ended(["docker", *arguments], env=self.environment)

    def docker(self, *arguments: str, seconds: float = 900) -> str:
        return done(["docker", *arguments], env=self.environment, seconds=seconds)


@contextmanager
def inside() -> Iterator[None]:
    """Have this thread, and those it starts, live in the engine's network."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(NAMESPACE, os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


@dataclass
class Stack:
    """One compose project in the engine."""

    engine: Engine
    folder: Path
    project: str = "refit-test"
    usecase: str = "sba"
    secrets: dict[str, str] = field(default_factory=lambda: {name: secrets.token_hex(24) for name in SECRETS})

    def __post_init__(self) -> None:
        lines = [f"{name}={value}\n" for name, value in (self.secrets | {"USECASE": self.usecase}).items()]
        (self.folder / "env").write_text("".join(lines))

    @property
    def command(self) -> list[str]:
        return [
            *("docker", "compose", "--project-name", self.project, "--project-directory", str(ROOT)),
            *("--env-file", str(self.folder / "env")),
        ]

    def compose(self, *arguments: str, seconds: float = 600) -> str:
        return done([*self.command, *arguments], env=self.engine.environment, seconds=seconds)

    def up(self, *services: str) -> None:
        """Start it; all of it comes up with its schedules paused, so that no night starts but those of the tests."""
        if not services:
            between_nights()
        self.compose("up", "--detach", "--no-build", "--wait", *services)
        if not services:
            self.schedules("pause")

    def schedules(self, what: str) -> None:
        """`pause` all of them, or `resume` them."""
        self.compose("exec", "-T", "worker", "prefect", "--no-prompt", "deployment", "schedule", what, "--all")

    def script(self, name: str, *arguments: str) -> str:
        environment = self.engine.environment | {"COMPOSE": " ".join(self.command)}
        return done([str(ROOT / "deployments" / name), *arguments], env=environment)

    def containers(self) -> list[dict[str, Any]]:
        """Return what the engine knows of each container that runs."""
        names = self.compose("ps", "--quiet").split()
        return list(json.loads(self.engine.docker("inspect", *names))) if names else []

    def healthy(self) -> set[str]:
        return {
            one["Config"]["Labels"]["com.docker.compose.service"]
            for one in self.containers()
            if one["State"].get("Health", {}).get("Status") == "healthy"
        }

    def processes(self) -> dict[str, int]:
        """Return the first process of each container, by this machine's number."""
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one["State"]["Pid"] for one in self.containers()}

    def refit(self, *arguments: str, part: str = "worker") -> Any:
        """Run a command of ours in a container; return its JSON."""
        text = self.compose("exec", "-T", part, "python", "-m", "refit.cli", *arguments, "--json")
        return json.loads(text.strip().splitlines()[-1])

    def sql(self, database: str, query: str, *, user: str = "postgres") -> str:
        arguments = ["psql", f"--username={user}", f"--dbname={database}", "-XAt", "-v", "ON_ERROR_STOP=1", "-c", query]
        return self.compose("exec", "-T", "postgres", *arguments).strip()

    def ask(self, port: int, path: str, body: object = None, *, key: str | None = None, seconds: float = 60) -> Any:
        """Ask one of the servers over its published port; the service itself takes 30 s at most."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} | ({} if key is None else {"authorization": f"Bearer {key}"})
        request = Request(f"http://127.0.0.1:{port}{path}", data, headers)
        with urlopen(request, timeout=seconds) as answer:  # noqa: S310 - see above
            text = answer.read().decode()
            return json.loads(text) if text[:1] in {"{", "["} or text[:1].isdigit() else text

    def asked(self, port: int, path: str, *, key: str | None = None) -> Any:
        """Ask, and give None where there is no good answer."""
        try:
            return self.ask(port, path, key=key, seconds=10) or True
        except (OSError, HTTPException):
            return None
