"""A night that is killed repairs itself: the next one ends well, and all is as if nothing had happened.

Two of the steps here; `benchmarks/kills.py` kills in each, at several moments.
"""

import pytest

from tests.e2e.disturbed import CRASHED_SECONDS, go_on, kill_in, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("kills")) as found:
        yield found


@pytest.fixture(scope="module")
def left_behind(yard):
    """A night whose worker and flow were both killed in the release: nobody is left to say so."""
    return kill_in(yard, "release", worker_too=True)


@pytest.fixture(scope="module")
def wanted(yard, left_behind):  # noqa: ARG001 - the other comes first
    """What a night leaves that nobody disturbed; made while the server waits for the killed one's heartbeat."""
    return yard.undisturbed()


def test_a_killed_flow_is_crashed_at_once_and_the_next_night_makes_it_good(yard, wanted):
    killed = kill_in(yard, "retrain", worker_too=False)
    assert yard.seconds_to_crashed(killed) < 30
    assert go_on(yard, killed) == wanted
    assert killed.states == ["Crashed", "Completed"]


def test_a_killed_worker_is_noticed_and_started_again_the_night_is_made_good(yard, left_behind, wanted):
    assert yard.seconds_to_crashed(left_behind) < CRASHED_SECONDS
    assert go_on(yard, left_behind) == wanted
    assert left_behind.states == ["Crashed", "Completed"]
    assert wanted["live"] in wanted["promoted"]
    assert wanted["open"] == 0
