"""A service at full speed for long, and bodies made to hurt it: growth of its memory, and no answer of 500.

Memory is that of the serving process after a warm-up, which fills what is kept on purpose, against that at the end.
"""

import argparse
import asyncio
import json
import random
import tempfile
from pathlib import Path
from statistics import linear_regression

import psutil
from served import Connection, bento, bundle, record, served

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


async def soak(port: int, n: int, connections: int, process: psutil.Process, *, bad: bool) -> dict[str, object]:
    """Ask `n` times; return what came of it."""
    left = n
    memory: list[tuple[int, int]] = []
    statuses: dict[int, int] = {}
    echoed = 0
    plain = json.dumps(record(1)).encode()

    async def client(number: int) -> None:
        nonlocal left, echoed
        rng = random.Random(number)  # noqa: S311 - no secret is made of it
        line = Connection(port)
        while left > 0:
            left -= 1
            path = rng.choice(["/predict", "/predict/batch", "/explain"]) if bad else "/predict"
            status, answer = await line.ask(path, hurting(rng) if bad else plain)
            statuses[status] = statuses.get(status, 0) + 1
            echoed += status != 200 and b"s3cr3t" in answer
            if n - left >= n * (WARM_UP + len(memory) / SAMPLES):
                memory.append((n - left, process.memory_info().rss))
        line.close()

    await asyncio.gather(*(client(number) for number in range(connections)))
    asked, taken = zip(*memory, (n, process.memory_info().rss), strict=True)
    return {
        "asked": n,
        "statuses": dict(sorted(statuses.items())),
        "values_echoed": echoed,
        "mb_after_warm_up": round(taken[0] / 2**20, 1),
        "mb_at_the_end": round(taken[-1] / 2**20, 1),
        "growth_percent": round(100 * (taken[-1] / taken[0] - 1), 2),
        "bytes_a_request": round(linear_regression(asked, taken).slope, 2),
        "second_half": round(linear_regression(asked[SAMPLES // 2 :], taken[SAMPLES // 2 :]).slope, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="1000000 for the whole soak")
    parser.add_argument("--bodies", type=int, default=5_000, help="100000 for the whole soak")
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    made = bundle(1)
    result: dict[str, object] = {"benchmark": "soak", "reach": "growth < 5 %, no 500, no value echoed"}
    with tempfile.TemporaryDirectory() as name:
        _, path = bento(made, Path(name), Path(name) / "bentoml")
        with served(made.version, path) as (port, supervisor):
            process = psutil.Process(supervisor.pid).children()[0]
            for kind, n, bad in (("requests", options.requests, False), ("bodies", options.bodies, True)):
                if n:
                    result[kind] = asyncio.run(soak(port, n, options.connections, process, bad=bad))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
