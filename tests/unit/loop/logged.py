"""An entry of the decision log, as a service writes it."""

from uuid import uuid4


def entry(**changes) -> dict:
    """Return one with an id of its own."""
    made = {
        "id": str(uuid4()),
        "at": "2024-06-30T12:00:00.000001Z",
        "usecase": "toy",
        "version": "v1",
        "request_id": "r-1",
        "inputs": {"amount": 900.5, "sector": None},
        "probability": 0.1 + 0.2,
        "threshold": 0.4,
        "decision": "approve",
        "reasons": None,
        "latency_ms": 0.6,
    }
    return made | changes
