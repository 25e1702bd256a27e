"""The processes `refit up` starts: each in a session of its own, its output in a log, and none left at the end."""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

import psutil

from flows.warden import MARK
from refit.errors import OutageError

LOOK_SECONDS: Final = 0.1
DEATHS: Final = 3
DEATHS_SECONDS: Final = 600.0
"""A part that dies more often than that within ten minutes will not live by being started again."""
TAIL_LINES: Final = 15
NOT_OURS: Final = "postgres"
"""Orphans of this name are the embedded server's, which its own room stops."""
_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True, slots=True)
class Child:
    """A running child, how to start it again, and where its output goes."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    begin: Callable[[], None]
    began: float


class Processes:
    """All children of one `refit up`, and a warden that ends them should this process be killed."""

    def __init__(self, logs: Path, *, postgres: Path | None = None) -> None:
        """Start the warden.

        Args:
            postgres: The folder of the embedded server the warden shall stop too.
        """
        self._logs = logs
        self._children: dict[str, Child] = {}
        self._deaths: dict[str, list[float]] = {}
        self._mark = uuid4().hex
        _adopt_orphans(yes=True)
        self._warden = subprocess.Popen(
            [sys.executable, "-m", "flows.warden", self._mark, *([str(postgres)] if postgres is not None else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The children that were started and not yet seen to end."""
        return tuple(self._children)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        """Start `command` in `folder`; what it says goes to `NAME.log`, what it said last time to `NAME.log.1`.

        Raises:
            OutageError: It cannot be started.
        """
        log = self._logs / f"{name}.log"
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            if log.exists():
                log.replace(log.with_suffix(".log.1"))
            with log.open("wb") as output:
                process = subprocess.Popen(
                    list(command),
                    env={**environment, MARK: self._mark},
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise OutageError(f"{name} cannot be started: {error}") from None
        again = partial(self.start, name, command, environment, folder)
        self._children[name] = Child(name, process, log, again, time.monotonic())

    def ended(self, name: str, *, within: float = math.inf) -> bool:
        """Say whether a child that ends by itself did so well.

        Args:
            within: The seconds it may take.

        Raises:
            OutageError: It failed, or takes too long; shows the end of its log.
        """
        child = self._children[name]
        code = child.process.poll()
        if code is None and time.monotonic() - child.began > within:
            raise self.late(name, within)
        if code:
            raise _died(child, code)
        if code == 0:
            del self._children[name]
        return code == 0

    def check(self, *, passing: Sequence[str] = ()) -> None:
        """See that every child is alive, those apart that end by themselves.

        Raises:
            OutageError: One died; shows the end of its log.
        """
        self._bury_orphans()
        for child in list(self._children.values()):
            code = child.process.poll()
            if code is not None and child.name not in passing:
                del self._children[child.name]
                raise _died(child, code)

    def revive(self, *names: str) -> list[str]:
        """Start those children again that died; return a line on each.

        Raises:
            OutageError: One died too often in a short time; shows the end of its log.
        """
        lines = []
        now = time.monotonic()
        for child in [self._children[name] for name in names if name in self._children]:
            code = child.process.poll()
            if code is None:
                continue
            del self._children[child.name]
            died = _died(child, code)
            recent = [at for at in self._deaths.get(child.name, []) if now - at < DEATHS_SECONDS]
            self._deaths[child.name] = [*recent, now]
            if len(recent) >= DEATHS:
                raise died
            lines.append(str(died).partition(";")[0])
            child.begin()
        return lines

    def late(self, name: str, seconds: float) -> OutageError:
        """Return the error of a child that lives and did not do what was waited for; shows the end of its log."""
        return _explained(f"{name} was not done after {seconds:.0f} s", self._logs / f"{name}.log")

    def stop(
        self, *names: str, patience_seconds: float, hurry: Callable[[], bool] = lambda: False, whole_tree: bool = False
    ) -> None:
        """Ask children to end, all at once, and after a while end them.

        Args:
            hurry: Once it says so, patience is over.
            whole_tree: Ask also what they started, where they would wait for it.
        """
        chosen = [self._children.pop(name) for name in names if name in self._children]
        trees = {child.name: _tree(child.process.pid) for child in chosen}
        for child in chosen:
            _signal(trees[child.name] if whole_tree else trees[child.name][:1], signal.SIGTERM)
        end = time.monotonic() + patience_seconds
        while any(child.process.poll() is None for child in chosen) and time.monotonic() < end and not hurry():
            time.sleep(LOOK_SECONDS / 2)
        for child in chosen:
            _signal([*_tree(child.process.pid), *trees[child.name]], signal.SIGKILL)
            child.process.wait()
        self._bury_orphans()

    def stop_rest(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """End whatever is left of the children and of what they left behind, and the warden last."""
        self.stop(*self.names, patience_seconds=5, hurry=hurry, whole_tree=True)
        keep = {self._warden.pid}
        left = [one for one in _tree(os.getpid())[1:] if one.pid not in keep and _name(one) != NOT_OURS]
        _signal(left, signal.SIGKILL)
        psutil.wait_procs(left, timeout=2)
        self.dismiss_warden()
        self._bury_orphans()

    def dismiss_warden(self) -> None:
        """End the warden; from here on nobody clears up after us, and others' orphans are not ours."""
        _adopt_orphans(yes=False)
        self._warden.kill()
        self._warden.wait()
        if self._warden.stdin is not None:
            self._warden.stdin.close()

    def _bury_orphans(self) -> None:
        """Collect the adopted dead; our own children's are left to `Popen`, which needs their exit codes."""
        ours = {self._warden.pid, *(child.process.pid for child in self._children.values())}
        for one in psutil.Process().children():
            try:
                if one.pid not in ours and one.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(one.pid, os.WNOHANG)
            except (psutil.NoSuchProcess, ChildProcessError):
                continue


def _adopt_orphans(*, yes: bool) -> None:
    """Become the parent of what a dead child leaves behind, so that it can be ended too. Only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


def _died(child: Child, code: int) -> OutageError:
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return _explained(f"{child.name} {ended}", child.log)


def _explained(what: str, log: Path) -> OutageError:
    """Return an error with the end of a log, where there is one."""
    said = log.read_text("utf-8", "replace") if log.exists() else ""
    tail = "\n".join(f"  {line}" for line in [line for line in said.splitlines() if line.strip()][-TAIL_LINES:])
    return OutageError(f"{what}; the end of {log}:\n{tail}" if tail else what)


def _tree(pid: int) -> list[psutil.Process]:
    """Return a process and all that came of it, itself first."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for one in processes:
        try:
            one.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""
