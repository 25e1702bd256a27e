"""From `refit serve` until its first release has answered every golden record and is live, and a process's memory."""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from served import bundle, put_live, whole

from refit.store import embedded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    seconds: list[float] = []
    memory: list[float] = []
    cpu: list[float] = []
    with tempfile.TemporaryDirectory() as name, embedded.running(Path(name) / "postgres") as url:
        folder = Path(name) / "home"
        folder.mkdir()
        put_live(bundle(1), folder, url)
        for _ in range(options.starts):
            began = time.monotonic()
            with whole(folder, url) as (_, supervisor):
                seconds.append(time.monotonic() - began)
                family = [psutil.Process(supervisor.pid), *psutil.Process(supervisor.pid).children()]
                memory.append(max(process.memory_info().rss for process in family) / 2**20)
                cpu.append(sum(times.user + times.system for times in (each.cpu_times() for each in family)))
    result = {
        "benchmark": "refit serve, from the command to ready",
        "seconds": round(median(seconds), 2),
        "seconds_reach": "< 5",
        "cpu_seconds": round(median(cpu), 2),
        "mb_a_process": round(max(memory)),
        "mb_reach": "< 200",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
