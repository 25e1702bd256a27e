"""What a run tells the Prefect server, for its automations to act on.

An event can be lost; what it asks for stands in the ledger, where the next night finds it.
"""

from typing import TYPE_CHECKING, Final

from prefect.events import emit_event

if TYPE_CHECKING:
    from datetime import datetime

    from refit.loop.monitor import Monitored

RETRAIN_REQUESTED: Final = "refit.retrain.requested"
DATA_BLOCKED: Final = "refit.data.blocked"
_BY_ACTION: Final = {"retrain": RETRAIN_REQUESTED, "recalibrate": RETRAIN_REQUESTED, "block": DATA_BLOCKED}


def resource(usecase: str) -> str:
    """Return the name by which events speak of a use case; `prefect.yaml` matches it.

    >>> resource("demo")
    'refit.usecase.demo'
    """
    return f"refit.usecase.{usecase}"


def tell_decision(usecase: str, as_of: "datetime", monitored: "Monitored") -> str | None:
    """Tell of a decision that somebody has to act on; return the event's name, None where there is none to tell."""
    decision = monitored.decision
    event = _BY_ACTION.get(decision.action)
    if event is not None:
        emit_event(
            event,
            resource={"prefect.resource.id": resource(usecase), "prefect.resource.name": usecase},
            payload={
                "usecase": usecase,
                "as_of": as_of.isoformat(),
                "action": decision.action,
                "decision": monitored.decision_id,
                "reasons": [{"code": reason.code, "why": reason.why} for reason in decision.reasons],
            },
        )
    return event
