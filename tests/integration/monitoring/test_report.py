"""The report with the real Evidently: its import takes seconds, so all of it stands here."""

import json
import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from refit.monitoring.evidence import Decision, Reason
from refit.monitoring.profile import profile
from refit.monitoring.psi import Drift, drift
from refit.monitoring.report import Report, render
from refit.usecase.model import UseCase

TODAY = datetime(2024, 6, 30, tzinfo=UTC)
EVIL = "</script><script>alert('x')</script>"


@pytest.fixture(scope="module")
def usecase() -> UseCase:
    return UseCase.model_validate(
        {
            "name": "loans",
            "title": "Loans",
            "source": {"table": "source.loans", "key": "id", "arrived_at": "asked_on"},
            "event_time": {"column": "asked_on"},
            "label": {"name": "bad", "column": "status", "bad": ["late"], "good": ["paid"]},
            "features": {
                "amount": {"type": "number"},
                "share": {"type": "number", "from": "amount / price"},
                "region": {"type": "category"},
            },
            "protected": ["sex"],
            "drift": {"min_records": 2},
        }
    )


def loans(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(10, 1, n)
    return pd.DataFrame(
        {
            "_event_time": pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC"),
            "_score": rng.random(n),
            "amount": np.where(rng.random(n) < 0.1, np.nan, amount),
            "price": amount * 2,
            "share": rng.uniform(0, 1, n),
            "region": pd.Categorical(rng.choice(["north", "south", EVIL], n, p=[0.5, 0.3, 0.2])),
            "sex": pd.Categorical(rng.choice(["f", "m"], n)),
        }
    )


def reported(reference: pd.DataFrame, current: pd.DataFrame, usecase: UseCase) -> tuple[Drift, Report]:
    found = drift(
        profile(reference, usecase, reference["_score"].to_numpy()),
        current,
        usecase,
        score=current["_score"].to_numpy(),
    )
    reason = Reason("feature_drift", "amount moved.", "amount", 0.4, "< 0.25")
    return found, render(reference, current, usecase, found, decision=Decision("retrain", (reason,)), as_of=TODAY)


def of_evidently(report: Report) -> dict[str, float]:
    metrics = json.loads(report.json)["evidently"]["metrics"]
    return {one["config"]["column"]: one["value"] for one in metrics if "column" in one["config"]}


def test_the_report_and_the_decision_agree_on_every_column(usecase):
    current = loans(25_000, seed=1)
    current["amount"] *= 2
    current.loc[:3000, "region"] = np.nan

    found, report = reported(loans(30_000), current, usecase)

    columns = [*found.columns, found.score]
    assert of_evidently(report) == {one.column: one.psi for one in columns}
    tests = {
        one["name"].removeprefix("Value Drift for column "): one["status"]
        for one in json.loads(report.json)["evidently"]["tests"]
        if one["name"].startswith("Value Drift")
    }
    assert tests == {one.column: "FAIL" if one.status == "act" else "SUCCESS" for one in columns}
    assert {one.column for one in columns if one.status == "act"} == {"amount", "region"}


@pytest.mark.parametrize(("factor", "said"), [(1, "is NOT detected"), (2, "is detected")], ids=["none", "one column"])
def test_evidently_speaks_of_drift_where_one_column_acts(usecase, factor, said):
    current = loans(2000)
    current["amount"] *= factor

    _, report = reported(loans(2000), current, usecase)

    assert f"Dataset Drift {said}" in report.html


def test_the_page_shows_what_was_decided_on_which_records(usecase):
    _, report = reported(loans(30_000), loans(500, seed=1), usecase)

    assert report.html.count("<title>Drift of Loans</title>") == 1
    head = report.html[report.html.index("<body>") :][:20_000]
    assert 'Decision: <span class="retrain">retrain</span>' in head
    assert "Reference: 30,000 records, of 2024-01-01 to 2027-06-03." in head
    assert "Current: 500 records, of 2024-01-01 to 2024-01-21." in head
    assert "20,000 reference and 500 current records" in head
    assert json.loads(report.json)["sample"] == {"reference": 20_000, "current": 500, "seed": usecase.seed}


def test_the_page_needs_no_network_and_runs_nothing_from_the_records(usecase):
    _, report = reported(loans(1000), loans(1000, seed=1), usecase)

    assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)=["']?(https?:)?//""", report.html)
    assert "alert('x')</script>" not in report.html


def test_the_same_frames_give_the_same_json(usecase):
    once, again = (reported(loans(1000), loans(1000, seed=1), usecase)[1].json for _ in range(2))

    assert once == again


@pytest.mark.parametrize(
    ("break_reference", "break_current"),
    [
        (lambda frame: frame.assign(amount=np.nan), lambda frame: frame),
        (lambda frame: frame, lambda frame: frame.assign(amount=np.nan)),
        (lambda frame: frame, lambda frame: frame.drop(columns="amount")),
        (lambda frame: frame, lambda frame: frame.assign(amount=1e16)),
        (lambda frame: frame.assign(amount=np.inf), lambda frame: frame),
    ],
    ids=["null before", "null now", "absent now", "undrawable", "infinite before"],
)
def test_a_column_evidently_cannot_take_stands_in_our_table(usecase, break_reference, break_current):
    found, report = reported(break_reference(loans(500)), break_current(loans(500, seed=1)), usecase)

    assert "amount" not in of_evidently(report)
    assert {"share", "region", "price", "sex", "score"} == set(of_evidently(report))
    assert re.search(r"<h2>(Not checked|Checked, but not drawn below)</h2>.*?<td>amount</td>", report.html, re.DOTALL)
    assert "amount" in {one.column for one in found.columns}


@pytest.mark.parametrize("n", [0, 1])
def test_a_current_side_of_none_or_one_record_still_gives_a_page(usecase, n):
    _, report = reported(loans(500), loans(n), usecase)

    assert json.loads(report.json)["evidently"] is None
    assert "Not checked" in report.html
    assert "are needed to tell drift from chance" in report.html


@pytest.mark.parametrize(
    "values",
    [["north"] * 2, ["new"] * 2, [EVIL, "north"]],
    ids=["one class", "one new class", "markup"],
)
def test_categories_of_any_kind_are_drawn(usecase, values):
    current = loans(2).assign(region=pd.Categorical(values))

    found, report = reported(loans(500), current, usecase)

    assert of_evidently(report)["region"] == found.columns[2].psi


@pytest.mark.parametrize("name", ["index", "per", "target", "prediction", "datetime", "0", "<b>"])
def test_columns_of_any_name_are_drawn(usecase, name):
    declared = usecase.model_dump(by_alias=True) | {"features": {name: {"type": "number"}}, "protected": []}
    named = UseCase.model_validate(declared)
    frame = loans(200).rename(columns={"amount": name})

    assert len(of_evidently(reported(frame, frame, named)[1])) == 2
