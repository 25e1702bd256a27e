"""A generation whose follower meets what nobody thought of."""

import threading
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
