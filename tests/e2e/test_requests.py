"""What monitoring asked for while nobody carried it out: a storm of events, one retrain, and nothing forgotten."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from flows.events import RETRAIN_REQUESTED, resource
from refit.loop.ingest import ingest
from refit.loop.monitor import monitor
from refit.loop.wiring import open_world
from tests.e2e.disturbed import USECASE, as_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
EVENTS = 50
DAYS_BEFORE = (60, 30, 0)


@pytest.fixture(scope="module")
def asked(yard):
    """A book that was looked at on three days, each time with the wish to train, and never trained on."""
    night = yard.night("requests")
    with open_world(night.settings) as world:
        usecase = world.usecase(USECASE)
        for days in DAYS_BEFORE:
            ingest(world, usecase, as_of() - timedelta(days=days))
            assert monitor(world, usecase, as_of() - timedelta(days=days)).decision.action == "retrain"
        assert len(world.ledger.open_decisions(USECASE)) == len(DAYS_BEFORE)
    return night


def test_fifty_requests_at_once_are_one_retrain_that_leaves_nothing_open(yard, asked):
    since = datetime.now(UTC)
    yard.start_worker(asked)
    event = {"event": RETRAIN_REQUESTED, "resource": {"prefect.resource.id": resource(USECASE)}}
    events = [{**event, "id": str(uuid4()), "occurred": since.isoformat()} for _ in range(EVENTS)]
    yard.server._ask("POST", "/events", events)

    def runs():
        wanted = {"start_time": {"after_": since.isoformat()}}
        found = yard.server._ask(
            "POST", "/flow_runs/filter", {"flow_runs": wanted, "flows": {"name": {"any_": ["retrain"]}}}
        )
        return [run for run in found if run["parameters"] == {"usecase": USECASE, "requested": True}]

    yard.wait(lambda: any(run["state"]["type"] == "COMPLETED" for run in runs()), 300)
    yard.stop_worker()
    assert len(runs()) == 1
    left = asked.left()
    assert left["open"] == 0
    assert len(left["models"]) == 1
    assert left["live"] in left["models"]
