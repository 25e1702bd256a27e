import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from uuid import uuid4

import psutil
import pytest

from flows.processes import DEATHS, Processes
from refit.errors import OutageError

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
POLITE = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def processes(tmp_path):
    found = Processes(tmp_path)
    yield found
    found.stop(*found.names, patience_seconds=0)
    found.dismiss_warden()


def start(processes, code, *words, name="part", folder=None):
    processes.start(name, [sys.executable, "-c", code, *words], os.environ, folder or "/")


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_dead(processes, name="part"):
    return psutil.Process(processes._children[name].process.pid).status() == psutil.STATUS_ZOMBIE


def marked(mark):
    """The living processes whose command line holds the mark."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if mark in one.cmdline() and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def test_what_a_child_says_goes_to_its_log_and_what_it_said_last_time_is_kept(processes, tmp_path):
    for word in ("first", "second"):
        start(processes, f"import sys; print('{word}', flush=True); print('loud', file=sys.stderr)")
        wait_for(lambda: processes.ended("part"))
    assert (tmp_path / "part.log").read_text().split() == ["second", "loud"]
    assert (tmp_path / "part.log.1").read_text().split() == ["first", "loud"]


def test_a_child_that_dies_is_told_with_its_code_and_the_end_of_its_log(processes):
    start(processes, "import sys; print('what went wrong'); sys.exit(3)", name="prefect-server")

    def check_until_it_dies():
        while True:
            processes.check()

    with pytest.raises(OutageError, match=r"(?s)prefect-server ended with code 3; the end of .*what went wrong"):
        check_until_it_dies()


def test_a_child_that_was_killed_is_told_by_the_signal(processes):
    start(processes, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    wait_for(lambda: is_dead(processes))
    with pytest.raises(OutageError, match="part was ended by SIGKILL"):
        processes.check()


def test_a_child_that_may_end_is_no_fault_but_its_failure_is(processes):
    start(processes, "pass", name="deploy")
    wait_for(lambda: processes.ended("deploy"))
    start(processes, "raise SystemExit('no such flow')", name="deploy")
    wait_for(lambda: is_dead(processes, "deploy"))
    processes.check(passing=("deploy",))
    with pytest.raises(OutageError, match="no such flow"):
        processes.ended("deploy")


def test_a_child_that_died_is_started_again_as_it_was_and_the_death_is_told(processes, tmp_path):
    start(processes, f"import os; print(os.getpid(), os.getcwd(), flush=True); {POLITE}", folder=tmp_path)
    wait_for(lambda: "ready" in (tmp_path / "part.log").read_text())
    first = processes._children["part"].process
    first.kill()
    wait_for(lambda: is_dead(processes))
    assert processes.revive("part", "never-started") == ["part was ended by SIGKILL"]
    wait_for(lambda: "ready" in (tmp_path / "part.log").read_text())
    pid, folder = (tmp_path / "part.log").read_text().split()[:2]
    assert int(pid) != first.pid
    assert folder == str(tmp_path)
    processes.check()


def test_who_lives_is_left_alone_and_who_is_not_named_is_not_revived(processes):
    start(processes, POLITE)
    start(processes, "raise SystemExit(3)", name="prefect-server")
    wait_for(lambda: is_dead(processes, "prefect-server"))
    living = processes._children["part"].process
    assert processes.revive("part") == []
    assert processes._children["part"].process is living
    with pytest.raises(OutageError, match="prefect-server ended with code 3"):
        processes.check()


def test_a_child_that_dies_again_and_again_is_given_up_with_the_end_of_its_log(processes):
    start(processes, "raise SystemExit('no such port')")
    for _ in range(DEATHS):
        wait_for(lambda: is_dead(processes))
        assert len(processes.revive("part")) == 1
    wait_for(lambda: is_dead(processes))
    with pytest.raises(OutageError, match="no such port"):
        processes.revive("part")
    assert processes.names == ()


def test_deaths_of_long_ago_are_forgotten(processes, monkeypatch):
    monkeypatch.setattr("flows.processes.DEATHS_SECONDS", 0.0)
    start(processes, "raise SystemExit(3)")
    for _ in range(DEATHS + 2):
        wait_for(lambda: is_dead(processes))
        assert processes.revive("part") == ["part ended with code 3"]


def test_a_program_that_is_not_there_is_told(processes):
    with pytest.raises(OutageError, match=r"part cannot be started: .*nowhere"):
        processes.start("part", ["/nowhere/at/all"], os.environ, "/")


@pytest.mark.parametrize(("code", "patience"), [(POLITE, 60), (STUBBORN, 0.3)], ids=["polite", "stubborn"])
def test_a_child_is_asked_to_end_and_then_ended(processes, tmp_path, code, patience):
    mark = uuid4().hex
    start(processes, code, mark)
    wait_for(lambda: "ready" in (tmp_path / "part.log").read_text())
    began = time.monotonic()
    processes.stop("part", patience_seconds=patience)
    assert time.monotonic() - began < 50
    assert marked(mark) == []


def test_hurry_ends_patience(processes, tmp_path):
    start(processes, STUBBORN)
    wait_for(lambda: "ready" in (tmp_path / "part.log").read_text())
    began = time.monotonic()
    processes.stop("part", patience_seconds=60, hurry=lambda: True)
    assert time.monotonic() - began < 50


def test_children_are_out_of_reach_of_the_terminals_ctrl_c(processes, tmp_path):
    start(processes, "import os; print(os.getsid(0) == os.getpid())")
    wait_for(lambda: processes.ended("part"))
    assert (tmp_path / "part.log").read_text().strip() == "True"


CONDUCTOR = """
import os, sys, time
from pathlib import Path
from flows.processes import DEATHS, Processes
logs, mark, then = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
processes = Processes(logs)
orphan = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
parent = f'''
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {orphan!r}, "{mark}"], start_new_session=True)
print("ready", flush=True)
time.sleep(60 if {then == "killed"} else 0)
'''
processes.start("part", [sys.executable, "-c", parent, mark], os.environ, Path("/"))
while "ready" not in (logs / "part.log").read_text():
    time.sleep(0.02)
if then == "killed":
    print("ready", flush=True)
    time.sleep(60)
while not processes.ended("part"):
    time.sleep(0.02)
processes.stop_rest()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux adopts orphans")
def test_what_a_dead_child_left_behind_is_ended_too(tmp_path):
    mark = uuid4().hex
    subprocess.run([sys.executable, "-c", CONDUCTOR, tmp_path, mark, "stopped"], check=True, timeout=60)
    assert marked(mark) == []


@pytest.mark.slow
def test_what_a_killed_conductor_left_behind_is_ended_too(tmp_path):
    mark = uuid4().hex
    command = [sys.executable, "-c", CONDUCTOR, tmp_path, mark, "killed"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as conductor:
        conductor.stdout.readline()
        wait_for(lambda: len(marked(mark)) == 3)  # the conductor itself, its child, and what that left
        conductor.send_signal(signal.SIGKILL)
    wait_for(lambda: marked(mark) == [])
