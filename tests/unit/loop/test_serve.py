"""What a service tells the ledger that it shares with others, and what it looks at before it serves."""

import dataclasses
import errno
import os
import stat
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from refit.errors import ContractError, OutageError
from refit.loop import serve as module
from refit.loop import serve_image as image_module
from refit.loop.mover import spool_folder
from refit.loop.serve import require_spool, serve
from refit.loop.serve_image import serve_image
from refit.release import supervisor as supervising
from refit.settings import Settings
from refit.store.rows import ReleaseRow

DAY = datetime(2003, 6, 30, tzinfo=UTC)
PATIENCE = 30.0


def row(number: int, version: str, kind: str = "release", refuses: int | None = None) -> ReleaseRow:
    return ReleaseRow(
        usecase="toy", version=version, bento_tag=f"refit_toy:{version}", kind=kind, reason="", as_of=DAY,
        refuses=refuses, id=number,
    )  # fmt: skip


class Ledger:
    """Three releases, and whatever it is told."""

    def __init__(self) -> None:
        self.rows = [row(number, f"v{number}") for number in (1, 2, 3)]
        self.asked = 0

    def live(self, _usecase: str) -> ReleaseRow | None:
        self.asked += 1
        refused = {one.refuses for one in self.rows}
        return next((one for one in reversed(self.rows) if one.kind != "refused" and one.id not in refused), None)

    def record_release(self, release: ReleaseRow, _override: object = None) -> ReleaseRow:
        self.rows.append(dataclasses.replace(release, id=len(self.rows) + 1))
        return self.rows[-1]

    def keep_predictions(self, _rows: object) -> int:
        return 0


@pytest.fixture
def supervisors(monkeypatch):
    """Collect every supervisor that is made, so that the test can end it."""
    made = []

    class Kept(supervising.Supervisor):
        def __init__(self, *given, **named) -> None:
            super().__init__(*given, **named, poll_seconds=0.01)
            made.append(self)

    monkeypatch.setattr(module, "Supervisor", Kept)
    monkeypatch.setattr(supervising, "FIRST_PAUSE", 0.01)
    return made


def until(true) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.002)


def test_a_service_with_another_home_takes_no_release_from_those_who_can_serve_it(tmp_path, supervisors):
    ledger, said = Ledger(), []
    desk = SimpleNamespace(settings=Settings(home=tmp_path / "another"), ledger=ledger)
    usecase = SimpleNamespace(name="toy")
    thread = threading.Thread(
        target=serve, args=(desk, usecase), kwargs={"host": "127.0.0.1", "port": 0, "echo": said.append}
    )
    thread.start()
    try:
        until(lambda: supervisors and any(n > 2 for n in supervisors[0]._failures.values()))
        asked = ledger.asked
        until(lambda: ledger.asked > asked + 1)
    finally:
        supervisors[0].stop()
        thread.join(PATIENCE)
    assert [(one.kind, one.version) for one in ledger.rows] == [("release", f"v{number}") for number in (1, 2, 3)]
    assert ledger.live("toy").version == "v3"
    assert said == []


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home", database_url="postgresql://nobody@127.0.0.1:1/none")


def barred(monkeypatch, folder: Path) -> None:
    """Make the folder look as one of another user's does; root may write everywhere."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and access(path, mode))


def served(settings: Settings) -> None:
    desk = SimpleNamespace(settings=settings, ledger=Ledger())
    serve(desk, SimpleNamespace(name="toy"), host="127.0.0.1", port=0, echo=lambda _: None)


def served_from_an_image(settings: Settings) -> None:
    serve_image(settings, Path("bento"), "toy", host="127.0.0.1", port=0, echo=lambda _: None)


@pytest.fixture
def packed(monkeypatch):
    found = SimpleNamespace(usecase="toy", version="v1")
    monkeypatch.setattr(image_module, "packed", lambda _: found)


@pytest.mark.usefixtures("packed")
@pytest.mark.parametrize("start", [served, served_from_an_image], ids=["by the ledger", "from an image"])
class TestASpoolThatCannotBeWritten:
    def test_ends_the_start_and_says_what_to_do_where_it_is_somebody_elses(self, settings, start, monkeypatch):
        folder = spool_folder(settings, "toy")
        barred(monkeypatch, folder)
        with pytest.raises(OutageError, match="cannot be written; make it writable, or set another REFIT_HOME"):
            start(settings)

    def test_ends_the_start_where_a_file_stands_in_its_place(self, settings, start):
        folder = spool_folder(settings, "toy")
        folder.parent.mkdir(parents=True)
        folder.touch()
        with pytest.raises(ContractError, match="a file stands where a folder is needed"):
            start(settings)

    def test_ends_the_start_where_no_folder_can_be_made(self, settings, start, monkeypatch):
        def refuses(*_: object, **__: object) -> None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

        monkeypatch.setattr(Path, "mkdir", refuses)
        with pytest.raises(OutageError, match="No such file or directory; name another place in REFIT_HOME"):
            start(settings)


def test_the_decision_logs_folder_is_made_for_its_owner_alone(tmp_path):
    folder = tmp_path / "home" / "spool" / "toy"
    require_spool(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    require_spool(folder)
