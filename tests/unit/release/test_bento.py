import os
from pathlib import Path

from refit.release import bento as module


def test_a_bento_is_on_the_disk_as_a_whole_before_it_has_its_place(tmp_path, monkeypatch):
    """Else a power cut leaves a Bento of empty files, which the ledger says is live."""
    built, goal = tmp_path / "built", tmp_path / "bentos" / "toy" / "v1"
    (built / "src").mkdir(parents=True)
    (built / "src" / "model.ubj").write_bytes(b"model")
    goal.parent.mkdir(parents=True)
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(path: Path, to: Path) -> Path:
        events.append("renamed")
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    module._move(built, goal)
    moved = events.index("renamed")
    assert {*events[:moved]} == {"built", "src", "model.ubj"}
    assert events[moved + 1 :] == ["toy"]
    assert (goal / "src" / "model.ubj").read_bytes() == b"model"
