"""Where reports lie: `USECASE/RUN/KIND.html` with its JSON, under one folder."""

import errno
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from refit.errors import ContractError, DataError
from refit.store.atomic import disk_explained, writing

_ABSENT: Final = frozenset({errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG})
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where one report lies, relative to the folder of all."""

    html: str
    json: str


class Reports:
    """The folder of all reports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, usecase: str, kind: str, run_id: object, html: str, json: str) -> ReportPaths:
        """Keep a report; both files are there as a whole or not at all.

        Raises:
            OutageError: The disk refuses.
            ContractError: A name that would lead out of the folder.
        """
        for part in (usecase, kind, str(run_id)):
            if not _PART.fullmatch(part):
                raise ContractError(f"{part!r} cannot name a report; use letters, digits, '_', '-' and '.'")
        stem = f"{usecase}/{run_id}/{kind}"
        paths = ReportPaths(f"{stem}.html", f"{stem}.json")
        for path, content in ((paths.json, json), (paths.html, html)):
            with writing(self._folder / path) as file:
                file.write(content.encode("utf-8", "replace"))
        return paths

    def size(self, path: str) -> int | None:
        """Return how many bytes a report's file has, None where there is none."""
        found = self._within(path)
        return found.stat().st_size if found.is_file() else None

    def remove(self, path: str) -> None:
        """Let go of a report's file, and of the run's folder once it is empty.

        Raises:
            ContractError: `path` leads out of the folder.
        """
        found = self._within(path)
        found.unlink(missing_ok=True)
        if found.parent.is_dir() and not any(found.parent.iterdir()):
            found.parent.rmdir()

    def read(self, path: str) -> bytes:
        """Return a report's file.

        Raises:
            ContractError: `path` leads out of the folder.
            DataError: There is no such file; it may have been swept.
        """
        found = self._within(path)
        with disk_explained(found):
            try:
                return found.read_bytes()
            except OSError as error:
                if error.errno in _ABSENT:
                    raise DataError(f"there is no report {path}; it may have been swept") from None
                raise

    def _within(self, path: str) -> Path:
        folder = self._folder.resolve()
        try:
            found = (folder / path).resolve()
        except (OSError, ValueError, RuntimeError):
            raise ContractError("that is no path of a report") from None
        if not found.is_relative_to(folder) or found == folder:
            raise ContractError("a report's path must lie in the folder of reports")
        return found
