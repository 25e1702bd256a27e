"""Which release this machine served last: what a start may serve while the ledger does not answer."""

import dataclasses
import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import structlog

from refit.errors import RefitError, ReleaseError
from refit.release.bento import BUNDLE, bento_path
from refit.release.child import Release
from refit.scoring.bundle import MANIFEST
from refit.store.atomic import writing

CHUNK: Final = 1 << 20

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Kept:
    """What is written down of a release that went live; `live_since` is in seconds of Unix time."""

    id: int
    version: str
    bento_tag: str
    manifest_sha256: str
    live_since: float


class Keeper:
    """Keeps on the disk which release is live here.

    Where the newest cannot be written down the one before is struck out too: it may have been taken back for a reason.
    """

    def __init__(self, path: Path, bentoml_home: Path) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            path: The file, written as a whole or not at all.
            bentoml_home: Where Bentos lie.
        """
        self._path = path
        self._bentoml_home = bentoml_home
        self._live: Release | None = None
        self._written = True
        self._trouble = ""

    def keep(self, release: Release) -> None:
        """Write down that a release is live. Never raises: what is live stays live, and `again` tries again."""
        self._live = release
        self._written = False
        self.again()

    def again(self) -> None:
        """Write what could not be written before."""
        if self._written or self._live is None:
            return
        try:
            content = json.dumps(asdict(self._kept(self._live)), indent=1) + "\n"
            with writing(self._path) as file:
                file.write(content.encode())
        except (RefitError, OSError) as error:
            if str(error) != self._trouble:
                log.warning("release.not_kept", why=str(error), then="a start without the ledger has nothing to serve")
            self._trouble = str(error)
            self._strike_out()
        else:
            self._written, self._trouble = True, ""

    def last(self) -> Release | None:
        """Return what was live here last, None where nothing is kept.

        Raises:
            ReleaseError: It must not be served: the file or the Bento is gone, altered or another one.
        """
        kept = self._read()
        if kept is None:
            return None
        folder = bento_path(kept.bento_tag, self._bentoml_home)
        _check(folder / BUNDLE, kept)
        return Release(kept.id, kept.version, kept.bento_tag, folder, live_since=kept.live_since)

    def recalled(self, release: Release) -> Release:
        """Return the release with the moment since which it is live here, where a process before this one kept it."""
        if self._live is not None:
            return release
        try:
            kept = self._read()
        except ReleaseError:
            return release
        if kept is None or (kept.id, kept.version, kept.bento_tag) != release.key:
            return release
        return dataclasses.replace(release, live_since=kept.live_since)

    def _kept(self, release: Release) -> Kept:
        digest = _sha256(release.bento_path / BUNDLE / MANIFEST)
        return Kept(release.id, release.version, release.bento_tag, digest, release.live_since or time.time())

    def _read(self) -> Kept | None:
        try:
            found = Kept(**json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise ReleaseError(f"{self._path} cannot be read ({type(error).__name__})") from None
        if any(type(value) is not kind for value, kind in zip(asdict(found).values(), _KINDS, strict=True)):
            raise ReleaseError(f"{self._path} does not say which release it is")
        return found

    def _strike_out(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.error("release.kept_is_old", file=str(self._path), why=error.strerror, do="delete it")  # noqa: TRY400 - no fault of ours


_KINDS: Final = (int, str, str, str, float)


def _check(bundle: Path, kept: Kept) -> None:
    """See that the bundle is the one that was live.

    Raises:
        ReleaseError: It is gone, or not the same; says which file.
    """
    if not bundle.is_dir():
        raise ReleaseError(f"{kept.bento_tag}: there is no Bento in {bundle.parents[1]}")
    try:
        if _sha256(bundle / MANIFEST) != kept.manifest_sha256:
            raise ReleaseError(f"{kept.bento_tag}: {MANIFEST} is not the one that was live")
        for name, expected in json.loads((bundle / MANIFEST).read_bytes()).items():
            if _sha256(bundle / name) != expected:
                raise ReleaseError(f"{kept.bento_tag}: {name} was altered since it was live")
        said = json.loads((bundle / "bundle.json").read_bytes())["version"]
    except OSError as error:
        raise ReleaseError(f"{kept.bento_tag}: {error.filename} cannot be read: {error.strerror}") from None
    if said != kept.version:
        raise ReleaseError(f"{kept.bento_tag} holds {said}, and {kept.version} was live")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            digest.update(part)
    return digest.hexdigest()
