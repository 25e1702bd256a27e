"""The automations that a Prefect server needs beside the deployments; those of a deployment stand in `prefect.yaml`."""

from typing import Any, Final

HEARTBEAT_SECONDS: Final = 30
"""How often a run says that it lives: `PREFECT_FLOWS_HEARTBEAT_FREQUENCY` of whatever starts a worker."""
MISSED: Final = 3
"""So many heartbeats in a row may be missing before a run counts as dead: one late heartbeat kills no healthy run."""

_ENDS: Final = ["Completed", "Failed", "Cancelled", "Crashed"]

DEAD_RUNS: Final[dict[str, Any]] = {
    "name": "refit: a run without heartbeat is crashed",
    "description": (
        "A run whose worker was killed stays Running for ever and holds its deployment's one place. After "
        f"{MISSED * HEARTBEAT_SECONDS} s without a heartbeat it counts as Crashed; the next goes on from the ledger."
    ),
    "enabled": True,
    "trigger": {
        "type": "event",
        "posture": "Proactive",
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "for_each": ["prefect.resource.id"],
        "after": ["prefect.flow-run.heartbeat"],
        "expect": ["prefect.flow-run.heartbeat", *(f"prefect.flow-run.{end}" for end in _ENDS)],
        "threshold": 1,
        "within": MISSED * HEARTBEAT_SECONDS,
    },
    "actions": [
        {
            "type": "change-flow-run-state",
            "state": "CRASHED",
            "message": "No heartbeat: its process or worker is gone. The next run goes on from the ledger.",
        }
    ],
}

ALL: Final = (DEAD_RUNS,)
