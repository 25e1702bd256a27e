"""What the images are made of: pins that agree, and Dockerfiles without surprises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deployments" / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
PIN = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)(?: ; (.*?))?(?: \\)?$", re.MULTILINE)
ONLY_IN_IMAGES = {"prefect-kubernetes", "kubernetes-asyncio", "kopf", "iso8601", "pyopenssl", "uv"}


def pins(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version, _ in PIN.findall(path.read_text()):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("lock", ["refit.lock", "service.lock"])
def test_an_image_holds_the_versions_the_tests_ran_with(lock: str) -> None:
    tested, image = pins(ROOT / "requirements.lock"), pins(DOCKER / lock)
    assert len(image) > 50
    for name, versions in image.items():
        if name not in ONLY_IN_IMAGES:
            assert versions <= tested[name.replace("xgboost-cpu", "xgboost")], name


@pytest.mark.parametrize("lock", ["refit.lock", "service.lock"])
def test_a_lock_names_no_address_and_a_hash_for_each_pin(lock: str) -> None:
    text = (DOCKER / lock).read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", text) if "==" in block)


def test_the_service_has_no_prefect_evidently_pandas_or_arrow() -> None:
    assert pins(DOCKER / "service.lock").keys().isdisjoint({"prefect", "evidently", "pandas", "pyarrow", "xgboost"})


def test_the_images_hold_all_that_the_project_declares() -> None:
    declared = re.findall(
        r'^  "([a-z0-9-]+)[^"]*",', (ROOT / "pyproject.toml").read_text().split("[project.optional")[0], re.MULTILINE
    )
    assert len(declared) > 25
    missing = {*declared} - pins(DOCKER / "refit.lock").keys()
    assert not missing, f"make imagelock: {missing}"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_a_container_runs_as_a_user_without_rights_from_pinned_wheels(path: Path) -> None:
    text = path.read_text()
    final = text.split("\nFROM ")[-1]
    assert "USER 10001:10001" in final
    assert text.index("COPY deployments/docker/") < text.index("COPY src")  # the libraries' layer outlives the code's
    assert "--require-hashes" in text
    assert "ADD " not in text
    assert not re.search(r"^(ENV|ARG) .*(PASSWORD|TOKEN|SECRET|KEY)", text, re.MULTILINE)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, path], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_only_what_an_image_needs_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for path in DOCKERFILES
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", path.read_text(), re.MULTILINE)
        for source in line.split()
    }
    assert {source for source in copied if not source.startswith("deployments/")} <= allowed
    assert not {".env", ".git", "."} & allowed
