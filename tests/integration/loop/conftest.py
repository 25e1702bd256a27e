from datetime import UTC, datetime

import pytest

from refit.loop.wiring import open_world
from refit.settings import Settings

FIRST = datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC)
LATER = datetime(2024, 6, 30, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def settings(database_url, tmp_path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def world(settings):
    with open_world(settings) as world:
        yield world
