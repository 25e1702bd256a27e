"""A generation as its supervisor sees it: a process, a line of commands, and what it says."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from refit.errors import OutageError, ReleaseError
from refit.release import golden
from refit.release.bento import BUNDLE
from refit.scoring.bundle import GoldenRecord

SCRIPT: Final = Path(__file__).with_name("generation.py")
REAP_SECONDS: Final = 5.0
LIVE_SECONDS: Final = 5.0
"""How long a generation that passed every check may take to say that it accepts connections, or longer where more is
left of the time for its start: the machine may stand still, and whoever is too late is refused for good."""
PROBE_SECONDS: Final = 2.0
LINE: Final = 4096
STANDARD_ERROR: Final = 2

Key = tuple[int, str, str]
News = Literal["passed", "live", "refused", "ended"]


@dataclass(frozen=True, slots=True)
class Release:
    """What shall be live: its number in the ledger, the bundle's version, its Bento, and what that must answer.

    Without `golden` it must answer what the bundle in the Bento says. `live_since` is the Unix time since which it is
    live on this machine, where a process before this one made it so.
    """

    id: int
    version: str
    bento_tag: str
    bento_path: Path
    golden: Sequence[GoldenRecord] | None = None
    live_since: float | None = None

    @property
    def key(self) -> Key:
        """What tells it from every other; a ledger put back from a back-up gives a number a second time."""
        return self.id, self.version, self.bento_tag


class Child:
    """One generation.

    A thread of its own follows it and tells its news, in this order: `passed` once every check went well, `live` once
    it takes connections, `ended`; or else `refused` alone, with the reason why it never got that far. While it is live
    it is asked a golden record now and then; one that hangs, or answers wrongly, is ended.
    """

    def __init__(
        self,
        release: Release,
        tell: Callable[["Child", News, str], None],
        start_seconds: float,
        hang_seconds: float,
        environment: Mapping[str, str],
    ) -> None:
        """Start it.

        Args:
            start_seconds: How long it may take until it has passed every check.
            hang_seconds: How long it may take to answer while it is live.
            environment: What it is told besides our own environment.

        Raises:
            ReleaseError: The Bento carries nothing to check it by.
            OutageError: The Bento is not on this machine, which says nothing of the release: it was whole on a disk
                before the ledger named it.
            OSError: The system lets us have no process, socket or thread.
        """
        if not release.bento_path.is_dir():
            raise OutageError(
                f"{release.bento_tag}: there is no Bento in {release.bento_path}; is this the REFIT_HOME it was "
                "built in?"
            )
        self._golden = golden.carried(release.bento_path / BUNDLE) if release.golden is None else release.golden
        self.release = release
        self.born = time.monotonic()
        self.serving = False
        self._tell = tell
        self._deadline = self.born + start_seconds
        self._start_seconds = start_seconds
        self._hang_seconds = hang_seconds
        self._probing = True
        self._control, control = socket.socketpair()
        ours, check = socket.socketpair()
        self._check = golden.Connection(fileno=ours.detach())
        with control, check:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", str(SCRIPT), "--bento", str(release.bento_path)),
                    *("--control", str(control.fileno()), "--check", str(check.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=STANDARD_ERROR,
                env=_environment(release.bento_path, environment),
                pass_fds=(control.fileno(), check.fileno()),
                start_new_session=True,  # Ctrl-C is the supervisor's to hear; it then ends this in good order
            )
        try:
            threading.Thread(target=self._follow, name=f"generation {self.process.pid}", daemon=True).start()
        except RuntimeError:  # as many threads as the system lets us have
            self._ended("")
            self._control.close()
            self._check.close()
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None

    def serve(self, listener: socket.socket) -> None:
        """Let it take connections from `listener`."""
        self.serving = True
        self._command("serve", listener)

    def inform(self, told: Mapping[str, float]) -> None:
        """Tell it what its metrics show of the supervisor."""
        self._command(f"told {json.dumps(told)}")

    def drain(self, seconds: float) -> None:
        """Have it finish what its clients began, now that a successor is live."""
        self._probing = False
        self._command(f"drain {seconds}")

    def stop(self, seconds: float) -> None:
        """Have it end, after what is in flight."""
        self._probing = False
        self._command(f"stop {seconds}")

    def kill(self) -> None:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()

    def _command(self, line: str, listener: socket.socket | None = None) -> None:
        try:
            descriptors = [] if listener is None else [listener.fileno()]
            socket.send_fds(self._control, [f"{line}\n".encode()], descriptors)
        except OSError:
            return  # it ended; that news is on its way

    def _follow(self) -> None:
        with self._control, self._check:
            try:
                self._prove()
            except ReleaseError as error:
                self._tell(self, "refused", self._ended(str(error)))
                return
            except Exception as error:  # noqa: BLE001 - a thread's entrance: a trial nobody follows would never end
                self._tell(self, "refused", self._ended(f"could not be checked: {type(error).__name__}"))
                return
            self._tell(self, "passed", "")
            self._tell(self, "ended", self._lived())

    def _lived(self) -> str:
        """Follow it to its end, and return how that came."""
        seconds = max(LIVE_SECONDS, self._deadline - time.monotonic())
        self._control.settimeout(seconds)
        try:
            if self._read() == "live":
                self._tell(self, "live", "")
                self._watch()
        except TimeoutError:
            return self._ended(f"did not take connections within {seconds:.0f} s")
        except ReleaseError as error:
            return self._ended(f"ended, because it hung or went wrong: {error}")
        except Exception as error:  # noqa: BLE001 - as in `_follow`
            return self._ended(f"ended, because it could not be watched: {type(error).__name__}")
        return _how_ended(self._wait())

    def _watch(self) -> None:
        """Return when it has ended by itself.

        Raises:
            ReleaseError: It does not answer, or not rightly.
        """
        while True:
            self._control.settimeout(PROBE_SECONDS if self._probing else None)
            try:
                if not self._read():
                    return
            except TimeoutError:
                try:
                    self._probing &= golden.probe(self._check, self._golden[0], self._hang_seconds)
                except ReleaseError:
                    if self._probing and self.process.poll() is None:
                        raise

    def _ended(self, why: str) -> str:
        self.kill()
        self.process.wait()
        return why

    def _prove(self) -> None:
        self._control.settimeout(self._start_seconds)
        try:
            said = self._read()
        except TimeoutError:
            raise ReleaseError(f"not ready within {self._start_seconds:g} s") from None
        if said != "checking":
            reason = said.removeprefix("failed ") or _how_ended(self._wait())
            raise ReleaseError(f"does not start: {reason}")
        golden.check(self._check, self.release.version, self._golden, self._deadline - time.monotonic())

    def _read(self) -> str:
        """Return the next line; empty when it has ended."""
        line = b""
        while not line.endswith(b"\n"):
            try:
                part = self._control.recv(1)
            except TimeoutError:
                raise
            except OSError:
                part = b""
            if not part or len(line) > LINE:
                return ""
            line += part
        return line.decode(errors="replace").strip()

    def _wait(self) -> int:
        """Return how it ended; a process that closed its line without ending is made to."""
        try:
            return self.process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()


def _environment(bento_path: Path, told: Mapping[str, str]) -> dict[str, str]:
    """Return ours and what it is told, without what would point it at another bundle, and with BentoML kept quiet."""
    ours = {name: value for name, value in os.environ.items() if name != "REFIT_BUNDLE"}
    home = {"BENTOML_HOME": str(bento_path.parents[2])} if bento_path.parent.parent.name == "bentos" else {}
    return {**ours, **told, **home} | {"BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}


def _how_ended(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
