import logging

import pytest
import structlog
from hypothesis import settings

# The same seed every time, and no deadline: a busy machine is no fault of the code. The examples may differ all the
# same, for among them are constants of those modules of ours that are imported by then.
settings.register_profile("refit", derandomize=True, deadline=None, database=None, max_examples=60)
settings.load_profile("refit")


@pytest.fixture(autouse=True)
def _logging_as_before():
    """Undo what an entrance run inside a test has set up: its streams are closed with the test."""
    yield
    structlog.reset_defaults()
    for handler in [handler for handler in logging.root.handlers if type(handler) is logging.StreamHandler]:
        logging.root.removeHandler(handler)
