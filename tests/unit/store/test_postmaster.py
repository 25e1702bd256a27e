import os
import subprocess
import sys

import psutil
import pytest

from refit.store.postmaster import Postmaster, noted_port, within


def test_a_process_that_ended_but_was_not_yet_reaped_does_not_run():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not Postmaster(psutil.Process(ended.pid), 1).alive
    ended.wait()


@pytest.mark.parametrize("text", [None, "", "x", "12\n", "12\n/data\n0\nport\n", f"{2**22 - 1}\n/data\n0\n5432\n"])
def test_a_process_file_that_names_no_server_finds_none(tmp_path, text):
    if text is not None:
        (tmp_path / "postmaster.pid").write_text(text)
    assert Postmaster.of(tmp_path) is None


def test_a_process_that_works_elsewhere_is_not_the_server(tmp_path):
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n0\n5432\n")
    assert noted_port(tmp_path) == 5432
    assert Postmaster.of(tmp_path) is None


def test_waiting_ends_when_it_is_done_or_too_long():
    assert within(1, lambda: True)
    assert not within(0.05, lambda: False)
