"""What Prefect costs: the first night of the demo book through its deployment, and by `refit nightly`.

Server and worker run already, as they do at night. Each way has a home and a database of its own, with the same book.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import structlog

sys.path.insert(0, str(Path(__file__).parents[1]))

from flows.environment import environment
from tests.e2e.disturbed import DAY, USECASE, Night, Yard, opened
from tests.e2e.product import REFIT

REACH_SECONDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=3)
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    by_hand: list[float] = []
    through: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name, opened(Path(name)) as yard:
        for k in range(options.nights):
            by_hand.append(by_command(yard.night(f"hand-{k}")))
            through.append(by_deployment(yard, yard.night(f"prefect-{k}")))
    seconds = median(one["seconds"] for one in through)
    result = {
        "benchmark": "a night through Prefect against refit nightly",
        "nights": options.nights,
        "refit_nightly_seconds": round(median(by_hand), 1),
        "prefect_seconds": round(seconds, 1),
        "until_it_runs_seconds": round(median(one["waiting"] for one in through), 1),
        "in_tasks_seconds": round(median(one["in_tasks"] for one in through), 1),
        "more_seconds": round(seconds - median(by_hand), 1),
        "more_seconds_reach": f"<= {REACH_SECONDS}",
        "each": {"refit_nightly": [round(one, 1) for one in by_hand], "prefect": through},
    }
    print(json.dumps(result))


def by_command(night: Night) -> float:
    """Return the seconds of `refit nightly`, from its start to its end."""
    began = time.monotonic()
    command = [REFIT, "nightly", USECASE, "--as-of", DAY.isoformat()]
    subprocess.run(command, env=environment(night.settings), check=True, capture_output=True)
    return time.monotonic() - began


def by_deployment(yard: Yard, night: Night) -> dict[str, float]:
    """Return the seconds of a run, from when it was asked for to its end, and where they went."""
    first = yard.start(night)  # a worker's first run is its slowest; this one finds all to do
    if (state := yard.ends(first)) != "Completed":
        raise AssertionError(f"the night ended {state}")
    yard.stop_worker()
    run = yard.server._ask("GET", f"/flow_runs/{first}")  # noqa: SLF001 - the times of a run, which refit itself never asks
    tasks = yard.server._ask("POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": [first]}}})  # noqa: SLF001
    return {
        "seconds": round(between(run, "created", "end_time"), 1),
        "waiting": round(between(run, "created", "start_time"), 1),
        "in_tasks": round(sum(task["total_run_time"] for task in tasks), 1),
    }


def between(run: dict[str, Any], first: str, last: str) -> float:
    return (datetime.fromisoformat(run[last]) - datetime.fromisoformat(run[first])).total_seconds()


if __name__ == "__main__":
    main()
