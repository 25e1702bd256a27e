import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bentos import spool as module
from bentos.answers import RefusalError
from bentos.spool import Spool, SpoolFullError
from refit.store.segments import segments

ROOM = 10 << 20


def entry(number: int = 0, **changes) -> dict:
    return {"id": f"id-{number}", "inputs": {"amount": 900.5, "name": "tab\t newline\n é 中 \\"}, **changes}


def kept(folder: Path) -> list[dict]:
    """Return what a reader finds, and check that it finds nothing broken."""
    parts = [segment.read() for segment in segments(folder)]
    assert [part.broken for part in parts] == [[]] * len(parts)
    return [entry for part in parts for entry in part.entries]


@pytest.fixture
def spool(tmp_path):
    with_folder = Spool(tmp_path / "spool" / "toy", ROOM)
    yield with_folder
    with_folder.close()


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "spool" / "toy"


def test_what_was_appended_is_read_as_it_was(spool, folder):
    spool.append([entry(1)])
    spool.append([entry(2), entry(3)])
    assert kept(folder) == [entry(1), entry(2), entry(3)]


def test_only_the_owner_may_read_a_person_s_record(spool, folder):
    spool.append([entry()])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_nothing_is_on_the_disk_before_the_first_entry(spool, folder):
    spool.append([])
    assert list(folder.iterdir()) == []
    assert (spool.backlog, spool.bytes, spool.full) == (0, 0, False)


def test_a_folder_that_cannot_be_made_is_an_error_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        Spool(tmp_path / "file" / "toy", ROOM)


KILLED = """
import os, signal, sys
from pathlib import Path
from bentos.spool import Spool
spool = Spool(Path(sys.argv[1]), 10 << 20)
for number in range(1000):
    spool.append([{"id": number}])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_nothing_and_leaves_its_segment_to_others(folder):
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [one["id"] for one in kept(folder)] == list(range(1000))
    assert [segment.abandoned() for segment in segments(folder)] == [True]


def test_a_segment_is_its_writer_s_until_it_closes(spool, folder):
    spool.append([entry()])
    (segment,) = segments(folder)
    assert not segment.abandoned()
    spool.close()
    assert segment.abandoned()


def test_a_segment_has_its_name_only_once_it_is_locked(spool, folder, monkeypatch):
    seen = []
    lock = module.fcntl.flock

    def watched(file: int, how: int) -> None:
        seen.append([path.suffix for path in folder.iterdir()])
        lock(file, how)

    monkeypatch.setattr(module.fcntl, "flock", watched)
    spool.append([entry()])
    assert seen == [[".new"]]
    assert [path.suffix for path in folder.iterdir()] == [".log"]


def test_two_generations_write_apart_and_each_sees_the_backlog_of_both(spool, folder):
    other = Spool(folder, ROOM)
    spool.append([entry(1)])
    other.append([entry(2), entry(3)])
    assert len(segments(folder)) == 2
    assert (spool.backlog, other.backlog) == (3, 3)
    assert spool.bytes == other.bytes == sum(path.stat().st_size for path in folder.iterdir())
    other.close()


@pytest.fixture
def restless_threads():
    """Have threads take turns as often as they can, so that a missing lock shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless_threads")
def test_many_threads_write_whole_lines(spool, folder):
    def write(first: int) -> None:
        for number in range(first, first + 300):
            spool.append([entry(number)])

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 1200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(one["id"][3:]) for one in kept(folder)) == list(range(1200))
    assert spool.backlog == 1200


def test_a_full_segment_is_followed_by_another(folder):
    spool = Spool(folder, 1 << 20)
    for number in range(3000):
        spool.append([entry(number)])
    assert len(segments(folder)) > 3
    assert all(segment.path.stat().st_size < module.SMALLEST_SEGMENT + 1000 for segment in segments(folder))
    assert [one["id"] for one in kept(folder)] == [f"id-{number}" for number in range(3000)]
    spool.close()


def test_an_old_segment_is_followed_by_another(spool, folder, monkeypatch):
    spool.append([entry(1)])
    later = time.monotonic() + module.SEGMENT_SECONDS
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    spool.append([entry(2)])
    assert [segment.abandoned() for segment in segments(folder)] == [True, False]


# The bound


def fill(spool: Spool) -> int:
    """Append until the spool refuses; return how many entries it took."""
    for number in range(100_000):
        try:
            spool.append([entry(number)])
        except SpoolFullError:
            return number
    raise AssertionError("it never refused")


def test_at_the_bound_an_entry_is_refused_and_the_disk_never_takes_more(folder):
    spool = Spool(folder, 200_000)
    taken = fill(spool)
    assert spool.full
    assert 190_000 < spool.bytes <= 200_000
    assert len(kept(folder)) == taken == spool.backlog
    with pytest.raises(SpoolFullError, match="200000 is its bound"):
        spool.append([entry()])
    spool.close()


@pytest.mark.slow
def test_room_that_the_mover_makes_is_used(folder):
    spool = Spool(folder, 200_000)
    fill(spool)
    segments(folder)[0].delete()
    left = len(kept(folder))
    wait_until(lambda: not spool.full)
    spool.append([entry()])
    assert len(kept(folder)) == left + 1
    spool.close()


def test_two_generations_share_the_bound(folder):
    first, second = Spool(folder, 200_000), Spool(folder, 200_000)
    fill(first)
    assert second.full
    assert fill(second) == 0
    first.close()
    second.close()


def test_a_batch_is_kept_as_a_whole_or_not_at_all(folder):
    spool = Spool(folder, 200_000)
    spool.append([entry(number) for number in range(1_000)])
    before = spool.bytes
    assert 100_000 > before > 50_000
    with pytest.raises(SpoolFullError):
        spool.append([entry(number) for number in range(2_000)])
    assert len(kept(folder)) == 1_000
    assert spool.bytes == before
    spool.close()


def moved(folder: Path) -> None:
    """Do as the mover does once all stands in Postgres: what its writer has left is deleted, the rest is noted."""
    for segment in segments(folder):
        abandoned, part = segment.abandoned(), segment.read()
        if abandoned:
            segment.delete()
        else:
            segment.note(part.ends_at, part.total)


def test_a_batch_that_takes_most_of_the_spool_leaves_its_room_to_the_next_one(folder):
    spool = Spool(folder, 200_000)
    for _ in range(3):
        spool.append([entry(number) for number in range(2_000)])
        assert spool.bytes > 100_000
        moved(folder)
        assert spool.bytes == 0
    spool.close()


def test_a_refused_batch_lets_go_of_a_segment_past_its_time_so_that_there_is_room_for_it_soon(folder, monkeypatch):
    spool = Spool(folder, 200_000)
    spool.append([entry(number) for number in range(600)])
    moved(folder)
    assert 0 < spool.bytes < module.SMALLEST_SEGMENT
    later = time.monotonic() + module.SEGMENT_SECONDS
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    large = [entry(number) for number in range(2_400)]
    with pytest.raises(SpoolFullError):
        spool.append(large)
    moved(folder)
    assert (spool.bytes, spool.backlog) == (0, 0)
    spool.append(large)
    assert spool.backlog == len(large)
    spool.close()


def test_what_all_of_the_spool_could_not_hold_is_refused_for_good_and_names_the_bound(folder):
    spool = Spool(folder, 200_000)
    with pytest.raises(RefusalError) as refused:
        spool.append([entry(number) for number in range(10_000)])
    told = refused.value.answer
    assert (told.status, told.headers, refused.value.code) == (413, (), "too_large")
    assert b"REFIT_SPOOL_MB bounds it to 200000" in told.body
    assert b"send fewer records at once" in told.body
    assert not spool.full
    spool.append([entry()])
    assert len(kept(folder)) == 1
    spool.close()


# A disk that refuses


def test_a_line_the_disk_tore_is_no_entry_and_harms_none(spool, folder, monkeypatch):
    spool.append([entry(1)])
    whole = os.write
    monkeypatch.setattr(module.os, "write", lambda file, frame: whole(file, frame[: len(frame) // 2]))
    with pytest.raises(SpoolFullError, match="No space left"):
        spool.append([entry(2)])
    monkeypatch.setattr(module.os, "write", whole)
    wait_until(lambda: appended(spool, entry(3)))
    assert kept(folder) == [entry(1), entry(3)]
    assert [segment.read().torn > 0 for segment in segments(folder)] == [True, False]
    assert spool.backlog == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=["full", "quota", "broken"])
def test_a_disk_that_refuses_is_said_without_a_value_and_tried_again_soon(spool, monkeypatch, code):
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", refuse)
        patched.setattr(module.os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255)))
        with pytest.raises(SpoolFullError) as caught:
            spool.append([entry(inputs={"amount": 424242})])
        assert "424242" not in str(caught.value)
        assert os.strerror(code) in str(caught.value)
        assert spool.full
        with pytest.raises(SpoolFullError, match="a moment ago"):
            spool.append([entry()])
    assert not spool.full
    wait_until(lambda: appended(spool, entry()))


LIMITED = """
import resource, sys
from pathlib import Path
from bentos.spool import Spool, SpoolFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
spool = Spool(Path(sys.argv[1]), 10 << 20)
number = 0
try:
    while True:
        spool.append([{"id": number, "text": "x" * 97}])
        number += 1
except SpoolFullError:
    print(number)
"""


def test_a_real_short_write_loses_no_entry_that_was_taken(folder):
    done = subprocess.run([sys.executable, "-c", LIMITED, str(folder)], check=True, capture_output=True, text=True)
    assert [one["id"] for one in kept(folder)] == list(range(int(done.stdout)))
    assert segments(folder)[0].read().torn > 0


def test_what_has_no_form_in_json_is_refused_before_the_disk(spool, folder):
    with pytest.raises(TypeError):
        spool.append([entry(inputs={"amount": object()})])
    spool.append([entry(1)])
    assert kept(folder) == [entry(1)]


def appended(spool: Spool, one: dict) -> bool:
    try:
        spool.append([one])
    except SpoolFullError:
        return False
    return True


def wait_until(true) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)
