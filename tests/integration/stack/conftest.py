"""The engine, installed and started once; the images, built once; all of it gone at the end."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.stack.lab import IMAGES, ROOT, Engine, NoEngineError, Stack, inside, prepare, why_not


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Build the images in the machine's own network, then give an engine that runs them in one of its own."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    builder, runner = Engine("host"), Engine("net")
    try:
        builder.stop()
        runner.stop()
        prepare("install-engine.sh", "no engine can be installed here, is there a network?")
        builder.start()
        prepare("base-images.sh", "the base images cannot be made here")
        builder.reaches_packages()
        with ThreadPoolExecutor() as both:
            list(both.map(lambda image: build(builder, *image), IMAGES.items()))
        builder.stop()
        runner.start()
        yield runner
        runner.tidy()
    except NoEngineError as error:
        pytest.skip(str(error))
    finally:
        builder.stop()
        runner.stop()


def build(engine: Engine, tag: str, file: str) -> None:
    """Build an image, in two tries, for a download may fail; the second goes on from the layers of the first."""
    path = str(ROOT / "deployments" / "docker" / file)
    command = ("build", "--network=host", "--file", path, "--tag", tag, str(ROOT))
    try:
        engine.docker(*command, seconds=1800)
    except AssertionError:
        engine.docker(*command, seconds=1800)


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give a stack that was never up."""
    made = Stack(engine, tmp_path_factory.mktemp("stack"))
    made.compose("down", "--volumes", "--remove-orphans")
    try:
        with inside():
            yield made
    finally:
        made.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")
