"""A real PostgreSQL that runs while somebody uses it, so that nobody has to install a server.

Whoever uses it holds a shared lock on `users.lock`; a killed user's lock frees itself. Under `start.lock`, which one
holds at a time, the first user starts the server, a later one adopts what runs, and the last one stops it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from refit.errors import OutageError
from refit.store.atomic import disk_explained, make_folder
from refit.store.cluster import PATIENCE_S, Cluster

FOLDER_MODE: Final = 0o711
"""The server may run as another user, who must get through to what is theirs; each thing inside is closed by itself."""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Give the address of the PostgreSQL whose data lies in `folder`; it runs until the last user is done with it.

    Raises:
        OutageError: It does not come up, or the disk refuses; says what to do.
        ContractError: The folder belongs to another user or version, or no user can be found who may run a server.
    """
    make_folder(folder.absolute(), mode=FOLDER_MODE)
    folder = folder.resolve()
    cluster = Cluster(folder)
    with _lock_file(folder / "start.lock") as start, _lock_file(folder / "users.lock") as users:
        with _alone(start, folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                address = cluster.serve()
            except BaseException:
                _leave(users, cluster)
                raise
        try:
            yield address
        finally:
            with _alone(start, folder):
                _leave(users, cluster)


def _leave(users: IO[bytes], cluster: Cluster) -> None:
    """Stop the server, if no other user is left."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    cluster.stop()


def _lock_file(path: Path) -> IO[bytes]:
    with disk_explained(path):
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb+")


@contextmanager
def _alone(lock: IO[Any], folder: Path) -> Iterator[None]:
    """Wait for our turn to start or stop the server."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > end:
                raise OutageError(f"another process has been starting the Postgres in {folder} for too long") from None
            time.sleep(0.02)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
