"""The conductor where one of its parts does not do what it should, on real processes."""

import sys
import time

import pytest

from flows import conductor
from flows.conductor import DEPLOY_TRIES, Clock, Conductor
from flows.processes import Processes
from flows.server import RunState
from refit.errors import OutageError
from refit.settings import Settings
from refit.usecase.catalogue import find

NTH = """
import pathlib, sys, time
counted = pathlib.Path(sys.argv[1])
counted.write_text(counted.read_text() + "." if counted.exists() else ".")
if len(counted.read_text()) < int(sys.argv[2]):
    print("database is locked", flush=True)
    time.sleep(60) if sys.argv[3] == "hangs" else sys.exit(1)
"""


class Nights:
    """Stands for the Prefect server: each night ends in the next of some states."""

    def __init__(self, *ends):
        self.ends, self.started = list(ends), 0

    def start(self, deployment, name):
        assert (deployment, name.startswith("nightly-demo-")) == ("nightly/nightly-demo", True)
        self.started += 1
        return str(self.started)

    def tasks(self, run):
        return {"ingest": "Completed"} if int(run) == self.started else {}

    def state(self, run):
        end = self.ends[int(run) - 1]
        return RunState(end, end.title(), "so it ended.")


@pytest.fixture
def said():
    return []


@pytest.fixture
def one(tmp_path, said):
    processes = Processes(tmp_path / "logs")
    yield Conductor(Settings(home=tmp_path), [find("demo")], processes, Clock(said.append), lambda: None)
    processes.stop(*processes.names, patience_seconds=0)
    processes.dismiss_warden()


def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("fault", ["fails", "hangs"])
@pytest.mark.slow
def test_a_deployment_that_fails_or_hangs_is_begun_anew(one, said, tmp_path, monkeypatch, fault):
    counted = tmp_path / "counted"
    command = [sys.executable, "-c", NTH, str(counted), "2", fault]
    monkeypatch.setattr(conductor, "deploy_command", lambda: command)
    one._start_deploy()
    if fault == "hangs":
        until(lambda: counted.exists() and counted.read_text() == ".")
        with monkeypatch.context() as over:
            over.setattr(conductor, "DEPLOY_SECONDS", 0)
            assert not one._is_deployed()
    until(one._is_deployed)
    assert counted.read_text() == ".."
    assert len(said) == 1
    assert said[0].endswith("; it is started again")


def test_a_deployment_that_fails_every_time_shows_the_end_of_its_log(one, tmp_path, monkeypatch):
    command = [sys.executable, "-c", NTH, str(tmp_path / "counted"), "99", "fails"]
    monkeypatch.setattr(conductor, "deploy_command", lambda: command)
    one._start_deploy()
    with pytest.raises(OutageError, match=r"(?s)deploy ended with code 1; the end of .*database is locked"):
        until(one._is_deployed)
    assert (tmp_path / "counted").read_text() == "." * DEPLOY_TRIES


def test_a_night_that_crashed_is_followed_by_another(one, said):
    server = Nights("CRASHED", "COMPLETED")
    one._see_through(server, find("demo"), one._start_night(server, find("demo")))
    assert server.started == 2
    assert any("The night of demo crashed: so it ended." in line for line in said)


@pytest.mark.parametrize(("ends", "nights"), [(["FAILED", "COMPLETED"], 1), (["CRASHED"] * 9, 3)])
def test_a_night_that_failed_or_crashes_every_time_is_an_outage(one, ends, nights):
    server = Nights(*ends)
    with pytest.raises(OutageError, match=r"the night of demo ended .*so it ended"):
        one._see_through(server, find("demo"), one._start_night(server, find("demo")))
    assert server.started == nights
