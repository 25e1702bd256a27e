"""What the end-to-end tests share."""

import pytest

from tests.e2e.disturbed import opened


@pytest.fixture(scope="session")
def yard(tmp_path_factory):
    """A real Prefect server with everything on it, and workers for the nights that a test makes."""
    with opened(tmp_path_factory.mktemp("yard")) as found:
        yield found
