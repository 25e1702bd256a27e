"""The automations that a Prefect server needs beside the deployments; those of a deployment stand in `prefect.yaml`.

A worker that is killed tells nobody what became of its runs: each would stay as it was for ever.
"""

from collections.abc import Sequence
from typing import Any, Final

OURS: Final = ("nightly", "retrain")
"""The flows of refit, by name: others may use the same server."""
HEARTBEAT_SECONDS: Final = 30
"""How often a run says that it lives: `PREFECT_FLOWS_HEARTBEAT_FREQUENCY` of whatever starts a worker."""
MISSED: Final = 3
"""So many heartbeats in a row may be missing before a run counts as dead: one late heartbeat kills no healthy run."""
START_SECONDS: Final = 300
"""So long may a run take to start, its image fetched: as long as the server keeps its deployment's place for it."""


def _crash(name: str, why: str, message: str, *, after: Sequence[str], within: int) -> dict[str, Any]:
    """Return an automation that ends a run of ours of which nothing is heard any more after one of those events."""
    return {
        "name": name,
        "description": f"{why} After {within} s without a sign it counts as Crashed; the next goes on from the ledger.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": list(OURS)},
            "for_each": ["prefect.resource.id"],
            "after": [f"prefect.flow-run.{event}" for event in after],
            "expect": ["prefect.flow-run.*"],
            "threshold": 1,
            "within": within,
        },
        "actions": [{"type": "change-flow-run-state", "state": "CRASHED", "message": message}],
    }


DEAD_RUNS: Final = _crash(
    "refit: a run without heartbeat is crashed",
    "A run whose worker was killed stays Running for ever and holds its deployment's one place.",
    "No heartbeat: its process or worker is gone. The next run goes on from the ledger.",
    # One that is killed at once never comes to its first heartbeat.
    after=["Running", "Retrying", "heartbeat"],
    within=MISSED * HEARTBEAT_SECONDS,
)
NEVER_STARTED: Final = _crash(
    "refit: a run that never starts is crashed",
    "A run whose worker was killed while it started the run stays Pending for ever.",
    "It never started: its worker is gone. The next run goes on from the ledger.",
    after=["Pending", "Submitting", "InfrastructurePending"],
    within=START_SECONDS,
)

ALL: Final = (DEAD_RUNS, NEVER_STARTED)
