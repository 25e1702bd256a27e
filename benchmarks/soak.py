"""A service at full speed for long, and bodies made to hurt it: growth of its memory, and no answer of 500.

All of it runs: a key, the decision log, and the supervisor that moves it to Postgres. Memory is that of the serving
process after a warm-up, which fills what is kept on purpose, against that at the end; the supervisor's is told beside.
"""

import argparse
import asyncio
import json
import random
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import linear_regression
from typing import Any

import psutil
import psycopg2
from served import Connection, bundle, put_live, record, whole

from refit.store import embedded

KEY = "a-key-of-0123456789"
RECORDS = 1_000
SAMPLES = 40
WARM_UP = 0.1
"""So much of the work comes before memory is first read."""


def hurting(rng: random.Random) -> bytes:
    """Return a body of another kind each time."""
    good = record(rng.randrange(1000))
    number = rng.choice(
        ["1e999", "-1e308", "NaN", "Infinity", "-Infinity", "9" * rng.randrange(1, 5000), "01", "1e-400"]
    )
    deep = rng.randrange(1, 20_000)
    kinds = [
        lambda: json.dumps(good).encode(),
        lambda: json.dumps(good).replace("1", number, 1).encode(),
        lambda: json.dumps(good | {"number_3": "s3cr3t", "paid": {"a": [good] * 3}}).encode(),
        lambda: b"[" * deep,
        lambda: b'{"number_0":' * deep + b"1" + b"}" * deep,
        lambda: json.dumps(good).encode(rng.choice(["utf-16", "utf-32", "cp037"])),
        lambda: b'{"number_0": 1, "number_0": 2}',
        lambda: rng.randbytes(rng.randrange(2000)),
        lambda: json.dumps([good] * rng.randrange(5)).encode(),
        lambda: json.dumps({str(rng.random()): "s3cr3t" for _ in range(rng.randrange(50))}).encode(),
        lambda: json.dumps(good | {"category_0": chr(rng.randrange(0x110000)) * rng.randrange(1, 1200)}).encode(
            errors="surrogatepass"
        ),
    ]
    return rng.choice(kinds)()


async def soak(port: int, n: int, connections: int, supervisor: psutil.Process, *, bad: bool) -> dict[str, Any]:
    """Ask `n` times; return what came of it."""
    left = n
    process = supervisor.children()[0]
    memory: list[tuple[int, int]] = []
    above: list[int] = []
    statuses: dict[int, int] = {}
    echoed = decided = 0
    plain = [json.dumps(record(number)).encode() for number in range(RECORDS)]

    async def client(number: int) -> None:
        nonlocal left, echoed, decided
        rng = random.Random(number)  # noqa: S311 - no secret is made of it
        line = Connection(port, f"x-api-key: {KEY}\r\n")
        while left > 0:
            left -= 1
            path = rng.choice(["/predict", "/predict/batch", "/explain"]) if bad else "/predict"
            status, answer = await line.ask(path, hurting(rng) if bad else rng.choice(plain))
            statuses[status] = statuses.get(status, 0) + 1
            echoed += status != 200 and b"s3cr3t" in answer
            decided += answer.count(b'"id":') if status == 200 else 0
            if n - left >= n * (WARM_UP + len(memory) / SAMPLES):
                memory.append((n - left, process.memory_info().rss))
                above.append(supervisor.memory_info().rss)
        line.close()

    await asyncio.gather(*(client(number) for number in range(connections)))
    asked, taken = zip(*memory, (n, process.memory_info().rss), strict=True)
    return {
        "asked": n,
        "statuses": dict(sorted(statuses.items())),
        "values_echoed": echoed,
        "decided": decided,
        "mb_after_warm_up": round(taken[0] / 2**20, 1),
        "mb_at_the_end": round(taken[-1] / 2**20, 1),
        "growth_percent": round(100 * (taken[-1] / taken[0] - 1), 2),
        "supervisor_mb_first_last_most": [round(mb / 2**20, 1) for mb in (above[0], above[-1], max(above))],
        "bytes_a_request": round(linear_regression(asked, taken).slope, 2),
        "second_half": round(linear_regression(asked[SAMPLES // 2 :], taken[SAMPLES // 2 :]).slope, 2),
    }


def logged(url: str) -> int:
    """Return how many decisions are in Postgres."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM refit.prediction")
        return int(cursor.fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="1000000 for the whole soak")
    parser.add_argument("--bodies", type=int, default=5_000, help="100000 for the whole soak")
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    result: dict[str, object] = {"benchmark": "soak", "reach": "growth < 5 %, no 500, no value echoed"}
    decided = 0
    with tempfile.TemporaryDirectory() as name, embedded.running(Path(name) / "postgres") as url:
        folder = Path(name) / "home"
        folder.mkdir()
        told = {"REFIT_API_KEYS": KEY, "REFIT_SPOOL_MB": "4096", "REFIT_LOG_LEVEL": "ERROR"}
        put_live(bundle(1), folder, url)
        with whole(folder, url, **told) as (port, served):
            supervisor = psutil.Process(served.pid)
            for kind, n, bad in (("requests", options.requests, False), ("bodies", options.bodies, True)):
                if n:
                    found = asyncio.run(soak(port, n, options.connections, supervisor, bad=bad))
                    result[kind], decided = found, decided + found["decided"]
        result["decisions_missing_in_the_log"] = decided - logged(url)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
