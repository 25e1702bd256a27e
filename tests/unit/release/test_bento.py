import os
from pathlib import Path

import grimp

from refit.release import bento as module


def test_what_the_service_imports_of_refit_is_just_what_a_bento_carries():
    """Found in the code alone, long before a build would fail for it."""
    graph = grimp.build_graph("bentos", "refit", cache_dir=None)
    served = [name for name in graph.modules if name.partition(".")[0] == "bentos"]
    needed = {used for name in served for used in graph.find_upstream_modules(name)} - {*served}
    assert {name.split(".")[1] for name in needed} == {part.removesuffix(".py") for part in module.CARRIED}


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
