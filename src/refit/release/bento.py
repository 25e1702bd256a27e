"""A bundle becomes a Bento: service, the part of `refit` it needs, and the bundle itself, in one immutable folder."""

import compileall
import errno
import fcntl
import filecmp
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import yaml

from refit.errors import OutageError, ReleaseError
from refit.scoring.blend import BLEND_FILE
from refit.scoring.model import SKOPS_FILE
from refit.store.atomic import keep

CODE: Final = Path("src")
BUNDLE: Final = CODE / "bundle"
SERVICE: Final = "bentos.service:Refit"
CARRIED: Final = ("errors.py", "trace.py", "usecase", "scoring")
REQUIRED: Final = ("uvicorn", "numpy", "orjson", "prometheus-client", "pydantic", "pyyaml")
WELCOME: Final = ("httptools", "uvloop")
"""What makes uvicorn faster where it is there."""
BUILD_SECONDS: Final = 300
BUILDING: Final = ".building-"
YOUNG_SECONDS: Final = 10.0
"""A folder this young may be about to be locked by its builder."""


def build(bundle_folder: Path, *, bentoml_home: Path) -> str:
    """Return the tag of the Bento that holds this bundle, `refit_USECASE:VERSION`; built if it is not there yet.

    It is built in a folder of its own and then moved into the store in one step: a build that is killed leaves nothing
    there, and two at the same time end in one Bento.

    Raises:
        ReleaseError: BentoML cannot build it, or the tag is taken by a Bento with another bundle.
        OutageError: The store cannot be written.
    """
    usecase, version = _named(bundle_folder)
    tag = f"refit_{usecase}:{version}"
    goal = bento_path(tag, bentoml_home)
    try:
        if not goal.is_dir():
            goal.parent.mkdir(parents=True, exist_ok=True)
            with _scratch(bentoml_home) as scratch:
                built = _built(bundle_folder, tag, scratch)
                compileall.compile_dir(built / CODE, quiet=2)  # now, not while the release before it serves
                _move(built, goal)
    except OSError as error:
        raise OutageError(f"{bentoml_home}: the Bento store cannot be written: {error.strerror}") from None
    if (difference := _difference(bundle_folder, goal / BUNDLE)) is not None:
        raise ReleaseError(
            f"{tag} holds another bundle than {bundle_folder}: {difference}. A Bento never changes; delete {goal}"
        )
    return tag


@contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    """Give a folder that is ours while we live; those that a killed build left behind are deleted."""
    for left in home.glob(f"{BUILDING}*"):
        with suppress(OSError), _locked(left):
            if time.time() - left.stat().st_mtime > YOUNG_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=BUILDING, dir=home) as folder, _locked(Path(folder)):
        yield Path(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder, which its holder's end gives back however it comes.

    Raises:
        BlockingIOError: Somebody else holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def bento_path(tag: str, bentoml_home: Path) -> Path:
    """Return the folder of a Bento in the store, whether or not it is there."""
    name, _, version = tag.partition(":")
    return bentoml_home / "bentos" / name / version


def _named(bundle_folder: Path) -> tuple[str, str]:
    """Return use case and version, by what the folder says of itself."""
    try:
        version = json.loads((bundle_folder / "bundle.json").read_bytes())["version"]
        usecase = json.loads((bundle_folder / "usecase.json").read_bytes())["name"]
    except (OSError, ValueError, KeyError) as error:
        raise ReleaseError(f"{bundle_folder}: no bundle ({type(error).__name__})") from None
    return str(usecase), str(version)


def _built(bundle_folder: Path, tag: str, scratch: Path) -> Path:
    """Build in a store that is ours alone, and return the Bento's folder there."""
    context, home = scratch / "context", scratch / "home"
    name, _, version = tag.partition(":")
    _lay_out(context, bundle_folder)
    bentofile = scratch / "bentofile.yaml"
    bentofile.write_text(yaml.safe_dump(_bentofile(name, bundle_folder)), encoding="utf-8")
    home.mkdir()
    command = ["build", "--bentofile", str(bentofile), "--version", version, "--output", "tag", str(context)]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "bentoml", *command],
            env=_environment(home),
            cwd=context,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ReleaseError(f"{tag}: bentoml build took longer than {BUILD_SECONDS} s") from None
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    built = bento_path(tag, home)
    if done.returncode != 0 or not built.is_dir():
        raise ReleaseError(f"{tag}: bentoml build failed: {_last_line(done.stderr or done.stdout)}")
    return built


def _lay_out(context: Path, bundle_folder: Path) -> None:
    """Copy what the Bento carries; its `refit` holds just what serving imports."""
    package, service = _folder("refit"), _folder("bentos")
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc", "*.yaml")
    shutil.copytree(service, context / "bentos", ignore=skipped)
    (context / "refit").mkdir()
    for part in ("__init__.py", *CARRIED):
        if (package / part).is_dir():
            shutil.copytree(package / part, context / "refit" / part, ignore=skipped)
        else:
            shutil.copy(package / part, context / "refit" / part)
    shutil.copytree(bundle_folder, context / "bundle")


def _folder(package: str) -> Path:
    """Return where a package's files are; found, not imported, for the service imports BentoML."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ReleaseError(f"the package {package} is not installed; a Bento cannot be built")
    return Path(found.origin).parent


def _bentofile(name: str, bundle_folder: Path) -> dict[str, Any]:
    return {
        "service": SERVICE,
        "name": name,
        "description": f"Scores the records of one use case; built by refit from {bundle_folder.name}.",
        "include": ["bentos/", "refit/", "bundle/"],
        "exclude": [],
        "python": {"packages": _requirements(bundle_folder), "lock_packages": False},
    }


def _requirements(bundle_folder: Path) -> list[str]:
    """Return the packages serving imports, at the versions this bundle was tried with; BentoML adds itself."""
    sklearn = ("scikit-learn", "skops") if _any(bundle_folder, SKOPS_FILE, BLEND_FILE) else ()
    xgboost = () if _any(bundle_folder, SKOPS_FILE) else ("xgboost",)
    there = [name for name in WELCOME if importlib.util.find_spec(name) is not None]
    return [f"{name}=={importlib.metadata.version(name)}" for name in (*REQUIRED, *sklearn, *xgboost, *there)]


def _any(folder: Path, *names: str) -> bool:
    return any((folder / name).exists() for name in names)


def _environment(home: Path) -> dict[str, str]:
    """Return ours with BentoML's home set before it is imported, as it must be, and without its telemetry."""
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **quiet, "BENTOML_HOME": str(home)}


def _move(built: Path, goal: Path) -> None:
    """Move it into place once the disk holds it: the ledger will say for good that it is there."""
    for path in (*built.rglob("*"), built):
        keep(path)
    try:
        built.rename(goal)
    except OSError:
        if not goal.is_dir():  # else another process built the same one first
            raise
    keep(goal.parent)


def _difference(bundle_folder: Path, carried: Path) -> str | None:
    """Say in what two folders of files differ, or None."""
    ours = sorted(path.name for path in bundle_folder.iterdir())
    theirs = sorted(path.name for path in carried.iterdir()) if carried.is_dir() else []
    if ours != theirs:
        return f"{', '.join(sorted({*ours} ^ {*theirs}))} is in one of them only"
    for name in ours:
        if not filecmp.cmp(bundle_folder / name, carried / name, shallow=False):
            return f"{name} differs"
    return None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
