"""A generation whose follower meets what nobody thought of."""

import os
import socket
import threading
import time
from queue import SimpleQueue

import psutil
import pytest

from refit.release import child as module
from refit.release.bento import BUNDLE
from refit.release.child import Child, Release
from refit.scoring.bundle import GoldenRecord

PATIENCE = 30.0


@pytest.fixture
def release(tmp_path) -> Release:
    (tmp_path / BUNDLE).mkdir(parents=True)
    return Release(1, "v1", "refit_toy:v1", tmp_path, (GoldenRecord({"a": 1.0}, 0.5),))


def test_a_fault_of_the_follower_refuses_the_release_and_leaves_no_process(release, monkeypatch):
    def faulty(*_: object) -> None:
        raise RecursionError("deep")

    told: SimpleQueue[tuple[str, str]] = SimpleQueue()
    monkeypatch.setattr(Child, "_prove", faulty)
    child = Child(release, lambda _, news, why: told.put((news, why)), PATIENCE, PATIENCE, {})
    assert told.get(timeout=PATIENCE) == ("refused", "could not be checked: RecursionError")
    assert child.process.poll() is not None


class FakeProcess:
    """Stands for the generation's process: the test speaks for it."""

    pid = 4711

    def __init__(self, _command, *, pass_fds, **_named) -> None:
        self.control, self.check = (socket.socket(fileno=os.dup(descriptor)) for descriptor in pass_fds)

    def wait(self, *_seconds: float) -> int:
        return 0

    def poll(self) -> int:
        return 0


def test_a_generation_may_take_what_is_left_of_its_start_to_say_that_it_takes_connections(release, monkeypatch):
    told: SimpleQueue[tuple[str, str]] = SimpleQueue()
    monkeypatch.setattr(module, "LIVE_SECONDS", 0.05)
    monkeypatch.setattr(Child, "_prove", lambda _: None)
    monkeypatch.setattr(module.subprocess, "Popen", FakeProcess)
    process = Child(release, lambda _, news, why: told.put((news, why)), PATIENCE, PATIENCE, {}).process
    with process.control, process.check:
        assert told.get(timeout=PATIENCE) == ("passed", "")
        time.sleep(0.2)
        process.control.sendall(b"live\n")
        assert told.get(timeout=PATIENCE) == ("live", "")
    assert told.get(timeout=PATIENCE) == ("ended", "ended with exit code 0")


def test_where_no_thread_can_be_had_the_process_is_ended_and_it_counts_as_the_system_refusing(release, monkeypatch):
    started = []
    popen = module.subprocess.Popen

    def kept(*given, **named):
        started.append(popen(*given, **named))
        return started[-1]

    def full(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module.subprocess, "Popen", kept)
    monkeypatch.setattr(threading.Thread, "start", full)
    with pytest.raises(OSError, match="temporarily unavailable"):
        Child(release, lambda *_: None, PATIENCE, PATIENCE, {})
    assert started[0].poll() is not None
    assert not psutil.pid_exists(started[0].pid)
