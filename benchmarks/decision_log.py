"""The decision log: what it costs, and that it loses nothing and doubles nothing.

`kill -9` of the serving process at random moments under load, and Postgres gone for a while: each answered id must be
in Postgres exactly once afterwards. Reach: an entry written down in under 30 us of CPU; lost and doubled 0.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

sys.path.insert(0, str(Path(__file__).parents[1]))  # the service and its clients stand beside the tests

from bentos.spool import Spool
from refit.loop.mover import move
from refit.settings import Settings
from refit.store import embedded
from refit.store.ledger import Ledger
from tests.integration.loop.serving import (
    Client,
    Service,
    ids_of,
    kill_at_random_moments,
    left_over,
    load,
    put_live,
    served,
    stop_postgres,
    wait_until,
)
from tests.integration.release.conftest import INPUTS, toy_bundle

ENTRIES = 100_000
N_INPUTS = 20


def entry() -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "at": "2024-06-30T12:00:00.000001Z",
        "usecase": "toy",
        "version": "toy-20240331-0123456789ab",
        "request_id": str(uuid.uuid4()),
        "inputs": {f"input_{place}": place * 1.37 for place in range(N_INPUTS)},
        "probability": 0.1 + 0.2,
        "threshold": 0.4,
        "decision": "approve",
        "reasons": None,
        "latency_ms": 0.612,
    }


def cost(url: str, folder: Path) -> dict[str, float]:
    """Return what an entry of 20 inputs costs to write down and to move."""
    entries = [entry() for _ in range(ENTRIES)]
    with closing(Spool(folder, 1 << 30)) as spool:
        started = time.process_time()
        for one in entries:
            spool.append([one])
        append = time.process_time() - started
        size = spool.bytes
    with Ledger(url) as ledger:
        ledger.migrate()
        began, started = time.perf_counter(), time.process_time()
        moved = move(ledger, folder)
        seconds, cpu = time.perf_counter() - began, time.process_time() - started
    if moved.n_moved != ENTRIES:
        raise SystemExit(f"moved {moved.n_moved} of {ENTRIES}")
    return {
        "append_us_cpu": round(append / ENTRIES * 1e6, 2),
        "bytes": round(size / ENTRIES),
        "move_us_cpu": round(cpu / ENTRIES * 1e6, 2),
        "moved_a_second": round(ENTRIES / seconds),
    }


def account(url: str, service: Service, clients: list[Client]) -> dict[str, object]:
    """End the service, then hold what the clients were told against what Postgres has.

    An id stands there once or not at all. Doubled is what stands there beyond the answers and the records of requests
    that were broken off: the same record under another id.
    """
    ids = ids_of(clients)
    code = service.stop()
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM refit.prediction WHERE usecase = 'toy' AND version LIKE 'toy-2003%'")
        found = [row[0] for row in cursor.fetchall()]
    return {
        "answered": len(ids),
        "lost": len(set(ids) - set(found)),
        "doubled": max(len(found) - len(set(ids)) - sum(client.unanswered for client in clients), 0),
        "answered_twice": len(ids) - len(set(ids)),
        "kept_unanswered": len(set(found) - set(ids)),  # written down, then killed before the answer was out
        "refused": sum(len(client.refused) for client in clients),
        "left_in_spool": len(left_over(service.folder)),
        "exit_code": code,
    }


def end(clients: list[Client]) -> None:
    for client in clients:
        client.ended.set()
    wait_until(lambda: not any(client.is_alive() for client in clients))


@contextmanager
def under_load(url: str, folder: Path, connections: int) -> Iterator[tuple[Service, list[Client]]]:
    settings = Settings(home=folder / "home", database_url=url, usecases=folder / "usecases")
    put_live(settings, toy_bundle(1))
    with served(settings, "toy") as service, load(service.port, INPUTS, connections) as clients:
        yield service, clients


def killed(folder: Path, kills: int, connections: int) -> dict[str, object]:
    with (
        embedded.running(folder / "postgres") as url,
        under_load(url, folder, connections) as (service, clients),
    ):
        began = time.perf_counter()
        kill_at_random_moments(service, kills)
        seconds = time.perf_counter() - began
        end(clients)
        found = account(url, service, clients)
    return {
        "kills": kills,
        "seconds": round(seconds),
        "broken_off": sum(client.broken for client in clients),
        **found,
    }


def stopped(folder: Path, seconds: float, connections: int) -> dict[str, object]:
    with (
        embedded.running(folder / "postgres") as url,
        under_load(url, folder, connections) as (service, clients),
    ):
        wait_until(lambda: len(ids_of(clients)) > 100)
        stop_postgres(folder / "postgres")
        gone, before = time.monotonic(), len(ids_of(clients))
        wait_until(lambda: time.monotonic() - gone > seconds, seconds + 60)
        during = len(ids_of(clients)) - before
        with embedded.running(folder / "postgres"), closing(Spool(service.folder, 1 << 30)) as spool:
            backlog, back = spool.backlog, time.monotonic()
            wait_until(lambda: spool.backlog < backlog / 10)
            caught_up = time.monotonic() - back
            end(clients)
            found = account(url, service, clients)
    return {
        "postgres_gone_seconds": seconds,
        "answered_meanwhile": during,
        "backlog": backlog,
        "caught_up_seconds": round(caught_up, 1),
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without Postgres")
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that no process is left behind
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with embedded.running(folder / "cost") as url:
            found: dict[str, object] = {"cost": cost(url, folder / "spool")}
        found["killed"] = killed(folder / "killed", arguments.kills, arguments.connections)
        found["stopped"] = stopped(folder / "stopped", arguments.outage, arguments.connections)
    print(json.dumps({"benchmark": "decision_log", **found}))


if __name__ == "__main__":
    main()
