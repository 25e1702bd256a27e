"""Ingest in a process of its own, disturbed: killed, cut off from Postgres, without room on its disk."""

import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import psycopg2
import pytest
import yaml

from refit.store.embedded import running
from refit.store.ledger import Ledger
from refit.usecase.catalogue import read
from tests.integration.conftest import TEMPLATE, other_database, run
from tests.unit.usecase.declared import content

TABLE = (
    "CREATE SCHEMA source; CREATE TABLE source.loans (id text, changed_at timestamptz, asked_on date, amount float8,"
    " income float8, region text, purpose text, sex text, lost_on date)"
)
FILL = (
    "INSERT INTO source.loans SELECT i::text, '2003-01-01'::timestamptz + i * interval '1 day' / %(n)s, '2003-01-01',"
    " CASE WHEN i %% 5000 = 0 THEN -1 ELSE i END, i + 1, md5((i %% 999)::text), CASE WHEN i %% 2 = 0 THEN 'car' END,"
    " 'f', CASE WHEN i %% 9 = 0 THEN '2003-06-01'::date END FROM generate_series(1, %(steps)s * %(n)s) AS i"
)
STEPS, KILLS, HELD, ROWS = 9, 20, 5, 60_000


@dataclass(frozen=True)
class Shell:
    """A place where `refit` is run as a person would run it."""

    url: str
    home: Path

    @property
    def lake(self) -> Path:
        return self.home / "lake" / "loans" / "batches"

    def start(self, *arguments: str, code: str | None = None) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REFIT_")}
        return subprocess.Popen(
            [sys.executable, *(("-m", "refit.cli", *arguments) if code is None else ("-c", code))],
            stdin=subprocess.DEVNULL if code is None else subprocess.PIPE,
            env=kept | {"REFIT_HOME": str(self.home), "REFIT_DATABASE_URL": self.url, "REFIT_USECASES": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def files(self) -> dict[str, str]:
        """Every file of the lake with the hash of its content, finished or not."""
        found = self.lake.rglob("*") if self.lake.exists() else []
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.is_file()}

    def litter(self) -> int:
        """How many files there are of which the ledger knows nothing."""
        return len(self.files()) - acknowledged(self)

    def ledger(self) -> tuple[list, list]:
        """What the ledger holds, without the moments of its own clock."""
        with Ledger(self.url) as ledger:
            rejects = [(row.place, row.source, row.reasons, row.record) for row in ledger.rejects("loans", 10_000)]
            return [replace(row, as_of=row.watermark_at) for row in ledger.batches("loans")], rejects


@pytest.fixture
def shell(server_url, tmp_path) -> Iterator[Callable[[str], Shell]]:
    made = []

    def new(name: str, url: str | None = None) -> Shell:
        if url is None:
            made.append(f"{name}_{os.getpid()}")
            run(server_url, f"CREATE DATABASE {made[-1]} TEMPLATE {TEMPLATE}")
            url = other_database(server_url, made[-1])
        home = tmp_path / name
        home.mkdir()
        (home / "loans.yaml").write_text(
            yaml.safe_dump(content({"features.income": {"type": "number"}, "features.share": None}))
        )
        assert read(home / "loans.yaml").name == "loans"
        return Shell(url, home)

    yield new
    for name in made:
        run(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def filled(shell: Shell, rows: int, steps: int = 1) -> Shell:
    run(shell.url, TABLE)
    run(shell.url, FILL % {"n": rows, "steps": steps})
    return shell


def step(number: int) -> tuple[str, ...]:
    return (
        "ingest",
        "loans",
        "--as-of",
        f"2003-01-{number + 1:02}T12:00" if number < STEPS else "2003-02-01",
        "--json",
    )


def acknowledged(shell: Shell) -> int:
    with Ledger(shell.url) as ledger:
        return len(ledger.batches("loans"))


def writes(shell: Shell) -> bool:
    return shell.lake.exists() and any(path.name.startswith(".writing-") for path in shell.lake.iterdir())


# Python's start takes longer than the work: it is done once, and each run is a process forked from there.
NURSERY = """
import os, sys
import adbc_driver_postgresql.dbapi, alembic.command, alembic.config, alembic.script
import refit.loop.ingest, refit.loop.wiring
from refit import cli
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["refit", *line.split()]
        cli.main()
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """Starts `refit` in a process of its own at once, and kills it at a chosen moment."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._process = shell.start(code=NURSERY)

    def run(self, *arguments: str, seconds: float = 60, until: Callable[[], bool] = lambda: True) -> int:
        """Kill it so many seconds after `until` came true; return the exit code, -9 where it was killed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(" ".join(arguments) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        while not until() and not self._ended(0.001):
            pass
        if not self._ended(seconds):
            os.kill(child, signal.SIGKILL)
        return int(self._process.stdout.readline())

    def run_into(self, table: str, *arguments: str) -> int:
        """Run while nobody may write to a table; kill it between the file it has written and the row it cannot."""
        with closing(psycopg2.connect(self._shell.url)) as connection, connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")

            def waits() -> bool:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass", [table])
                return cursor.fetchone() != (0,)

            return self.run(*arguments, seconds=0, until=waits)

    def _ended(self, patience: float) -> bool:
        return bool(select.select([self._process.stdout], [], [], patience)[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killed_at_20_random_moments_and_run_again_it_is_as_if_undisturbed(shell):
    rng = random.Random(20)  # noqa: S311 - the same moments every time
    calm, killed = filled(shell("calm"), ROWS, STEPS), filled(shell("killed"), ROWS, STEPS)
    took = []
    with Nursery(calm) as nursery:
        for number in range(STEPS + 1):
            began = time.monotonic()
            assert nursery.run(*step(number)) == 0
            took.append(time.monotonic() - began)
    number, cut_short, littered = 0, 0, 0
    with Nursery(killed) as nursery:
        for kill in range(KILLS):
            # A quarter between file and row for certain, a quarter at random once it writes: there is most to lose.
            if kill < HELD:
                code = nursery.run_into("refit.batch", *step(number))
            elif kill % 3 == 1:
                code = nursery.run(*step(number), seconds=rng.uniform(0, 0.15), until=lambda: writes(killed))
            else:
                code = nursery.run(*step(number), seconds=rng.uniform(0, 0.9 * sorted(took)[STEPS // 2]))
            assert code in {0, -signal.SIGKILL}
            cut_short += code != 0
            littered += killed.litter() > 0
            number = min(acknowledged(killed), STEPS)
    for later in range(number, STEPS + 1):
        code, _, err = killed.run(*step(later))
        assert code == 0, err
    assert cut_short > HELD
    assert littered >= HELD
    assert len(calm.files()) == STEPS + 1
    assert killed.files() == calm.files()
    assert killed.ledger() == calm.ledger()
    for name, digest in killed.files().items():
        assert name == f"{digest}.parquet"


def wait_until(done: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_postgres_that_stops_midway_is_an_outage_and_the_next_run_takes_all(shell, tmp_path):
    folder = tmp_path / "postgres"
    with running(folder) as url:
        shell = filled(shell("stopped", url), 400_000)
        with shell.start("ingest", "loans", "--json") as process:
            wait_until(lambda: writes(shell), process)
            os.kill(int((folder / "data" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
            out, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert json.loads(out)["error"]["kind"] == "OutageError"
    assert "Traceback" not in err
    assert url.partition("refit:")[2].partition("@")[0] not in err
    assert shell.files() == {}
    with running(folder) as again:
        shell = replace(shell, url=again)
        code, out, err = shell.run("ingest", "loans", "--json")
        assert code == 0, err
        assert json.loads(out) == json.loads(out) | {"ingested": 400_000 - 80, "rejected": 80}
        assert len(shell.files()) == acknowledged(shell) == 1


@pytest.mark.slow
def test_sigterm_and_ctrl_c_end_a_run_cleanly(shell):
    shell = filled(shell("ended"), 200_000)
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with shell.start("ingest", "loans") as process:
            wait_until(lambda: writes(shell), process)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        assert process.returncode == expected, err
        assert "Traceback" not in err
        assert shell.files() == {}
        assert acknowledged(shell) == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_an_outage_that_leaves_no_file(shell):
    shell = filled(shell("full"), 200_000)
    with small_disk(shell.home / "lake", "512k"):
        code, out, err = shell.run("ingest", "loans", "--json")
        assert code == 5, err
        assert "no space left on the disk" in json.loads(out)["error"]["message"]
        assert "Traceback" not in err
        assert shell.files() == {}
        assert acknowledged(shell) == 0
    code, out, err = shell.run("ingest", "loans", "--json")
    assert code == 0, err
    assert json.loads(out)["ingested"] == 200_000 - 40
