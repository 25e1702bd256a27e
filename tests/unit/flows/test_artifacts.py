import asyncio
import json
from dataclasses import replace

import pytest

from flows.artifacts import Framed, drift_rows, frame, key
from flows.artifacts_summary import WIDEST, summary
from refit.gate.judge import Check
from refit.loop.ingest import Ingested
from refit.usecase.catalogue import find, names
from tests.unit.flows.nights import INGESTED, RELEASED, VERSION, about, account, column, drift, monitored, retrained

URL = "http://127.0.0.1:8080/reports/r-1"


def paragraph(text):
    return text.split("\n\n")[1]


def test_a_quiet_night_reads_as_one_paragraph():
    text = summary(account(ingested=INGESTED, monitored=monitored(seen=drift())))
    assert paragraph(text) == (
        "1,234 records came in, none was refused. No column drifted (1,234 current against 9,000 reference records). "
        "Decided: **none**. Nothing moved."
    )


def test_a_night_of_change_says_what_drifted_what_was_decided_and_what_went_live():
    seen = drift(column("income", "act", 0.314), column("region", "warn", 0.12), column("amount", "stable", 0.01))
    text = summary(
        account(
            ingested=Ingested(10, 2, "f" * 64, None),
            monitored=monitored(
                "retrain", reasons=(about("income", "income drifted: PSI 0.314, 0.25 allowed"),), seen=seen
            ),
            retrained=retrained(),
            released=RELEASED,
            report_url=URL,
        )
    )
    told = paragraph(text)
    assert "10 records came in, 2 were refused." in told
    assert "Yearly income (PSI 0.314) drifted; Region (PSI 0.120) moved a little" in told
    assert "Decided: **retrain**. Yearly income drifted: PSI 0.314, 0.25 allowed." in told
    assert f"The challenger `{VERSION}` (xgboost) passed the gate. It is live as `refit_demo:{VERSION}`." in told
    assert f"[Open the full drift report]({URL})" in text


def test_a_refusal_names_the_checks_that_failed():
    checks = (
        Check("floor", "pass", 0.7, "0.65", "fine"),
        Check("gain", "fail", -0.01, "above 0", "it gains nothing over the champion"),
    )
    text = summary(account(monitored=monitored("retrain"), retrained=retrained("refuse", checks=checks)))
    assert "was **refused**: gain: it gains nothing over the champion." in paragraph(text)
    assert "| gate | **refuse** | 1 of 2 checks passed |" in text
    assert "**What the gate held against it**\n\n- gain: it gains nothing over the champion\n" in text
    assert "release" not in text


@pytest.mark.parametrize("verdict", [None, "refuse"], ids=["nothing trained", "another challenger refused"])
def test_a_release_caught_up_with_is_not_taken_for_this_nights(verdict):
    late = replace(RELEASED, version="demo-20260310-000000000000", bento_tag="refit_demo:late")
    made = None if verdict is None else retrained(verdict)
    told = paragraph(summary(account(monitored=monitored(), retrained=made, released=late)))
    assert "`demo-20260310-000000000000`, promoted on an earlier night, is live as `refit_demo:late`." in told


def test_the_table_has_a_line_for_each_step_that_ran():
    text = summary(
        account(
            ingested=INGESTED, monitored=monitored("retrain", seen=drift()), retrained=retrained(), released=RELEASED
        )
    )
    steps = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    assert steps == ["step", "---", "ingest", "drift", "decision", "training", "gate", "release"]
    assert "| training | xgboost | roc auc 0.7412 |" in text
    assert "| gate | **promote** | 1 of 1 checks passed |" in text


@pytest.mark.parametrize(
    ("column", "why", "said"),
    [
        ("employment_years", "employment_years moved: PSI 0.8.", "Years in the present job moved: PSI 0.8."),
        (
            "income",
            "12.0% of the values of income were never seen",
            "12.0% of the values of Yearly income were never seen.",
        ),
        ("age_group", "age_group moved: PSI 0.3. No model reads it.", "age_group moved: PSI 0.3. No model reads it."),
        ("iPhone_user", "iPhone_user is missing in 9% of records", "iPhone_user is missing in 9% of records."),
        ("amount", "amounts differ: amount moved", "Amounts differ: Amount asked for moved."),
        (None, "no record arrived", "No record arrived."),
    ],
    ids=["a label", "inside", "no label", "in its own letters", "a whole word", "of no column"],
)
def test_a_reason_calls_its_column_as_the_use_case_does_and_else_by_its_unchanged_name(column, why, said):
    text = summary(account(monitored=monitored("none", reasons=(about(column, why),))))
    assert f"Decided: **none**. {said}" in paragraph(text)
    assert f"\n- {said}\n" in text


def test_the_paragraph_leads_with_two_reasons_and_all_of_them_stand_below_the_table():
    every = tuple(f"reason number {i}" for i in range(1, 5))
    text = summary(account(monitored=monitored("retrain", reasons=every)))
    assert "Reason number 1. Reason number 2. 2 more reasons stand below." in paragraph(text)
    assert "| decision | **retrain** | 4 reasons, below |" in text
    below = text.partition("**Why it was decided: retrain**")[2]
    assert [line for line in below.splitlines() if line] == [f"- Reason number {i}." for i in range(1, 5)]


def test_what_the_challenger_reached_stands_below_and_its_own_metric_in_the_table():
    metrics = {
        name: {"value": 0.5 + i / 100} for i, name in enumerate(("roc_auc", "average_precision", "log_loss", "brier"))
    }
    text = summary(account(monitored=monitored("retrain"), retrained=replace(retrained(), metrics=metrics)))
    assert "| training | xgboost | roc auc 0.5 |" in text
    assert "**What the challenger reached:** roc auc 0.5, average precision 0.51, log loss 0.52, brier 0.53." in text


@pytest.mark.parametrize("name", names())
def test_no_cell_of_the_table_is_wider_than_a_page_of_the_ui_bears(name):
    usecase, long = find(name), "a reason that takes its time to say what it means, " * 5
    version = f"{name}-20260317-ab12cd34ef56"
    worst = max(usecase.features, key=len)
    run = replace(
        account(
            ingested=Ingested(1_234_567, 12_345, "f" * 64, None),
            monitored=monitored("recalibrate", reasons=(long,) * 9, seen=drift(column(worst, "act", 12.345))),
            retrained=replace(
                retrained("refuse", checks=(Check("gain", "fail", None, "above 0", long),) * 9), version=version
            ),
            released=replace(RELEASED, version=version, bento_tag=f"refit_{name}:{version}"),
            stopped=long,
        ),
        usecase=usecase,
    )
    rows = [line for line in summary(run).splitlines() if line.startswith("| ")]
    assert len(rows) == 9
    assert max(len(cell.strip()) for row in rows for cell in row.split("|")) <= WIDEST


def test_every_line_of_the_table_has_three_cells_whatever_a_reason_says():
    why = "a | b\nnext line <script>"
    text = summary(account(ingested=INGESTED, monitored=monitored("wait", reasons=(why,)), stopped=why))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(row.replace("\\|", "").count("|") == 4 for row in rows)
    assert "<script>" not in text


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        (Ingested(0, 0, None, None), "Nothing new came in."),
        (Ingested(1, 0, "f" * 64, None), "1 record came in, none was refused."),
        (Ingested(0, 1, "f" * 64, None), "0 records came in, 1 was refused."),
    ],
    ids=["nothing", "one record", "all refused"],
)
def test_what_came_in_is_counted_in_words(taken, words):
    assert words in summary(account(ingested=taken))


def test_a_run_that_stopped_says_where():
    text = summary(account(ingested=INGESTED, stopped="Postgres at 127.0.0.1:5432 does not answer"))
    assert "**The run stopped here:** Postgres at 127.0.0.1:5432 does not answer" in paragraph(text)
    assert "| stopped | **failed** |" in text


def test_a_run_that_did_nothing_yet_has_a_summary_too():
    assert summary(account()).startswith("# Personal loans, a simulated book, 2026-03-17")


def test_many_columns_are_counted_after_the_first_few():
    seen = drift(*(column(f"c{i}", "act", 0.3 + i / 100) for i in range(9)))
    told = paragraph(summary(account(monitored=monitored("retrain", seen=seen))))
    assert "`c8` (PSI 0.380)" in told
    assert "`c0`" not in told
    assert "and 4 more drifted" in told


def test_the_drift_table_shows_the_score_then_the_worst_then_what_was_not_checked():
    seen = drift(
        column("amount", "stable", 0.01),
        column("age_group", "not checked", None, why="no values"),
        column("income", "act", 0.3),
        column("region", "warn", 0.2),
        score=column("score", "stable", 0.02, role="score"),
    )
    rows = drift_rows(seen, find("demo"))
    assert [row["column"] for row in rows] == ["score", "income", "region", "amount", "age_group"]
    assert rows[1]["title"] == "Yearly income"
    assert rows[1]["PSI"] == 0.3
    assert rows[1]["missing before"] == "2.0%"
    assert rows[4]["PSI"] is None
    assert rows[4]["why"] == "no values"
    json.dumps(rows, allow_nan=False)


def test_every_column_is_in_the_drift_table():
    seen = drift(
        *(
            column(f"c{i}", status, None if status == "not checked" else 0.1)
            for i, status in enumerate(["act", "warn", "stable", "not checked"])
        )
    )
    assert {row["column"] for row in drift_rows(seen, find("demo"))} == {"c0", "c1", "c2", "c3"}


def test_the_frame_is_a_small_page_that_points_at_the_report():
    content = frame(f"{URL}/html")
    assert len(content["html"]) < 200
    assert f'src="{URL}/html"' in content["html"]
    assert content["sandbox"] == ["allow-scripts"]


def test_an_address_cannot_break_out_of_the_frame():
    assert '"><script>' not in frame('http://x/"><script>alert(1)</script>')["html"]


def test_the_rich_artifact_gives_its_data_as_the_ui_wants_it():
    framed = Framed(key="demo-report", url=f"{URL}/html")
    assert framed.type == "rich"
    assert framed.format() == frame(f"{URL}/html")
    assert asyncio.run(framed.aformat()) == frame(f"{URL}/html")


@pytest.mark.parametrize("usecase", ["demo", "retail_churn", "a_b_c"])
def test_keys_hold_letters_figures_and_dashes_only(usecase):
    assert key(usecase, "report-link").replace("-", "").isalnum()
    assert key(usecase, "report-link").islower()
