"""The real SBA loans: what `refit` says stands against a count over the raw file, made with nothing of `refit`."""

import csv
import gzip
import json
import os
import subprocess
import sys
from calendar import monthrange
from collections import Counter
from datetime import date, datetime
from functools import cache
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3].parent / "shared/data/sba_loans_fy1990_2004.csv.gz"
DAYS = [date(2003, 6, 30), date(2004, 6, 30)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILE.exists(), reason="the SBA's file of 7(a) loans is not beside this folder"),
]


@cache
def day(text: str) -> date | None:
    return datetime.strptime(text, "%d-%b-%y").date() if text.strip() else None  # noqa: DTZ007 - a day has no zone


@pytest.fixture(scope="module")
def raw() -> list[tuple[str, date, date | None]]:
    """Key, approval and charge-off of every row."""
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [(row["LoanNr_ChkDgt"], day(row["ApprovalDate"]), day(row["ChgOffDate"])) for row in rows]


def three_years_after(approved: date) -> date:
    year, month = approved.year + 3, approved.month
    return approved.replace(year=year, day=min(approved.day, monthrange(year, month)[1]))


def outcomes(raw: list[tuple[str, date, date | None]], as_of: date) -> dict[str, int]:
    seen = [(approved, lost) for _, approved, lost in raw if approved <= as_of]
    happened = [(approved, lost) for approved, lost in seen if lost is not None and lost <= as_of]
    bad = sum(lost <= three_years_after(approved) for approved, lost in happened)
    ripe = sum(three_years_after(approved) <= as_of for approved, _ in seen)
    early = sum(
        lost <= three_years_after(approved) and three_years_after(approved) > as_of for approved, lost in happened
    )
    return {"happened": len(happened), "final": ripe + early, "bad": bad, "ripe": ripe}


@pytest.mark.timeout(1200)
def test_records_and_charge_offs_of_a_day_equal_a_count_over_the_raw_file(raw, database_url, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REFIT_")}
    environment = kept | {"REFIT_HOME": str(tmp_path), "REFIT_DATABASE_URL": database_url}

    def refit(*arguments: str) -> dict:
        command = [sys.executable, "-m", "refit.cli", *arguments, "--json"]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    twice = [key for key, n in Counter(key for key, _, _ in raw).items() if n > 1]
    assert twice == []
    loaded = refit("load", "sba", str(FILE))
    assert loaded == loaded | {"added": len(raw), "changed": 0, "unchanged": 0, "rejected": 0}
    before = 0
    for as_of in DAYS:
        expected = sum(approved <= as_of for _, approved, _ in raw)
        taken = refit("ingest", "sba", "--as-of", as_of.isoformat())
        assert taken["ingested"] + taken["rejected"] == expected - before
        found = refit("status", "sba", "--as-of", as_of.isoformat())
        assert found["n_records"] == expected
        assert found["outcomes"] == outcomes(raw, as_of)
        assert refit("ingest", "sba", "--as-of", as_of.isoformat())["ingested"] == 0
        before = expected
    # The year between is known now, and still unknown then.
    assert refit("status", "sba", "--as-of", DAYS[0].isoformat())["n_records"] == sum(a <= DAYS[0] for _, a, _ in raw)
