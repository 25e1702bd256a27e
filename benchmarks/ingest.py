"""A million typed rows of 27 columns: from Postgres to validated, acknowledged Parquet.

Side by side with the floor, `COPY ... (FORMAT binary)` into nothing, and with `pandas.read_sql` and `to_parquet`.
Each is a process of its own, so that its peak memory can be read. Reach: within 4x of the floor with a peak below 1 GB,
and at least 5x faster than pandas.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import psycopg2
import sqlalchemy

from refit.loop.ingest import ingest
from refit.loop.wiring import open_world
from refit.settings import Settings
from refit.store import embedded
from refit.store.ledger import Ledger
from refit.usecase import catalogue

ROWS = 1_000_000
NUMBERS, CATEGORIES = 15, 8
AS_OF = datetime(2030, 1, 1, tzinfo=UTC)

USE_CASE = {
    "name": "wide",
    "title": "A wide table",
    "source": {"table": "source.wide", "key": "id", "arrived_at": "arrived_at"},
    "event_time": {"column": "event_time"},
    "label": {"name": "bad", "happened_on": {"column": "bad_on"}, "within_months": 12},
    "features": {f"n{i}": {"type": "number", "min": 0} for i in range(NUMBERS)}
    | {f"c{i}": {"type": "category"} for i in range(CATEGORIES)},
}


def make_table(url: str, rows: int) -> None:
    numbers = ", ".join(f"random() * 1e5 AS n{i}" for i in range(NUMBERS))
    categories = ", ".join(f"'value ' || (random() * {3 + 5 * i})::int AS c{i}" for i in range(CATEGORIES))
    moment = "timestamptz '2020-01-01' + i * interval '1 second'"
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA source")
        cursor.execute(
            f"CREATE TABLE source.wide AS SELECT 'K' || lpad(i::text, 9, '0') AS id, {moment} AS arrived_at,"  # noqa: S608 - every part stands in this file
            f" {moment} AS event_time, CASE WHEN i % 20 = 0 THEN {moment} + interval '90 days' END AS bad_on,"
            f" {numbers}, {categories} FROM generate_series(1, {rows}) AS i"
        )
        cursor.execute("ALTER TABLE source.wide ADD PRIMARY KEY (id)")
        cursor.execute("ANALYZE source.wide")


class Nothing:  # noqa: D101 - a sink
    def write(self, content: bytes) -> int:  # noqa: D102
        return len(content)


def copy_into_nothing(url: str, _folder: Path) -> None:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.copy_expert("COPY source.wide TO STDOUT (FORMAT binary)", Nothing())


def with_refit(url: str, folder: Path) -> None:
    with open_world(Settings(home=folder, database_url=url, usecases=folder)) as world:
        done = ingest(world, catalogue.find("wide", folder), AS_OF)
    if done.n_rejected:
        raise SystemExit("the benchmark's own rows were refused")


def with_pandas(url: str, folder: Path) -> None:
    engine = sqlalchemy.create_engine(url)
    pd.read_sql("SELECT * FROM source.wide", engine).to_parquet(folder / "pandas.parquet")


def measured(
    work: Callable[[str, Path], None], url: str, folder: Path, results: "multiprocessing.Queue[tuple[float, float]]"
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    work(url, folder)
    seconds = time.perf_counter() - start
    results.put((seconds, max(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024))


def run(work: Callable[[str, Path], None], url: str) -> tuple[float, float]:
    """Return the seconds and the peak memory in MB of one run in a fresh process and folder, imports not counted."""
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "wide.yaml").write_text(json.dumps(USE_CASE))
        process = spawn.Process(target=measured, args=(work, url, Path(name), results))
        process.start()
        found = results.get()
        process.join()
    return found


def forget(url: str) -> None:
    """Give a ledger with its tables and nothing in them."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS refit CASCADE")
    with Ledger(url) as ledger:
        ledger.migrate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {"floor": [], "refit": [], "pandas": []}
    peak: dict[str, list[float]] = {name: [] for name in seconds}
    with tempfile.TemporaryDirectory() as folder, embedded.running(Path(folder) / "postgres") as url:
        make_table(url, arguments.rows)
        for _ in range(arguments.runs):
            forget(url)
            for name, work in (("floor", copy_into_nothing), ("refit", with_refit), ("pandas", with_pandas)):
                took, megabytes = run(work, url)
                seconds[name].append(took)
                peak[name].append(megabytes)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        json.dumps(
            {
                "benchmark": "ingest",
                "rows": arguments.rows,
                "seconds": {name: round(value, 2) for name, value in middle.items()},
                "peak_mb": {name: round(max(values)) for name, values in peak.items()},
                "times_the_floor": round(middle["refit"] / middle["floor"], 2),
                "times_faster_than_pandas": round(middle["pandas"] / middle["refit"], 2),
            }
        )
    )


if __name__ == "__main__":
    main()
