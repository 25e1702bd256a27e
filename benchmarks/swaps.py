"""Releases, refused releases and rollbacks under steady load: failed requests, versions served, and latency.

A real ledger in Postgres, the real loop of `refit serve` with its decision log, real Bentos. Refused are, in turn, a
Bento that does not start, one that answers its golden records wrongly, and one that hangs. Reach: 0 failed requests, no
answer of a version that the ledger did not make live, every answer in the decision log once, and a p99 during a swap
within 3 times the p99 before.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen

import psycopg2
from served import CONTENT, Reply, bento, bundle, free_port, percentile, record, released

from refit.loop.release import rollback
from refit.loop.wiring import World, open_world
from refit.release.bento import bento_path
from refit.settings import Settings
from refit.store import embedded
from refit.usecase.model import UseCase

HANG_SECONDS = 4.0
"""How long the Bento that hangs may take to start; the others get what `refit serve` gives, as machines are busy."""
SERVE = f"""
import sys
from functools import partial
from refit.loop import serve
from refit.loop.wiring import open_world
from refit.release import supervisor
from refit.settings import Settings
whole = supervisor.Child
supervisor.Child = lambda release, tell, seconds, *more: whole(
    release, tell, {HANG_SECONDS} if "hangs" in release.bento_tag else seconds, *more
)
with open_world(Settings.read()) as world:
    serve.serve(world, world.usecase("bench"), host="127.0.0.1", port=int(sys.argv[1]), echo=partial(print, flush=True))
"""
BROKEN = {
    "does not start": ("bentos/application.py", None, "raise RuntimeError('no such luck')"),
    "wrong golden answer": (
        "refit/scoring/bundle.py",
        "self.calibrator.apply(",
        "0.99 * self.calibrator.apply(",
    ),
    "hangs": ("bentos/application.py", None, "import time; time.sleep(600)"),
}


def break_bento(good: Path, home: Path, kind: str) -> str:
    """Copy a Bento and break the copy; return its tag."""
    tag = f"refit_bench:{kind.replace(' ', '-')}"
    copy = bento_path(tag, home)
    shutil.copytree(good, copy)
    part, old, new = BROKEN[kind]
    file = copy / "src" / part
    content = file.read_text()
    if old is not None and content.count(old) != 1:
        raise SystemExit(f"{part} has changed: break it in another place")
    file.write_text(new if old is None else content.replace(old, new))
    return tag


class Show:
    """The service, its clients, and what is released meanwhile."""

    def __init__(self, world: World, usecase: UseCase, server: "Popen[str]") -> None:
        self.world = world
        self.usecase = usecase
        self.lines = iter(server.stdout or ())
        self.swaps: list[tuple[float, float]] = []
        self.live_versions: set[str] = set()

    def release(self, version: str, tag: str) -> None:
        """Release a Bento and wait until it is live."""
        self._swapped(lambda: self._record(version, tag))

    def refuse(self, version: str, tag: str) -> None:
        """Release a broken Bento and wait until it is refused."""
        began = time.monotonic()
        self._record(version, tag)
        self._wait("was refused")
        self.swaps.append((began, time.monotonic()))

    def rollback(self) -> None:
        """Go back to the release before."""
        self._swapped(lambda: rollback(self.world, self.usecase, datetime.now(UTC)).version)

    def _record(self, version: str, tag: str) -> str:
        return self.world.ledger.record_release(released(version, tag)).version

    def _swapped(self, change: Callable[[], str]) -> None:
        began = time.monotonic()
        self.live_versions.add(change())
        self._wait("is live on")
        self.swaps.append((began, time.monotonic() + 0.5))

    def _wait(self, what: str) -> None:
        for line in self.lines:
            if what in line:
                return
            if "was refused" in line:
                raise SystemExit(line)
        raise SystemExit("the service ended")


@contextmanager
def clients(port: int, connections: int, rate: float, replies: list[Reply], folder: Path) -> Iterator[None]:
    """Ask at a steady rate meanwhile; `replies` is filled at the end."""
    script, out = Path(__file__).with_name("load.py"), folder / "replies.jsonl"
    command = [sys.executable, str(script), "--port", str(port), "--out", str(out)]
    load = Popen([*command, "--connections", str(connections), "--rate", str(rate)], stdout=PIPE, text=True)
    try:
        if load.stdout is not None:
            load.stdout.readline()
        yield
    finally:
        load.terminate()
        load.communicate()
    replies += [Reply(**json.loads(line)) for line in out.read_text().splitlines()]


def run(options: argparse.Namespace, folder: Path, url: str) -> dict[str, object]:
    (folder / "bench.yaml").write_text(json.dumps(CONTENT | {"example": record(0)}))
    settings = Settings(home=folder, database_url=url, usecases=folder)
    port = free_port()
    variables = {
        "REFIT_HOME": str(folder),
        "REFIT_DATABASE_URL": url,
        "REFIT_USECASES": str(folder),
        "REFIT_LOG_LEVEL": "ERROR",
    }
    made = [bundle(seed) for seed in range(options.bundles)]
    good = [(each.version, bento(each, folder / "bundles", settings.bentoml)[0]) for each in made]
    wrong = bundle(10_000)
    _, path = bento(wrong, folder / "bundles", settings.bentoml)
    broken = [break_bento(path, settings.bentoml, kind) for kind in BROKEN]
    replies: list[Reply] = []
    with open_world(settings) as world:
        usecase = world.usecase("bench")
        command = [sys.executable, "-c", SERVE, str(port)]
        server = Popen(command, stdout=PIPE, stderr=None, env={**os.environ, **variables}, text=True)
        try:
            show = Show(world, usecase, server)
            show.release(*good[0])
            show.swaps.clear()
            with clients(port, options.connections, options.rate, replies, folder):
                quiet = time.monotonic() + 1
                time.sleep(options.quiet)
                began = time.monotonic()
                for turn in range(1, options.releases + 1):
                    show.release(*good[turn % len(good)])
                for turn in range(options.refused):
                    show.refuse(wrong.version, broken[turn % len(broken)])
                for _ in range(options.rollbacks):
                    show.rollback()
                time.sleep(1)
        finally:
            server.terminate()
            server.communicate()
        refused = sum(row.kind == "refused" for row in world.ledger.releases(usecase.name, limit=10_000))
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM refit.prediction")
        logged = {row[0] for row in cursor.fetchall()}
    if options.keep is not None:
        shutil.copy(folder / "replies.jsonl", options.keep)
    return result(options, replies, show, (quiet, began), refused, logged)


def result(
    options: argparse.Namespace,
    replies: list[Reply],
    show: Show,
    still: tuple[float, float],
    refused: int,
    logged: set[str],
) -> dict[str, object]:
    before = [reply.took for reply in replies if still[0] <= reply.due < still[1]]
    each = [[reply.took for reply in replies if start <= reply.due < end] for start, end in show.swaps]
    during = [took for swap in each for took in swap]
    of_each = [percentile(swap, 0.99) for swap in each]
    took = [end - start for start, end in show.swaps]
    answered = [reply.id for reply in replies if reply.status == 200]
    versions = {reply.version for reply in replies if reply.status == 200}
    p99 = percentile(before, 0.99), percentile(during, 0.99)
    return {
        "benchmark": "swaps under load",
        "connections": options.connections,
        "requests_a_second": options.connections * options.rate,
        "releases": options.releases,
        "refused": refused,
        "rollbacks": options.rollbacks,
        "requests": len(replies),
        "failed": len(replies) - len(answered),
        "versions_not_made_live_by_the_ledger": len(versions - show.live_versions),
        "answers_missing_in_the_decision_log": len(set(answered) - logged),
        "in_the_decision_log_and_never_answered": len(logged - set(answered)),
        "one_id_answered_twice": len(answered) - len(set(answered)),
        "p99_ms_before": round(p99[0] * 1000, 2),
        "p99_ms_during_a_swap": round(p99[1] * 1000, 2),
        "times": round(p99[1] / p99[0], 2),
        "p99_ms_of_the_middle_swap": round(median(of_each) * 1000, 2),
        "p99_ms_of_the_worst_swap": round(max(of_each) * 1000, 2),
        "reach": "0 failed, 0 others, <= 3 times",
        "seconds_a_swap": round(sum(took) / len(took), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=50)
    parser.add_argument("--refused", type=int, default=10)
    parser.add_argument("--rollbacks", type=int, default=10)
    parser.add_argument("--bundles", type=int, default=4)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second over each connection")
    parser.add_argument("--keep", type=Path, help="where to leave every reply, a line of JSON each")
    parser.add_argument("--quiet", type=float, default=15.0, help="seconds of load before the first swap")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, embedded.running(Path(name) / "postgres") as url:
        folder = Path(name) / "home"
        folder.mkdir()
        print(json.dumps(run(options, folder, url)))


if __name__ == "__main__":
    main()
