"""The engine, installed and started once; the images, built once; all of it gone at the end."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.stack.lab import IMAGES, ROOT, TOOLS, Engine, Stack, ended, inside, why_not


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Build the images in the machine's own network, then give an engine that runs them in one of its own."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    builder, runner = Engine("host"), Engine("net")
    installed = ended([str(TOOLS / "install-engine.sh")], env=builder.environment)
    if installed.returncode != 0:
        pytest.skip(f"no engine can be installed here, is there a network? {installed.stderr[-300:]}")
    with builder:
        made = ended([str(TOOLS / "base-images.sh")], env=builder.environment)
        if made.returncode != 0:
            pytest.skip(f"the base images cannot be made here: {made.stderr[-300:]}")
        for tag, file in IMAGES.items():
            path = str(ROOT / "deployments" / "docker" / file)
            builder.docker("build", "--network=host", "--file", path, "--tag", tag, str(ROOT), seconds=1800)
    try:
        with runner:
            yield runner
    finally:
        subprocess.run(["ip", "netns", "del", "composelab"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give a stack that was never up."""
    made = Stack(engine, tmp_path_factory.mktemp("stack"))
    made.compose("down", "--volumes", "--remove-orphans")
    try:
        with inside():
            yield made
    finally:
        made.compose("--profile", "*", "down", "--volumes", "--remove-orphans")
