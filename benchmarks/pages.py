"""How fast the console answers with years in the ledger: 1,000 nights, 200 models, a million predictions.

A real Postgres, one real night of the demo book, and that night's rows many times over; each page is asked over HTTP.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

import httpx
import psycopg2
import structlog
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1]))

from flows.environment import environment
from refit.loop.load import load_demo
from refit.loop.nightly import nightly
from refit.loop.wiring import now, open_world
from refit.settings import Settings
from refit.store import embedded
from tests.e2e.product import free_port

REACH_MS = 300
WARM = 3
USECASE = "demo"

CARD_KB = 100
"""A card of a model with many features; the demo book has ten."""

# Each row of the one night again and again, an hour apart, under names and ids of its own.
SEED = """
INSERT INTO refit.bundle (version, usecase, as_of, snapshot, path, learner, metrics, card)
SELECT version || '-' || n, usecase, as_of - n * interval '1 hour', snapshot, path, learner, metrics,
       card || jsonb_build_object('more', ARRAY(SELECT md5(n || ' ' || k) FROM generate_series(1, %(more)s) AS k))
FROM refit.bundle, generate_series(1, %(models)s - 1) AS n;

INSERT INTO refit.verdict (id, usecase, challenger, champion, outcome, checks, as_of)
SELECT gen_random_uuid(), usecase, challenger || '-' || n, champion,
       CASE WHEN n %% 3 = 0 THEN 'promote' ELSE 'refuse' END, checks, as_of - n * interval '1 hour'
FROM refit.verdict, generate_series(1, %(models)s - 1) AS n;

INSERT INTO refit.release (usecase, version, bento_tag, kind, reason, as_of)
SELECT usecase, version, bento_tag, 'release', reason, as_of
FROM refit.release, generate_series(1, %(models)s / 3) AS n;

INSERT INTO refit.decision (id, usecase, as_of, action, reasons, drift, n_new, champion, snapshot)
SELECT gen_random_uuid(), usecase, as_of - n * interval '1 hour', 'none', reasons, drift, n_new, champion, snapshot
FROM refit.decision, generate_series(1, %(nights)s - 1) AS n;

INSERT INTO refit.run (id, usecase, kind, as_of, started_at, finished_at, outcome, result)
SELECT gen_random_uuid(), usecase, kind, as_of - n * interval '1 hour', started_at, finished_at, outcome, result
FROM refit.run, generate_series(1, %(nights)s - 1) AS n;

INSERT INTO refit.report (id, usecase, kind, run, as_of, path_html, path_json, title)
SELECT gen_random_uuid(), usecase, kind, run, as_of - n * interval '1 hour', path_html, path_json, title
FROM refit.report, generate_series(1, CASE kind WHEN 'drift' THEN %(nights)s ELSE %(models)s END - 1) AS n;

INSERT INTO refit.prediction
       (id, usecase, version, at, request_id, inputs, probability, threshold, decision, reasons, latency_ms)
SELECT gen_random_uuid(), %(usecase)s, %(version)s, now() - n * interval '30 seconds', 'seeded', %(inputs)s::jsonb,
       (n %% 1000) / 1000.0, 0.1, CASE WHEN n %% 1000 < 100 THEN 'approve' ELSE 'decline' END, '[]'::jsonb, 1.0
FROM generate_series(1, %(predictions)s) AS n;

ANALYZE
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=1_000)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=40)
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as name, embedded.running(Path(name) / "postgres") as url:
        settings = Settings(home=Path(name) / "home", database_url=SecretStr(url), console_port=free_port())
        settings.folder.mkdir()
        paths, card_kb = filled(settings, options)
        with console(settings) as client:
            asked = {page: timed(client, page, path, options.times) for page, path in paths.items()}
    slow = sorted(page for page, seen in asked.items() if seen["p95_ms"] > REACH_MS)
    result = {
        "benchmark": "console pages, full ledger",
        "nights": options.nights,
        "models": options.models,
        "predictions": options.predictions,
        "card_kb": card_kb,
        "pages": asked,
        "p95_ms_worst": max(seen["p95_ms"] for seen in asked.values()),
        "p95_ms_reach": f"< {REACH_MS}",
        "slower": slow,
    }
    print(json.dumps(result))


def filled(settings: Settings, options: argparse.Namespace) -> tuple[dict[str, str], float]:
    """Run one night and multiply it; return the pages to ask for, and how large a model's card is."""
    with open_world(settings) as world:
        usecase = world.usecase(USECASE)
        load_demo(world, now())
        night = nightly(world, usecase, now())
        if night.released is None or night.monitored.report_id is None:
            raise AssertionError("the night released a model and left a report")
        version, report = night.released.version, night.monitored.report_id
        kept = world.ledger.bundle(version)
        if kept is None:
            raise AssertionError("the ledger knows what is live")
        url = (settings.database_url or SecretStr("")).get_secret_value()
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            more = max(round(CARD_KB - len(json.dumps(kept.card)) / 1000) * 1000 // 36, 0)  # an md5 takes 36 bytes
            given = vars(options) | {"usecase": USECASE, "version": version, "more": more}
            cursor.execute(SEED, given | {"inputs": json.dumps(dict(usecase.example))})
        seeded = world.ledger.bundle(f"{version}-1")
        card_kb = round(len(json.dumps((seeded or kept).card)) / 1000, 1)
    model = f"/models/{version}-1"
    paths = {
        "overview": "/",
        "score, the form": f"/score/{USECASE}?example=1",
        "score, an answer": f"/score/{USECASE}",
        "models": "/models",
        "models of one": f"/models?usecase={USECASE}",
        "a model": model,
        "a card": f"/models/{version}/card",
        "trade-off": f"{model}/trade-off?threshold=0.2",
        "compare": f"/compare?version={version}&version={version}-1",
        "releases": "/releases",
        "drift": f"/drift?usecase={USECASE}",
        "nights": "/nights",
        "reports": "/reports",
        "reports of a day": f"/reports?usecase={USECASE}&day={now():%Y-%m-%d}",
        "a report": f"/reports/{report}",
        "the report itself": f"/reports/{report}/html",
        "metrics": "/metrics",
    }
    return paths, card_kb


@contextmanager
def console(settings: Settings) -> Iterator[httpx.Client]:
    """Serve the console in a process of its own."""
    command = [sys.executable, "-m", "refit.console"]
    with (settings.folder / "console.log").open("w") as log:
        process = subprocess.Popen(command, env=environment(settings), stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{settings.console_port}", timeout=60, trust_env=False) as client:
            end = time.monotonic() + 120
            while not answers(client):
                if process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((settings.folder / "console.log").read_text())
                time.sleep(0.2)
            yield client
    finally:
        process.terminate()
        process.wait()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.HTTPError:
        return False


def timed(client: httpx.Client, page: str, path: str, times: int) -> dict[str, float]:
    """Ask for a page many times; return the middle and the 95th of a hundred in milliseconds, and its size."""
    taken, size = [], 0
    example = {"amount": "9000", "term_months": "36", "income": "38500"}
    for k in range(WARM + times):
        began = time.perf_counter()
        answer = client.post(path, data=example) if page == "score, an answer" else client.get(path)
        spent = (time.perf_counter() - began) * 1000
        answer.raise_for_status()
        size = len(answer.content)
        if k >= WARM:
            taken.append(spent)
    taken.sort()
    return {
        "p50_ms": round(median(taken), 1),
        "p95_ms": round(taken[min(int(len(taken) * 0.95), len(taken) - 1)], 1),
        "kb": round(size / 1000, 1),
    }


if __name__ == "__main__":
    main()
