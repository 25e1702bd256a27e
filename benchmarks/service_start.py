"""From the start of a generation until it has answered every golden record, and the memory of a process."""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from served import bento, bundle, served


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    made = bundle(1)
    seconds: list[float] = []
    memory: list[float] = []
    cpu: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        _, path = bento(made, Path(name), Path(name) / "bentoml")
        for _ in range(options.starts):
            began = time.monotonic()
            with served(made.version, path) as (_, supervisor):
                seconds.append(time.monotonic() - began)
                family = [psutil.Process(supervisor.pid), *psutil.Process(supervisor.pid).children()]
                memory.append(max(process.memory_info().rss for process in family) / 2**20)
                cpu.append(sum(times.user + times.system for times in (each.cpu_times() for each in family)))
    result = {
        "benchmark": "service start to ready, supervisor included",
        "seconds": round(median(seconds), 2),
        "seconds_reach": "< 5",
        "cpu_seconds": round(median(cpu), 2),
        "mb_a_process": round(max(memory)),
        "mb_reach": "< 200",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
