"""The decision log's segments on the disk, as `bentos.spool` writes them; its docstring says how they look."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import orjson

from refit.errors import OutageError
from refit.store.atomic import disk_explained, make_folder

SUFFIX: Final = ".log"
UNBORN: Final = ".new"
MOVED: Final = ".moved"
QUARANTINE: Final = "quarantine"
LOCK: Final = ".mover.lock"
COUNT: Final = len(" 0123456789")
CHECKSUM: Final = len(" 01234567")
ABANDONED_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Part:
    """What a segment holds beyond what was moved before.

    `entries` are decoded; `broken` are lines that are no frame, as they are; `torn` counts the bytes behind the last
    newline, which no answer stands for once the writer is gone; `ends_at` is where the next part begins; `total` counts
    the entries up to there, broken ones included as far as a later line tells.
    """

    entries: list[Any]
    broken: list[bytes]
    torn: int
    begins_at: int
    ends_at: int
    total: int


class Segment:
    """One file of entries, and how far it was moved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._moved = path.with_suffix(MOVED)

    @property
    def name(self) -> str:
        """What tells it from others, without a folder."""
        return self.path.stem

    def abandoned(self) -> bool:
        """Whether its writer has closed it or died, so that nothing more will come."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def progress(self) -> tuple[int, int]:
        """Return how many bytes and entries were moved; where that was lost, none: moving again doubles nothing."""
        try:
            place, entries = self._moved.read_bytes().split()
            return int(place), int(entries)
        except (OSError, ValueError):
            return 0, 0

    def note(self, place: int, entries: int) -> None:
        """Keep how far it was moved. A full disk must not stop the moving, which is what empties it."""
        with suppress(OSError):
            descriptor = os.open(self._moved, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, b"%020d %020d\n" % (place, entries), 0)
            finally:
                os.close(descriptor)

    def read(self) -> Part:
        """Return what stands behind what was moved, up to the last whole line.

        Raises:
            OutageError: The disk refuses.
        """
        place, total = self.progress()
        with disk_explained(self.path), self.path.open("rb") as file:
            file.seek(max(place - 1, 0))
            content = file.read()
            if place and not content.startswith(b"\n"):  # the note is not to be trusted
                file.seek(0)
                place, total, content = 0, 0, file.read()
        content = content[1:] if place else content
        *lines, torn = content.split(b"\n")
        entries: list[Any] = []
        broken: list[bytes] = []
        for line in lines:
            found = _entries(line)
            if found is None:
                broken.append(line)
            else:
                entries.extend(found)
                total = int(line[-CHECKSUM - COUNT : -CHECKSUM])
        return Part(entries, broken, len(torn), place, place + len(content) - len(torn), total)

    def search(self, text: str) -> Iterator[Any]:
        """Give the entries of all lines that hold `text`, moved or not."""
        with suppress(FileNotFoundError), disk_explained(self.path), self.path.open("rb") as file:
            for line in file:
                if text.encode() in line:
                    yield from _entries(line.rstrip(b"\n")) or ()

    def delete(self) -> None:
        """Take it off the disk; its note last, for without it all would be moved, and put aside, once more."""
        with disk_explained(self.path):
            self.path.unlink(missing_ok=True)
            self._moved.unlink(missing_ok=True)


def segments(folder: Path) -> list[Segment]:
    """Return the segments of a folder, oldest first; none where there is no folder."""
    return [Segment(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def quarantine(folder: Path, segment: Segment, place: int, lines: list[bytes]) -> None:
    """Keep what cannot be moved in a file of its own, named by where it stood: done twice equals once.

    Raises:
        OutageError: The disk refuses.
    """
    aside = make_folder(folder / QUARANTINE, mode=0o700) / f"{segment.name}-{place}.bad"
    unfinished = aside.with_suffix(".unfinished")
    with disk_explained(aside):
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"".join(line + b"\n" for line in lines))
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(aside)


def sweep_leftovers(folder: Path) -> None:
    """Delete the empty files of processes that died while they began a segment, and notes that outlived theirs.

    Only for the folder's sole mover: nobody else deletes a segment, or notes how far one was moved.
    """
    for path in folder.glob(f"*{UNBORN}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
    for path in folder.glob(f"*{MOVED}"):
        with suppress(OSError):
            if not path.with_suffix(SUFFIX).exists():
                path.unlink()


@contextmanager
def sole_mover(folder: Path) -> Iterator[None]:
    """Keep every other mover out of the folder; a killed holder's lock frees itself.

    Raises:
        OutageError: Another one is at work, or the disk refuses.
    """
    make_folder(folder, mode=0o700)
    with disk_explained(folder):
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutageError(f"{folder}: another process moves this decision log already") from None
        yield
    finally:
        os.close(descriptor)


def _entries(line: bytes) -> list[Any] | None:
    """Return the entries of a frame, None where it is broken."""
    head, checksum = line[:-CHECKSUM], line[-CHECKSUM:]
    if checksum != b" %08x" % crc32(head):
        return None
    try:
        found = orjson.loads(head[:-COUNT])
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, list) else None
