from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Any
from uuid import uuid4

import pytest

from refit.loop.wiring import World, open_world
from refit.settings import Settings
from tests.integration.conftest import TEMPLATE, other_database, run

FIRST = datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC)
LATER = datetime(2024, 6, 30, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True)
class Past:
    """A world as some steps left it, and what they returned: many tests go on from there, each in a copy."""

    database: str
    home: Path
    told: Any


@pytest.fixture(scope="module")
def remembered(server_url, tmp_path_factory) -> Callable[[Callable[[World], Any]], Past]:
    """Take the steps once for a whole module."""

    def taken(steps: Callable[[World], Any]) -> Past:
        name, home = f"past_{uuid4().hex}", tmp_path_factory.mktemp("past") / "home"
        run(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        with open_world(Settings(home=home, database_url=other_database(server_url, name))) as world:
            return Past(name, home, steps(world))

    return taken


@pytest.fixture
def copied(server_url, tmp_path) -> Iterator[Callable[[Past], Settings]]:
    """Give the settings of a copy of a past world."""
    made = []

    def of(past: Past) -> Settings:
        made.append(f"test_{uuid4().hex}")
        run(server_url, f"CREATE DATABASE {made[-1]} TEMPLATE {past.database}")
        home = copytree(past.home, tmp_path / "home")
        return Settings(home=home, database_url=other_database(server_url, made[-1]))

    yield of
    for name in made:
        run(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(database_url, tmp_path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def world(settings):
    with open_world(settings) as world:
        yield world
