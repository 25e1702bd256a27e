import os
import time
from pathlib import Path

import pytest

from bentos.spool import Spool
from refit.errors import OutageError
from refit.store.segments import QUARANTINE, Segment, quarantine, segments, sole_mover, sweep_leftovers


def written(folder: Path, *counts: int) -> Segment:
    """Return a closed segment that holds frames of so many entries, numbered through."""
    spool, number = Spool(folder, 1 << 20), 0
    for count in counts:
        spool.append([{"id": number + place} for place in range(count)])
        number += count
    spool.close()
    return segments(folder)[-1]


def ids(segment: Segment) -> list[int]:
    return [entry["id"] for entry in segment.read().entries]


def damaged(segment: Segment, before: bytes, after: bytes) -> None:
    content = segment.path.read_bytes()
    assert before in content
    segment.path.write_bytes(content.replace(before, after, 1))


def test_a_folder_that_is_not_there_has_no_segment(tmp_path):
    assert segments(tmp_path / "nowhere") == []


def test_a_part_begins_where_the_last_one_was_noted(tmp_path):
    segment = written(tmp_path, 1, 2)
    part = segment.read()
    assert (part.begins_at, part.total) == (0, 3)
    segment.note(part.ends_at, part.total)
    assert segment.progress() == (part.ends_at, 3)
    again = segment.read()
    assert (again.entries, again.begins_at, again.ends_at, again.total) == ([], part.ends_at, part.ends_at, 3)


@pytest.mark.parametrize("note", [b"", b"7", b"x y", b"5 1", b"99999 1"], ids=repr)
def test_a_note_that_cannot_be_right_is_not_believed(tmp_path, note):
    segment = written(tmp_path, 1, 1)
    segment.path.with_suffix(".moved").write_bytes(note)
    assert ids(segment) == [0, 1]


def test_a_damaged_line_is_told_apart_and_harms_no_other(tmp_path):
    segment = written(tmp_path, 1, 1, 1)
    damaged(segment, b'"id":1', b'"id":7')
    part = segment.read()
    assert [entry["id"] for entry in part.entries] == [0, 2]
    assert part.broken == [b'[{"id":7}] 0000000002 ' + part.broken[0][-8:]]
    assert part.total == 3


@pytest.mark.parametrize(
    "junk",
    [b"\n", b"\0" * 4096 + b"\n", b"not a frame\n", b"[] 0000000001 00000000\n", b"\xff\xfe\n"],
    ids=["empty", "zeros", "text", "checksum", "bytes"],
)
def test_lines_that_are_no_frames_are_kept_as_they_are(tmp_path, junk):
    segment = written(tmp_path, 1, 1)
    segment.path.write_bytes(junk + segment.path.read_bytes())
    part = segment.read()
    assert [entry["id"] for entry in part.entries] == [0, 1]
    assert part.broken == [junk[:-1]]


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_torn_last_line_is_no_entry(tmp_path, cut):
    segment = written(tmp_path, 1, 1)
    size = segment.path.stat().st_size
    os.truncate(segment.path, size - cut)
    part = segment.read()
    assert [entry["id"] for entry in part.entries] == [0]
    assert (part.torn, part.ends_at, part.broken) == (size // 2 - cut, size // 2, [])


def test_an_entry_is_found_whether_or_not_it_was_moved(tmp_path):
    segment = written(tmp_path, 3, 1)
    part = segment.read()
    segment.note(part.ends_at, part.total)
    assert list(segment.search('"id":3')) == [{"id": 3}]
    assert list(segment.search('"id":9')) == []
    segment.delete()
    assert list(segment.search('"id":3')) == []


def test_deleting_takes_the_note_along_and_may_be_done_twice(tmp_path):
    segment = written(tmp_path, 1)
    segment.note(5, 1)
    segment.delete()
    segment.delete()
    assert list(tmp_path.iterdir()) == []
    assert not segment.abandoned()


def test_quarantine_keeps_the_bytes_and_done_twice_equals_once(tmp_path):
    segment = written(tmp_path, 1)
    for _ in range(2):
        quarantine(tmp_path, segment, 17, [b"one", b"\xff\0"])
    (aside,) = (tmp_path / QUARANTINE).iterdir()
    assert aside.name == f"{segment.name}-17.bad"
    assert aside.read_bytes() == b"one\n\xff\0\n"
    assert aside.stat().st_mode & 0o777 == 0o600


def test_a_folder_has_one_mover(tmp_path):
    toy = tmp_path / "toy"
    with sole_mover(toy), pytest.raises(OutageError, match="another process moves"), sole_mover(toy):
        pytest.fail("both hold the lock")
    with sole_mover(tmp_path / "toy"):
        pass


def test_a_segment_whose_writer_died_before_it_had_a_name_is_swept_once_it_is_old(tmp_path):
    young, old = tmp_path / "1.new", tmp_path / "0.new"
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 61, time.time() - 61))
    sweep_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [young]


def test_a_note_whose_segment_was_deleted_before_its_mover_was_killed_is_swept(tmp_path, monkeypatch):
    kept, gone = written(tmp_path, 1), written(tmp_path, 1)
    for segment in (kept, gone):
        segment.note(5, 1)
    unlink = Path.unlink

    def killed(path: Path, **how) -> None:
        if path.suffix == ".moved":
            raise KeyboardInterrupt
        unlink(path, **how)

    with monkeypatch.context() as at_its_end:
        at_its_end.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            gone.delete()
    assert len(list(tmp_path.iterdir())) == 3
    sweep_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{kept.name}.log", f"{kept.name}.moved"]
