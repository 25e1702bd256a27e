"""The whole product, as `make up` starts it: on free ports, in a home of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.patient import Patient

REFIT = str(Path(sys.executable).with_name("refit"))
BANNER_SECONDS = 600
STOP_SECONDS = 60
ANSWER_SECONDS = 60
"""For an answer, on a machine that does a lot besides."""
LAST_LINE = "Stop: Ctrl-C"
"""The end of what `refit up` says once all of it answers."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url, **sent):
    """Ask as a program would: patiently, and by POST where something is sent."""
    with httpx.Client(timeout=ANSWER_SECONDS, transport=Patient()) as client:
        return client.request("POST" if sent else "GET", url, **sent).raise_for_status()


@dataclass
class Up:
    """A `refit up` and what it printed."""

    home: Path
    ports: dict[str, int] = field(default_factory=lambda: {n: free_port() for n in ("PREFECT", "SERVICE", "CONSOLE")})
    process: subprocess.Popen | None = None

    @property
    def environment(self):
        foreign = ("REFIT_", "PREFECT_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return clean | {"REFIT_HOME": str(self.home)} | {f"REFIT_{name}_PORT": str(p) for name, p in self.ports.items()}

    @property
    def printed(self):
        return (self.home.parent / "printed.txt").read_text()

    def start(self):
        with (self.home.parent / "printed.txt").open("w") as output:
            self.process = subprocess.Popen(
                [REFIT, "up"], env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_for(self, text, seconds=BANNER_SECONDS):
        self.wait_until(lambda: text in self.printed, seconds)

    def wait_until(self, condition, seconds=BANNER_SECONDS):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < end, self.printed
            time.sleep(0.2)
        return found

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def end(self):
        """End it however it stands, and all that it left."""
        self.process.kill()
        self.process.wait()
        for left in self.left():
            with suppress(psutil.NoSuchProcess):
                left.kill()

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def prefect(self, path, body=None):
        return ask(f"{self.url('PREFECT')}/api{path}", **({} if body is None else {"json": body})).json()

    def runs(self, deployment, *states):
        """What Prefect knows of the runs of a deployment that are in one of the states, those of its schedule apart."""
        wanted = {
            "deployments": {"name": {"any_": [deployment]}},
            "flow_runs": {"state": {"type": {"any_": list(states)}}},
        }
        return [run for run in self.prefect("/flow_runs/filter", wanted) if not run["auto_scheduled"]]

    def run(self, *words):
        """Run one command of refit on the same home, and return what it printed."""
        command = [REFIT, *map(str, words)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=BANNER_SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def left(self):
        """What still runs of it, anywhere on the machine."""
        found = []
        for one in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                ours = one.environ().get("REFIT_HOME") == str(self.home) or str(self.home) in " ".join(one.cmdline())
                if ours and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
        return found
