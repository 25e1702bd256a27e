"""The server process of a PostgreSQL data folder: found, watched, stopped, whoever started it."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

from refit.errors import ContractError, OutageError

STOP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A server process and the port it listens on."""

    process: psutil.Process
    port: int

    @classmethod
    def of(cls, data: Path) -> Self | None:
        """Return the server that runs on the folder `data`, None where its process file is missing or stale."""
        number, port = _pid_file_line(data, 0), noted_port(data)
        if number is None or port is None:
            return None
        try:
            found = cls(psutil.Process(number), port)
            return found if found.alive and _works_in(found.process, data) else None
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        """Whether it runs; one that ended but that its parent has not yet been told of does not."""
        try:
            return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def stop(self) -> None:
        """End it: fast (every client is cut off), and where that hangs, at once, to be recovered at the next start.

        Raises:
            OutageError: It does not end.
            ContractError: It belongs to another user.
        """
        for how, patience_s in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, 10.0)):
            try:
                with suppress(psutil.NoSuchProcess):
                    self.process.send_signal(how)
            except psutil.AccessDenied:
                raise ContractError(
                    f"process {self.process.pid} is another user's server; stop it as that user"
                ) from None
            if within(patience_s, lambda: not self.alive):
                return
        raise OutageError(f"the embedded Postgres (process {self.process.pid}) does not stop; kill it by hand")


def noted_port(data: Path) -> int | None:
    """Return the port the process file names, be the process alive or not."""
    return _pid_file_line(data, 3)


def within(patience_s: float, done: Callable[[], bool]) -> bool:
    """Wait until `done`, and say whether it came to that."""
    end = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _works_in(process: psutil.Process, data: Path) -> bool:
    """Tell whether the process is a server on this very folder: its number may belong to another by now."""
    try:
        return Path(process.cwd()).samefile(data)
    except (psutil.AccessDenied, OSError):  # root without the right to look into others' processes
        command = process.cmdline()
        return bool(command) and Path(command[0]).name == "postgres" and str(data) in command


def _pid_file_line(data: Path, index: int) -> int | None:
    """Read one number of postmaster.pid (PostgreSQL source, miscadmin.h, LOCK_FILE_LINE_*)."""
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[index])
    except (FileNotFoundError, IndexError, ValueError):
        return None
