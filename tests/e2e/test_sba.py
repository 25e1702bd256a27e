"""Half a million real loans through the command line: load, two nights a year apart, an idle third, serve."""

import csv
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import httpx
import pytest

from refit.scoring import bundle as bundles

FILE = Path(__file__).parents[3] / "shared/data/sba_loans_fy1990_2004.csv.gz"
LAYOUT = "%d-%b-%y"
PATIENCE = 900  # on a busy machine; on two quiet cores a night takes a minute or two
READY_SECONDS = 120

pytestmark = [
    pytest.mark.skipif(not FILE.exists(), reason="the SBA file of real loans is not beside the checkout"),
    pytest.mark.timeout(4 * PATIENCE),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sba")


@pytest.fixture(scope="module")
def environment(home) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REFIT_")}
    return kept | {"REFIT_HOME": str(home)}


@pytest.fixture(scope="module")
def refit(environment):
    def run(*arguments: str) -> dict:
        done = subprocess.run(
            [sys.executable, "-m", "refit.cli", *arguments, "--json"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def raw() -> list[dict[str, str]]:
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def nights(refit) -> list[dict]:
    refit("load", "sba", str(FILE))
    return [refit("nightly", "sba", "--as-of", day) for day in ("2003-06-30", "2004-06-30", "2004-06-30")]


@cache
def day(text: str) -> datetime:
    return datetime.strptime(text, LAYOUT).replace(tzinfo=UTC)


def approved_by(raw: list[dict[str, str]], as_of: str) -> int:
    last = datetime.strptime(as_of, "%Y-%m-%d").replace(tzinfo=UTC)
    return sum(day(row["ApprovalDate"]) <= last for row in raw)


def test_each_night_takes_in_exactly_the_loans_approved_since(nights, raw):
    first, second = approved_by(raw, "2003-06-30"), approved_by(raw, "2004-06-30")
    taken = [night["ingested"] + night["rejected"] for night in nights]
    assert taken == [first, second - first, 0]


def test_the_first_night_trains_for_want_of_a_champion_and_releases(nights):
    assert nights[0]["decision"]["action"] == "retrain"
    assert nights[0]["decision"]["reasons"][0]["code"] == "no_champion"
    assert nights[0]["verdict"]["outcome"] == "promote"
    assert nights[0]["release"]["version"] == nights[0]["model"]


def test_the_second_night_stores_a_drift_report_and_decides_with_reasons(nights, home):
    assert nights[1]["decision"]["action"] in {"retrain", "recalibrate", "wait"}
    assert all(reason["why"] for reason in nights[1]["decision"]["reasons"])
    assert nights[1]["drift"]["n_current"] == nights[1]["ingested"]
    (report,) = (home / "reports" / "sba" / nights[1]["report"]).glob("*.html")
    assert report.stat().st_size > 1_000_000


def test_a_third_night_on_the_same_day_decides_none(nights):
    assert nights[2]["decision"]["action"] == "none"
    assert nights[2]["verdict"] is nights[2]["release"] is None


def test_the_known_charge_offs_are_those_of_the_day_or_earlier(refit, nights, raw):
    assert nights
    last = datetime(2003, 6, 30, tzinfo=UTC)
    happened = sum(
        day(row["ApprovalDate"]) <= last and day(row["ChgOffDate"]) <= last for row in raw if row["ChgOffDate"]
    )
    assert refit("status", "sba", "--as-of", "2003-06-30")["outcomes"]["happened"] == happened


def test_a_real_loan_over_http_gets_what_the_bundles_predictor_says(nights, home, environment, raw):
    live = next(night["release"]["version"] for night in reversed(nights) if night["release"])
    bundle = bundles.load(home / "bundles" / "sba" / live)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen(
        [sys.executable, "-m", "refit.cli", "serve", "sba", "--port", str(port)],
        env=environment,
        stderr=subprocess.PIPE,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, service)
        for row in raw[:: len(raw) // 50]:
            loan = request_of(row, bundle.usecase.inputs)
            answer = httpx.post(f"{url}/predict", json=loan, timeout=30)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert body["probability"] == pytest.approx(bundle.predict([loan])[0], abs=1e-6)
            assert body["model_version"] == live
            assert body["decision"] == bundle.decision(body["probability"])
            assert body["threshold"] == bundle.threshold
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(timeout=60) in {0, 128 + signal.SIGTERM}
        service.stderr.close()


def wait_until_ready(url: str, service: subprocess.Popen) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert service.poll() is None, service.stderr.read()
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("the service did not get ready")


def request_of(row: dict[str, str], inputs) -> dict:
    """Make of a raw row what a client would send: numbers as numbers, texts as texts."""
    made = {}
    for name, column in inputs.items():
        text = row[name].strip().replace("$", "").replace(",", "")
        made[name] = (float(text) if column.type == "number" else row[name].strip()) if text else None
    return made
