"""The decision log's first stop: entries are in a file of this machine before their answer goes out.

A folder of segments. Each process appends to one of its own, which it holds locked (`flock`) as long as it may write to
it: whoever gets that lock knows that nothing more will come. A frame is one line, written whole by one call; behind its
JSON array of entries stand the count of entries in the segment so far (10 digits) and the CRC-32 of all before (8 hex).
What follows the last newline of a segment was never answered. `refit.store.segments` reads the same format; a Bento
carries no store, so a test holds the two together.

A killed process loses nothing: what was written is the kernel's. A power cut can take what the kernel had not written
to the disk yet, some 30 s of answers; `fsync=True` closes that gap and costs a write of the disk for every answer.
"""

import errno
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

import orjson

from bentos.answers import RefusalError

SUFFIX: Final = ".log"
UNBORN: Final = ".new"
MOVED: Final = ".moved"
"""Beside a segment, once some of it is in Postgres: how many bytes and entries are."""
TRAILER: Final = len(" 0123456789 01234567\n")

LARGEST_SEGMENT: Final = 8 << 20
SMALLEST_SEGMENT: Final = 64 << 10
SEGMENTS: Final = 16
"""So many segments fill the spool; each is given back to the disk as a whole."""
SEGMENT_SECONDS: Final = 60.0
SCAN_SECONDS: Final = 1.0
"""How old the view on what other processes wrote and what was moved may be."""
NEAR_FULL: Final = 0.8
NEAR_FULL_SCAN_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 0.25
ROOM: Final = 1 << 20
"""A disk that was full is taken for mended once this much of it is free."""


class SpoolFullError(Exception):
    """The log cannot take the entry, so its answer must not go out. The message says why, and holds no value."""


class Spool:
    """Appends entries to segments in one folder, which may take `max_bytes` of the disk.

    Other processes append to the same folder while a release takes over from the one before; each looks again every
    50 ms once it is nearly full, so together they exceed the bound by no more than they write in that time.
    """

    def __init__(self, folder: Path, max_bytes: int, *, fsync: bool = False) -> None:
        """Make the folder.

        Raises:
            OSError: It cannot be made, or not be written to.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "the decision log's folder is not ours to write to", str(folder))
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(max(max_bytes // SEGMENTS, SMALLEST_SEGMENT), LARGEST_SEGMENT)
        self._fsync = fsync
        self._lock = threading.Lock()
        self._segment: _Segment | None = None
        self._bytes = 0
        self._scan_at = 0.0
        self._not_before = 0.0
        self._starved = False

    def append(self, entries: Sequence[Mapping[str, object]]) -> None:
        """Keep the entries, all or none; once this returns, their answer may go out. Safe from any thread.

        Args:
            entries: Each with `id` (a UUID of its own), `at` (with a zone), `usecase`, `version`, `request_id`,
                `inputs`, either `probability` or `probabilities`, `threshold` or None, `decision`, `reasons` or None,
                `latency_ms`. What lacks one of these the mover puts aside.

        Raises:
            SpoolFullError: The bound is reached, or the disk refuses.
            RefusalError: All of the spool could not hold the entries, so that waiting would not help.
        """
        if not entries:
            return
        content = orjson.dumps(list(entries), default=_plain)
        checksum = crc32(content)
        if len(content) + TRAILER > self._max_bytes:
            raise _too_large(len(content) + TRAILER, self._max_bytes)
        with self._lock:
            now = time.monotonic()
            self._check_room(len(content) + TRAILER, now)
            try:
                segment = self._open(now)
                total = segment.entries + len(entries)
                count = b" %010d" % total
                segment.write(b"%s%s %08x\n" % (content, count, crc32(count, checksum)), fsync=self._fsync)
            except OSError as error:
                self._refused(now)
                raise SpoolFullError(f"the decision log's disk refuses: {os.strerror(error.errno or 0)}") from None
            segment.entries = total
            self._bytes += len(content) + TRAILER
            self._starved = False
            self._leave_if_done(now)

    @property
    def bytes(self) -> int:
        """How much of the disk all segments of the folder take, quarantine included."""
        with self._lock:
            self._scan_at = 0.0
            self._scan(time.monotonic())
            return self._bytes

    @property
    def backlog(self) -> int:
        """How many entries, of every process, are not known to be in Postgres yet."""
        return sum(_waiting(Path(found)) for found in _segments(self._folder))

    @property
    def full(self) -> bool:
        """Whether the next entries may be refused."""
        with self._lock:
            self._scan(time.monotonic())
            if self._starved:
                with suppress(OSError):
                    disk = os.statvfs(self._folder)
                    self._starved = disk.f_bavail * disk.f_frsize < ROOM
            return self._starved or self._bytes + self._max_bytes // 64 > self._max_bytes

    def close(self) -> None:
        """Let go of the segment; a later `append` begins another one."""
        with self._lock:
            self._leave()

    def _check_room(self, size: int, now: float) -> None:
        if now < self._not_before:
            raise SpoolFullError("the decision log's disk refused a moment ago")
        if now >= self._scan_at:
            self._scan(now)
        if self._bytes + size > self._max_bytes:
            self._leave_if_done(now)  # or all of it could be moved, and its room never be had again
            raise SpoolFullError(f"the decision log holds {self._bytes} bytes; {self._max_bytes} is its bound")

    def _scan(self, now: float) -> None:
        """Look what is on the disk, unless that was done a moment ago."""
        if now < self._scan_at:
            return
        self._bytes = sum(_sizes(self._folder))
        near = self._bytes > NEAR_FULL * self._max_bytes
        self._scan_at = now + (NEAR_FULL_SCAN_SECONDS if near else SCAN_SECONDS)

    def _open(self, now: float) -> "_Segment":
        self._leave_if_done(now)
        if self._segment is None:
            self._segment = _Segment(self._folder, now + SEGMENT_SECONDS)
        return self._segment

    def _leave_if_done(self, now: float) -> None:
        """Leave a segment past its size or its time: only then may the mover give its room back."""
        segment = self._segment
        if segment is not None and (segment.size >= self._segment_bytes or now >= segment.ends_at):
            self._leave()

    def _refused(self, now: float) -> None:
        """Leave a segment whose last line may be torn; the next line would be read as part of it."""
        self._leave()
        self._starved = True
        self._not_before = now + RETRY_SECONDS
        self._scan_at = 0.0

    def _leave(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None


class _Segment:
    """One file that this process alone writes to."""

    def __init__(self, folder: Path, ends_at: float) -> None:
        self.ends_at = ends_at
        self.size = 0
        self.entries = 0
        self._file = _born(folder)

    def write(self, frame: bytes, *, fsync: bool) -> None:
        """Write a frame.

        Raises:
            OSError: Not all of it could be written.
        """
        written = os.write(self._file, frame)
        self.size += written
        if written != len(frame):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if fsync:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of file and lock."""
        with suppress(OSError):
            os.close(self._file)


def _born(folder: Path) -> int:
    """Return a new segment's descriptor. It gets its name once it is locked: unlocked, it would look abandoned."""
    name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
    unborn = folder / f"{name}{UNBORN}"
    descriptor = os.open(unborn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unborn.rename(folder / f"{name}{SUFFIX}")
    except OSError:
        os.close(descriptor)
        with suppress(OSError):
            unborn.unlink()
        raise
    return descriptor


def _sizes(folder: Path) -> Iterator[int]:
    try:
        with os.scandir(folder) as found:
            for entry in found:
                with suppress(OSError):  # moved and deleted meanwhile
                    if entry.is_dir(follow_symlinks=False):
                        yield from _sizes(Path(entry.path))
                    else:
                        yield entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return


def _segments(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [entry.path for entry in found if entry.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []


def _waiting(segment: Path) -> int:
    try:
        written = _written(segment)
    except OSError:
        return 0  # moved and deleted meanwhile
    try:
        moved = int(segment.with_suffix(MOVED).read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        moved = 0
    return max(written - moved, 0)


def _written(segment: Path) -> int:
    """Return how many entries a segment holds, by its last whole line."""
    with segment.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TRAILER, 0))
        end = file.read(TRAILER)
        if not end.endswith(b"\n"):  # torn: its writer was killed, or the disk is full
            file.seek(0)
            whole, newline, _ = file.read().rpartition(b"\n")
            end = (whole + newline)[-TRAILER:]
    digits = end[1:11]
    return int(digits) if digits.isdigit() else 0


def _too_large(size: int, bound: int) -> RefusalError:
    why = f"the decision log would need {size} bytes for this, and REFIT_SPOOL_MB bounds it to {bound}"
    return RefusalError(413, "too_large", f"{why}, so nothing is decided; send fewer records at once")


def _plain(value: object) -> object:
    """Return what JSON has a form for: any mapping as an object."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in the decision log")
