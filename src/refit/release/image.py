"""A release as an image of its own: for clusters, which roll images out and back and swap nothing inside them.

What is written is a folder to build from. The image stands on the service image and adds the Bento alone, a few
megabytes; its build fails where that Bento does not answer its golden records with the libraries of the image. At run
time nothing is built, looked up or downloaded.
"""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from refit.errors import ContractError, OutageError, ReleaseError
from refit.release.bento import BUNDLE

WITHIN: Final = "/opt/release/bento"
REFERENCE: Final = re.compile(r"[a-z0-9][a-zA-Z0-9._:/@-]*")
DOCKERFILE: Final = """\
# {tag}, as `refit release {usecase} --image` wrote it. The model never changes: another release is another image.
ARG SERVICE_IMAGE={base}
FROM ${{SERVICE_IMAGE}}
LABEL org.opencontainers.image.title="refit {usecase}" \\
      org.opencontainers.image.version="{version}"
COPY bento {within}
# The very answers it was released with, or no image.
RUN ["python", "-m", "refit.cli", "check-bento", "{within}"]
CMD ["{usecase}", "--bento", "{within}", "--host", "0.0.0.0"]
"""


@dataclass(frozen=True, slots=True)
class Image:
    """A folder from which an image can be built, and the name it should get."""

    folder: Path
    usecase: str
    version: str
    tag: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self) | {"folder": str(self.folder)}


@dataclass(frozen=True, slots=True)
class Packed:
    """What a Bento says of itself."""

    usecase: str
    version: str


def packed(bento: Path) -> Packed:
    """Return which model a Bento holds.

    Raises:
        ReleaseError: It is none of ours.
    """
    try:
        head = json.loads((bento / BUNDLE / "bundle.json").read_bytes())
        usecase = json.loads((bento / BUNDLE / "usecase.json").read_bytes())
        return Packed(str(usecase["name"]), str(head["version"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{bento}: no Bento of refit ({type(error).__name__})") from None


def write_image(bento: Path, folder: Path, *, base: str) -> Image:
    """Write the folder from which the image of this Bento is built; it appears as a whole or not at all.

    Args:
        bento: The folder of a built Bento.
        folder: A folder that is not there yet.
        base: The service image it stands on, best by its digest.

    Raises:
        ContractError: The folder is there already, or `base` is no name of an image.
        ReleaseError: There is no such Bento.
        OutageError: The disk refuses.
    """
    if REFERENCE.fullmatch(base) is None:
        raise ContractError(f"{base!r} is no name of an image; write it like registry.example/refit-service:1.4")
    if folder.exists():
        raise ContractError(f"{folder} is there already; an image's folder is never written over")
    found = packed(bento)
    tag = f"refit-{found.usecase.replace('_', '-')}:{found.version.rpartition('/')[2]}"
    aside = folder.parent / f".{uuid4().hex}.unfinished"
    try:
        aside.mkdir(parents=True)
        try:
            shutil.copytree(bento, aside / "bento", ignore=shutil.ignore_patterns("__pycache__"))
            text = DOCKERFILE.format(base=base, within=WITHIN, tag=tag, **asdict(found))
            (aside / "Dockerfile").write_text(text, encoding="utf-8")
            _open_to_all(aside)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise OutageError(f"{folder} cannot be written: {error.strerror}") from None
    return Image(folder, found.usecase, found.version, tag)


def _open_to_all(folder: Path) -> None:
    """Let another user read it: the one who builds, and the one as whom the container runs."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
