"""`refit up`: the whole product in the foreground, on embedded defaults, until somebody stops it."""

import fcntl
import os
import signal
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import yaml

from flows.conductor import Clock, Conductor, Echo, prefect_file
from flows.processes import Processes
from refit.errors import ContractError, OutageError
from refit.settings import Settings
from refit.usecase.model import UseCase

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
PREFECT_LOCK: Final = "PREFECT_SERVER_API_AUTH_STRING"
PORTS: Final = ("prefect_port", "service_port", "console_port")


def up(settings: Settings, usecases: Sequence[UseCase], echo: Echo) -> None:
    """Start everything, run the first night through its deployment, say where all is, and wait for Ctrl-C.

    Args:
        usecases: What is run at once; the first one is served. The deployments are those of `prefect.yaml`.
        echo: Takes one line of progress.

    Raises:
        OutageError: A port is taken, another `refit up` runs on the same home, or a part died; all is stopped again.
        ReleaseError: The first night released no model that could be served.
    """
    if not usecases:
        raise ContractError("name a use case to serve, like demo")
    check_deployed([usecase.name for usecase in usecases])
    check_doors(settings)
    with _alone(settings.folder):
        check_ports(settings)
        postgres = settings.folder / "postgres" if settings.database_url is None else None
        clock, processes = Clock(echo), Processes(settings.folder / "logs", postgres=postgres)
        with _stop_signals() as stop:
            try:
                Conductor(settings, usecases, processes, clock, stop.leave).run()
            except KeyboardInterrupt:
                pass  # somebody asked for the end, and gets it
            finally:
                stop.leave()
                processes.stop_rest(hurry=stop.is_hurried)
        clock.say(f"Stopped. What was kept lies in {settings.folder}")


def check_deployed(usecases: Sequence[str]) -> None:
    """See that `prefect.yaml` deploys a night for each use case.

    Raises:
        ContractError: It does not.
    """
    content = yaml.safe_load(prefect_file().read_text(encoding="utf-8"))
    deployed = {deployment["name"] for deployment in content["deployments"]}
    if missing := [name for name in usecases if f"nightly-{name}" not in deployed]:
        raise ContractError(f"{prefect_file()} has no deployment nightly-{missing[0]}; add one like nightly-demo")


def check_doors(settings: Settings) -> None:
    """See that nothing would stand open to strangers: Prefect's server has no lock of its own.

    Raises:
        ContractError: It would.
    """
    if settings.host not in LOOPBACK and not os.environ.get(PREFECT_LOCK):
        raise ContractError(
            f"refit up would open the Prefect server on {settings.host} to everybody: set {PREFECT_LOCK} and "
            "PREFECT_API_AUTH_STRING to one USER:PASSWORD, or leave REFIT_HOST at 127.0.0.1"
        )


def check_ports(settings: Settings) -> None:
    """See that every port is free before anything starts.

    Raises:
        ContractError: Two settings name the same port.
        OutageError: One is taken; names its setting.
    """
    ports = {name: getattr(settings, name) for name in PORTS}
    for name, port in ports.items():
        if twins := [other for other in ports if other != name and ports[other] == port]:
            raise ContractError(f"{_variable(name)} and {_variable(twins[0])} are both {port}; give each its own")
        _check_port(settings.host, port, _variable(name))


@dataclass(slots=True)
class _Stop:
    """Whether the end has begun, and whether somebody asked for it again since."""

    leaving: bool = False
    hurried: bool = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Break off the first time; once the end has begun, only remember that somebody is in a hurry."""
        if self.leaving:
            self.hurried = True
        else:
            self.leaving = True
            raise KeyboardInterrupt

    def leave(self) -> None:
        """Begin the end: from here on no signal breaks anything off."""
        self.leaving = True

    def is_hurried(self) -> bool:
        """Say whether somebody asked again."""
        return self.hurried


@contextmanager
def _stop_signals() -> Generator[_Stop, None, None]:
    """Let Ctrl-C, SIGTERM and a closing terminal end the run."""
    stop = _Stop()
    before = {
        number: signal.signal(number, stop.on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _alone(home: Path) -> Generator[None, None, None]:
    """Hold the home's lock, which ends with the process however that ends.

    Raises:
        OutageError: Another `refit up` holds it, or the folder cannot be written.
    """
    path = home / "up.lock"
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutageError(f"{path} cannot be written: {error.strerror}; name another folder in REFIT_HOME") from None
    with os.fdopen(lock, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = file.read().strip() or "unknown"
            raise OutageError(
                f"a refit up runs on {home} already (process {running}); stop it, or name another folder in REFIT_HOME"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _check_port(host: str, port: int, variable: str) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise ContractError(f"REFIT_HOST: {host!r} is no address of this machine") from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise OutageError(
                f"port {port} on {host} cannot be used ({error.strerror}); free it, or set {variable} to another"
            ) from None


def _variable(name: str) -> str:
    return f"REFIT_{name.upper()}"
