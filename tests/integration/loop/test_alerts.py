"""Alerts of real nights, to a receiver of our own."""

import json
from datetime import timedelta

import pytest
from pydantic import SecretStr

from refit.errors import DataError
from refit.loop.alert import PAUSES, signature
from refit.loop.load import load_demo
from refit.loop.nightly import nightly
from refit.loop.wiring import open_world
from tests.integration.conftest import run
from tests.integration.loop.conftest import FIRST
from tests.unit.loop.test_alert import receiver

SECRET = "hush"


@pytest.fixture
def told():
    """Where to tell, and what was told."""
    with receiver(200) as (url, came):
        yield url, came


@pytest.fixture
def heard(settings, told):
    """The stores of somebody who wants to be told."""
    with open_world(settings.model_copy(update={"webhook_url": told[0], "webhook_secret": SecretStr(SECRET)})) as world:
        load_demo(world, FIRST, months=20, per_month=700)
        yield world


def alerts(came):
    """Return the messages, each with its signature checked as a receiver would."""
    found = []
    for headers, body in came:
        sent = {name.lower(): value for name, value in headers.items()}
        assert sent["x-refit-signature"] == signature(SECRET, sent["x-refit-timestamp"], body)
        found.append(json.loads(body))
        assert found[-1]["id"] == sent["x-refit-id"]
    return found


@pytest.fixture
def usecase(heard):
    """The demo with the learner that is quickest."""
    return heard.usecase("demo").model_copy(update={"learners": ("logistic_regression",)})


@pytest.fixture
def strict(usecase):
    """A use case whose gate lets nobody pass."""
    return usecase.model_copy(update={"gate": usecase.gate.model_copy(update={"floor": {"roc_auc": 0.999}})})


def test_a_refused_challenger_is_told_with_the_checks_it_failed(heard, strict, told):
    night = nightly(heard, strict, FIRST)
    [alert] = alerts(told[1])
    assert (alert["kind"], alert["usecase"], alert["model"]) == (
        "challenger_refused",
        "demo",
        night.retrained.version,
    )
    assert any(reason.startswith("floor: roc_auc: ") for reason in alert["reasons"])


def test_a_promoted_challenger_and_a_quiet_night_are_told_to_nobody(heard, usecase, told):
    assert nightly(heard, usecase, FIRST).released is not None
    nightly(heard, usecase, FIRST)
    assert told[1] == []


def test_blocked_data_is_told_with_its_reasons_and_nothing_is_trained(heard, usecase, told, database_url):
    champion = nightly(heard, usecase, FIRST).retrained.version
    later = FIRST + timedelta(days=31)
    load_demo(heard, later, months=21, per_month=700)
    run(database_url, "UPDATE source.demo_loans SET amount = -1 WHERE updated_at > %s", FIRST)
    night = nightly(heard, usecase, later)
    assert night.monitored.decision.action == "block"
    [alert] = alerts(told[1])
    assert (alert["kind"], alert["as_of"]) == ("data_blocked", later.isoformat())
    assert "refused by the contract, most often for amount: below " in " ".join(alert["reasons"])
    assert heard.ledger.live("demo").version == champion
    assert night.retrained is None


def test_a_night_that_fails_is_told_and_its_error_goes_on(heard, usecase, told):
    nightly(heard, usecase, FIRST)
    for batch in heard.ledger.batches("demo"):
        heard.lake._fs.rm(f"{heard.lake._root}/{batch.path}")
    with pytest.raises(DataError):
        nightly(heard, usecase, FIRST + timedelta(days=1))
    [alert] = alerts(told[1])
    assert alert["kind"] == "night_failed"
    assert "DataError" in alert["summary"]
    assert heard.ledger.runs("demo", limit=1)[0].outcome == "failed"


def test_a_receiver_that_is_down_keeps_no_night_from_its_end(heard, strict, monkeypatch):
    with receiver(200) as (gone, _):
        pass
    monkeypatch.setattr("refit.loop.alert.PAUSES", tuple(0.01 for _ in PAUSES))
    with open_world(heard.settings.model_copy(update={"webhook_url": gone})) as world:
        night = nightly(world, strict, FIRST)
    assert night.retrained.verdict.outcome == "refuse"
    assert heard.ledger.runs("demo", limit=1)[0].outcome == "completed"
