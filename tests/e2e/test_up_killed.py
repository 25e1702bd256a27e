"""The whole product, killed in the middle of its first night and started again: the server needs 90 s to notice."""

import time

import pytest

from tests.e2e.product import LAST_LINE, Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def up(tmp_path):
    started = Up(tmp_path / "home")
    yield started
    started.end()


def test_killed_in_the_middle_of_a_night_it_goes_on_from_there(up):
    up.start()
    up.wait_for("monitor: running")
    up.process.kill()
    up.process.wait()
    end = time.monotonic() + 60
    while left := up.left():
        assert time.monotonic() < end, left
        time.sleep(0.2)

    up.start()
    up.wait_for(LAST_LINE)

    assert up.runs("nightly-demo", "RUNNING", "PENDING") == []
    assert len(up.runs("nightly-demo", "CRASHED")) == 1
    assert len(up.runs("nightly-demo", "COMPLETED")) == 1
