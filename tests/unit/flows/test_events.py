from types import SimpleNamespace

import pytest

from flows import events
from tests.unit.flows.nights import AS_OF, monitored


@pytest.fixture
def told(monkeypatch):
    found = []
    monkeypatch.setattr(
        events, "emit_event", lambda event, **given: found.append(SimpleNamespace(event=event, **given))
    )
    return found


@pytest.mark.parametrize(
    ("action", "event"),
    [
        ("retrain", "refit.retrain.requested"),
        ("recalibrate", "refit.retrain.requested"),
        ("block", "refit.data.blocked"),
    ],
)
def test_a_decision_that_somebody_must_act_on_is_told_with_its_reasons(told, action, event):
    assert events.tell_decision("demo", AS_OF, monitored(action, reasons=("income moved",))) == event
    assert told[0].event == event
    assert told[0].resource["prefect.resource.id"] == "refit.usecase.demo"
    assert told[0].payload == {
        "usecase": "demo",
        "as_of": AS_OF.isoformat(),
        "action": action,
        "decision": "d-1",
        "reasons": [{"code": "minor_drift", "why": "income moved"}],
    }


@pytest.mark.parametrize("action", ["none", "wait"])
def test_of_any_other_decision_nobody_is_told(told, action):
    assert events.tell_decision("demo", AS_OF, monitored(action)) is None
    assert told == []
