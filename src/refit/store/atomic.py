"""Files that are there as a whole or not at all, and what a failing disk means."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from refit.errors import ContractError, OutageError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
BARRED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
NO_FOLDER: Final = frozenset({errno.ENOTDIR, errno.EEXIST})


@contextmanager
def disk_explained(path: Path | str) -> Iterator[None]:
    """Turn the disk's refusals at `path` into errors that say what to do; leave every other one as it is.

    Raises:
        OutageError: It is full, broken, or not ours to write to.
        ContractError: A file stands where a folder is needed.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OutageError(f"disk full at {path}: make room there and run again") from None
        if error.errno in BARRED:
            raise OutageError(f"{path}: {error.strerror}; make it writable, or name another place") from None
        if error.errno in NO_FOLDER:
            raise ContractError(f"{path}: a file stands where a folder is needed; name another place") from None
        if error.errno == errno.EIO:
            raise OutageError(f"the disk fails at {path}: {error.strerror}") from None
        raise


def make_folder(path: Path, *, mode: int = 0o777) -> Path:
    """Make `path` with all above it, unless it is there.

    Raises:
        OutageError: The disk refuses.
        ContractError: A file stands in its place.
    """
    with disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=mode, exist_ok=True)
    return path


@contextmanager
def writing(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Give a file to write to, which becomes `path` at the end; where anything fails, `path` stays as it was.

    Raises:
        OutageError: The disk refuses.
    """
    make_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.unfinished")
    with disk_explained(path):
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            keep(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)


def keep(path: Path) -> None:
    """Have the disk hold what was written to the file or folder `path`, power cut or not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
