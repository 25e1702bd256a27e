"""A back-up and its way back, with real tar, spool and mover; compose is played by a script."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentos.spool import Spool
from refit.loop.mover import move
from tests.unit.loop.logged import entry
from tests.unit.loop.test_mover import FakeLedger

ROOT = Path(__file__).parents[3]
MOVE = f"{sys.executable} -m tests.unit.deployments.test_backup"
COMPOSE = """#!/bin/sh
# The ledger is a file of ids; the volume is a folder. Before a dump of MOVES_DURING, the mover goes through the spool.
case "$*" in
*psql*|up*) ;;
*pg_dump*) for database; do :; done
  if [ "$database" = "$MOVES_DURING" ]; then MOVE HERE; fi
  if [ "$database" = ledger ]; then cat HERE/ledger; fi ;;
*pg_restore*--dbname=ledger*) cat >HERE/ledger ;;
*pg_restore*) cat >/dev/null ;;
run*)
  while [ "$1" != --entrypoint ]; do shift; done
  program=$2
  shift 3
  for word; do
    shift
    set -- "$@" "$(printf %s "$word" | sed 's|/var/lib/refit|HERE/home|')"
  done
  exec "$program" "$@" ;;
esac
"""


class Server:
    """A home volume and a ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.ledger = folder, folder / "home", folder / "ledger"
        self.spool = self.home / "spool" / "toy"
        self.home.mkdir(parents=True)
        self.ledger.touch()
        self.compose = folder / "compose"
        self.compose.write_text(COMPOSE.replace("MOVE HERE", f"{MOVE} HERE").replace("HERE", str(folder)))
        self.compose.chmod(0o755)

    def script(self, name: str, kept: Path, *, compose: str = "", moves_during: str = "") -> int:
        environment = os.environ | {"COMPOSE": compose or str(self.compose), "MOVES_DURING": moves_during}
        command = ["sh", f"deployments/{name}", str(kept)]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True).returncode

    def notes(self) -> list[Path]:
        return list(self.home.rglob("*.moved"))

    def decisions(self) -> set[str]:
        """Return what is in the ledger once the mover was at work there, as at the start of a restored stack."""
        ledger = FakeLedger()
        move(ledger, self.spool)
        return {str(id_) for id_ in ledger.ids} | set(self.ledger.read_text().splitlines())


def held(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return opened.getnames()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "server")


@pytest.fixture
def restored(tmp_path: Path) -> Server:
    return Server(tmp_path / "restored")


@pytest.fixture
def answered(server: Server) -> Iterator[set[str]]:
    """Decisions of which none was moved: two in a segment that was left, three in one that is written to."""
    spool, entries = Spool(server.spool, 1 << 20), [entry() for _ in range(5)]
    for one in entries[:2]:
        spool.append([one])
    spool.close()
    for one in entries[2:]:
        spool.append([one])
    yield {one["id"] for one in entries}
    spool.close()


@pytest.mark.slow
@pytest.mark.parametrize("moves_during", ["ledger", "source", ""])
def test_what_was_answered_before_a_back_up_is_in_it_whenever_it_was_moved(
    server: Server, restored: Server, answered: set[str], tmp_path: Path, moves_during: str
) -> None:
    assert server.script("backup.sh", tmp_path / "kept", moves_during=moves_during) == 0
    if moves_during:  # the segment that was left is gone, of the other one stands how far it was moved
        assert [path.stem for path in server.spool.glob("*.log")] == [path.stem for path in server.notes()]
        assert set(server.ledger.read_text().splitlines()) == answered
    assert restored.script("restore.sh", tmp_path / "kept") == 0
    assert restored.notes() == []
    assert restored.decisions() == answered


def test_a_note_of_what_was_moved_long_ago_is_not_kept(
    server: Server, restored: Server, answered: set[str], tmp_path: Path
) -> None:
    move(FakeLedger(), server.spool)  # as if the dumped ledger lacked what is noted as moved
    (note,) = server.notes()
    assert server.script("backup.sh", tmp_path / "kept") == 0
    assert [Path(name).suffix for name in held(tmp_path / "kept" / "spool.tar.gz") if "toy/" in name] == [".log"]
    assert not any("spool" in name for name in held(tmp_path / "kept" / "home.tar.gz"))
    assert restored.script("restore.sh", tmp_path / "kept") == 0
    assert (restored.spool / note.name).with_suffix(".log").exists()
    assert restored.notes() == []
    assert len(restored.decisions() & answered) == 3


def test_a_home_without_a_spool_is_kept_and_comes_back(server: Server, restored: Server, tmp_path: Path) -> None:
    (server.home / "lake").mkdir()
    (server.home / "lake" / "part").write_text("loans")
    assert server.script("backup.sh", tmp_path / "kept") == 0
    assert restored.script("restore.sh", tmp_path / "kept") == 0
    assert (restored.home / "lake" / "part").read_text() == "loans"
    assert not (restored.home / "spool").exists()


def test_a_back_up_of_before_the_spool_had_an_archive_comes_back_without_its_notes(
    server: Server, restored: Server, answered: set[str], tmp_path: Path
) -> None:
    move(FakeLedger(), server.spool)
    assert len(server.notes()) == 1
    kept = tmp_path / "kept"
    kept.mkdir()
    for database in ("ledger", "source", "prefect"):
        (kept / f"{database}.dump").touch()
    archive = ["tar", "--create", "--gzip", f"--directory={server.home}", f"--file={kept / 'home.tar.gz'}", "."]
    subprocess.run(archive, check=True)
    subprocess.run(["sh", "-c", "sha256sum ./*.dump home.tar.gz >SHA256SUMS"], cwd=kept, check=True)
    assert restored.script("restore.sh", kept) == 0
    assert restored.notes() == []
    assert len(restored.decisions() & answered) == 3


@pytest.mark.parametrize("name", ["spool.tar.gz", "home.tar.gz"])
def test_an_archive_that_was_altered_is_not_restored(
    server: Server, restored: Server, tmp_path: Path, name: str
) -> None:
    assert server.script("backup.sh", tmp_path / "kept") == 0
    with (tmp_path / "kept" / name).open("ab") as file:
        file.write(b"x")
    assert restored.script("restore.sh", tmp_path / "kept") != 0


@pytest.mark.parametrize(("told", "kept"), [(1, True), (2, False)])
def test_a_file_that_changes_while_tar_reads_it_is_allowed_for_and_no_worse(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int, *, kept: bool
) -> None:
    tar = tmp_path / "bin" / "tar"
    tar.parent.mkdir()
    tar.write_text(f'#!/bin/sh\n{shutil.which("tar")} "$@"\nexit {told}\n')
    tar.chmod(0o755)
    monkeypatch.setenv("PATH", str(tar.parent), prepend=os.pathsep)
    assert (server.script("backup.sh", tmp_path / "kept") == 0) is kept


def test_where_compose_starts_no_tar_there_is_no_back_up(server: Server, tmp_path: Path) -> None:
    failing = tmp_path / "failing"
    failing.write_text('#!/bin/sh\n[ "$1" != run ]\n')  # it ends with 1, as tar does where a file changed
    failing.chmod(0o755)
    assert server.script("backup.sh", tmp_path / "kept", compose=str(failing)) != 0
    assert not (tmp_path / "kept" / "SHA256SUMS").exists()


if __name__ == "__main__":  # the mover, in the midst of a back-up
    there, ledger = Path(sys.argv[1]), FakeLedger()
    move(ledger, there / "home" / "spool" / "toy")
    (there / "ledger").write_text("\n".join(str(id_) for id_ in ledger.ids))
