"""A world of a test's own: its database, its lake, and a folder for use-case files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from refit.loop.wiring import World, open_world
from refit.settings import Settings
from refit.usecase.model import UseCase
from tests.integration.conftest import run
from tests.unit.usecase.declared import content


@pytest.fixture
def settings(database_url, tmp_path) -> Settings:
    folder = tmp_path / "usecases"
    folder.mkdir()
    return Settings(home=tmp_path / "home", database_url=database_url, usecases=folder)


@pytest.fixture
def world(settings) -> Iterator[World]:
    with open_world(settings) as world:
        yield world


@pytest.fixture
def declare(settings) -> Callable[..., UseCase]:
    """Write the use case `loans`, changed, and read it."""

    def written(changes: dict[str, Any] | None = None) -> UseCase:
        made = UseCase.model_validate(content(changes))
        (settings.usecases / "loans.yaml").write_text(yaml.safe_dump(content(changes), allow_unicode=True))
        return made

    return written


@pytest.fixture
def sql(database_url) -> Callable[..., list[tuple]]:
    """Run one statement in the test's database, as the lender would."""
    return lambda statement, *values: run(database_url, statement, *values)


@pytest.fixture
def file(tmp_path) -> Callable[..., Path]:
    def written(text: str | bytes, name: str = "loans.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written
