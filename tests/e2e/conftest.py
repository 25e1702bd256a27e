"""What the end-to-end tests share."""

import pytest

from tests.e2e.disturbed import opened


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    """A real Prefect server with everything on it, and workers for the nights that a test makes.

    One a module: a run that was killed can hold its deployment's only place for the five minutes of a lease.
    """
    with opened(tmp_path_factory.mktemp("yard")) as found:
        yield found
