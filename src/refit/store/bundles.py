"""Folders that appear as a whole: a bundle is made aside, then moved to where it belongs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from refit.store.atomic import FULL, disk_explained, keep, make_folder


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """Give an empty folder inside `folder`, to be published or else removed at the end.

    Raises:
        OutageError: The disk refuses.
    """
    aside = make_folder(folder) / f".{uuid4().hex}.unfinished"
    with disk_explained(folder):
        aside.mkdir()
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def publish(made: Path, final: Path) -> Path:
    """Move the folder `made` to `final` in one step; where `final` is already there, it stays.

    A bundle's name holds the hash of its content, so what is there is the same.

    Raises:
        OutageError: The disk refuses.
    """
    make_folder(final.parent)
    with disk_explained(final):
        for path in (*made.rglob("*"), made):
            keep(path)
        try:
            made.rename(final)
        except OSError as error:
            if error.errno in FULL or not final.is_dir():
                raise
            shutil.rmtree(made)
        keep(final.parent)
    return final
