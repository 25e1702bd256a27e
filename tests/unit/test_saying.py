"""What goes on where nobody can be told of it."""

import io
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bentos.spool import Spool
from refit.cli import app
from refit.commands import serving
from refit.commands.app import settings_read
from refit.errors import OutageError
from refit.loop.mover import Mover
from refit.release.conversation import Conversation
from refit.release.supervisor import Release, Supervisor
from refit.saying import Unfailing, unfailing
from tests.unit.loop.logged import entry

PATIENCE = 30.0
FULL = Path("/dev/full")
AWAY = OutageError("Postgres is away")


def until(true) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.002)


@pytest.fixture
def full(monkeypatch):
    """Send the log to a disk without room, as every command does that serves."""
    for name in [name for name in os.environ if name.startswith("REFIT_")]:
        monkeypatch.delenv(name)
    if not FULL.exists():
        pytest.skip("this system has no /dev/full")
    file = FULL.open("w")
    monkeypatch.setattr(sys, "stderr", file)
    settings_read()
    yield
    with suppress(OSError):
        file.close()


@pytest.mark.usefixtures("full")
class TestWithALogThatCannotBeWritten:
    def test_the_decision_log_is_moved_once_postgres_is_back(self, tmp_path):
        moved, away = [], [AWAY] * 3

        def keep_predictions(rows) -> int:
            if away:
                raise away.pop()
            moved.extend(rows)
            return len(rows)

        spool = Spool(tmp_path / "spool", 1 << 24)
        spool.append([entry(id=str(uuid4()))])
        spool.close()
        mover = Mover(SimpleNamespace(keep_predictions=keep_predictions), tmp_path / "spool", pause_seconds=0.01)
        mover.start()
        try:
            until(lambda: moved)
        finally:
            mover.close()
        assert len(moved) == 1

    def test_the_ledger_is_asked_on_and_on(self):
        asked = []

        def away() -> None:
            asked.append(1)
            raise OutageError(f"Postgres is away, {len(asked)}")  # each another line of the log

        conversation = Conversation(away, lambda _: None, 0.001)
        conversation.start()
        try:
            until(lambda: len(asked) > 3)
        finally:
            conversation.close()
        assert len(asked) > 3

    def test_a_crashed_generation_is_started_again(self):
        supervisor = Supervisor(lambda: None, lambda _: None, lambda *_: None, "127.0.0.1", 0)
        release = Release(1, "v1", "refit_toy:v1", Path("nowhere"))
        supervisor._live = child = SimpleNamespace(release=release)
        supervisor._crashed(child, "killed by SIGKILL")
        assert release.key in supervisor._not_before


def test_a_line_after_the_disk_has_room_again_is_written():
    class Filling(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk = Filling()
    stream = Unfailing(disk)
    print("lost", file=stream, flush=True)
    disk.full = False
    print("kept", file=stream, flush=True)
    assert disk.getvalue() == "kept\n"


def test_a_closed_terminal_is_no_fault_and_neither_is_none_at_all():
    closed = io.StringIO()
    closed.close()
    with pytest.raises(ValueError, match="closed file"):
        closed.write("lost")
    for stream in (closed, None):
        print("lost", file=Unfailing(stream), flush=True)
        assert Unfailing(stream).write("lost") == 4


@pytest.fixture
def left():
    """Give a console whose reader left."""
    reader, writer = os.pipe()
    os.close(reader)
    pipe = os.fdopen(writer, "w")
    yield Console(file=pipe)
    with suppress(OSError):
        pipe.close()


def test_a_line_for_a_pipe_whose_reader_left_ends_nobody(left, monkeypatch, tmp_path):
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)  # rich points it nowhere where a pipe breaks
        with pytest.raises(SystemExit):
            left.print("sba: v1 is live")
        say = unfailing(left.print)
        assert say("sba: v2 is live") is None
        assert say("sba: v3 is live") is None


def test_refit_serve_goes_on_where_its_lines_reach_nobody(left, monkeypatch):
    served = []

    def start(_settings, usecase, *, host, port, echo) -> None:
        echo(f"{usecase} is live on {host}:{port}")
        served.append(usecase)

    monkeypatch.setattr(serving, "err", left)
    monkeypatch.setattr("refit.loop.serve.start", start)
    done = CliRunner().invoke(app, ["serve", "toy"])
    assert (done.exit_code, served) == (0, ["toy"])
