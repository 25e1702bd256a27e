"""SIGKILL to the worker and the flow in every step of a night, at several moments: is the next night as if nothing was?

All are killed first, one after another, and taken up again once the server has noticed; 25 minutes for all of them.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import structlog

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.e2e.disturbed import CRASHED_SECONDS, STEPS, Killed, Yard, go_on, kill_in, opened

MOMENTS = (0.0, 1.0)
"""Seconds after the step began."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", nargs="*", default=STEPS, choices=STEPS)
    parser.add_argument("--moments", nargs="*", type=float, default=MOMENTS)
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as name, opened(Path(name)) as yard:
        wanted = yard.undisturbed()
        found = [
            told
            for after in options.moments
            for killed in [kill_in(yard, step, worker_too=True, after=after) for step in options.steps]
            for told in [taken_up(yard, killed, wanted)]
        ]
        flows = [taken_up(yard, kill_in(yard, step, worker_too=False), wanted) for step in options.steps]
    every = [*found, *flows]
    result = {
        "benchmark": "nights killed and taken up again",
        "nights": len(every),
        "repaired": sum(one["as_undisturbed"] and one["states"] == ["Crashed", "Completed"] for one in every),
        "crashed_seconds_worker_killed": max((one["crashed_seconds"] for one in found), default=None),
        "crashed_seconds_flow_killed": max((one["crashed_seconds"] for one in flows), default=None),
        "crashed_seconds_reach": f"< {CRASHED_SECONDS}",
        "each": every,
    }
    print(json.dumps(result))


def taken_up(yard: Yard, killed: Killed, wanted: dict[str, Any]) -> dict[str, Any]:
    """Wait for it to be crashed, let the next night run, and compare."""
    seconds = round(yard.seconds_to_crashed(killed), 1)
    left = go_on(yard, killed)
    return {
        "step": killed.step,
        "crashed_seconds": seconds,
        "states": killed.states,
        "as_undisturbed": left == wanted,
        "differs": sorted(name for name in wanted if left[name] != wanted[name]),
    }


if __name__ == "__main__":
    main()
