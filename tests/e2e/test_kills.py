"""A night that is killed repairs itself: the next one ends well, and all is as if nothing had happened.

Before its first step and at the start of each here; `benchmarks/kills.py` kills later in each, too.
"""

import pytest

from tests.e2e.disturbed import CRASHED_SECONDS, NEVER_STARTED_SECONDS, STARTS, STEPS, go_on, kill_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def left_behind(yard):
    """Nights whose worker and flow were both killed, by the step that was: nobody is left to say so."""
    return {step: kill_in(yard, step, worker_too=True) for step in (*STARTS, *STEPS)}


@pytest.fixture(scope="module")
def wanted(yard, left_behind):  # noqa: ARG001 - the others come first
    """What a night leaves that nobody disturbed; made while the server waits for the killed ones' heartbeats."""
    return yard.undisturbed()


def test_a_night_that_nobody_disturbs_leaves_a_live_model_and_nothing_open(wanted):
    assert wanted["live"] in wanted["promoted"]
    assert wanted["open"] == 0


def test_a_killed_flow_is_crashed_at_once_and_the_next_night_makes_it_good(yard, wanted):
    killed = kill_in(yard, "retrain", worker_too=False)
    assert yard.seconds_to_crashed(killed) < 30
    assert go_on(yard, killed) == wanted
    assert killed.states == ["Crashed", "Completed"]


@pytest.mark.parametrize("step", [*STEPS, *reversed(STARTS)])
def test_a_killed_worker_is_noticed_and_started_again_the_night_is_made_good(yard, left_behind, wanted, step):
    killed = left_behind[step]
    assert yard.seconds_to_crashed(killed) < (NEVER_STARTED_SECONDS if step == "Pending" else CRASHED_SECONDS)
    assert go_on(yard, killed) == wanted
    assert killed.states == ["Crashed", "Completed"]
