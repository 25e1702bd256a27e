import asyncio
import json
from dataclasses import replace

import pytest

from flows.artifacts import Framed, drift_rows, frame, key, summary
from refit.gate.judge import Check
from refit.loop.ingest import Ingested
from refit.usecase.catalogue import find
from tests.unit.flows.nights import INGESTED, RELEASED, VERSION, account, column, drift, monitored, retrained

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
            monitored=monitored("retrain", reasons=("income drifted: PSI 0.314, 0.25 is allowed",), seen=seen),
            retrained=retrained(),
            released=RELEASED,
            report_url=URL,
        )
    )
    told = paragraph(text)
    assert "10 records came in, 2 were refused." in told
    assert "`income` PSI 0.314 drifted; `region` PSI 0.120 moved a little" in told
    assert "Decided: **retrain**. Income drifted: PSI 0.314, 0.25 is allowed." in told
    assert f"The challenger `{VERSION}` (xgboost) passed the gate. It is live as `refit_demo:{VERSION}`." in told
    assert f"[Open the full drift report]({URL})" in text


def test_a_refusal_names_the_checks_that_failed():
    checks = (
        Check("floor", "pass", 0.7, "0.65", "fine"),
        Check("gain", "fail", -0.01, "above 0", "it gains nothing over the champion"),
    )
    text = summary(account(monitored=monitored("retrain"), retrained=retrained("refuse", checks=checks)))
    assert "was **refused**: gain: it gains nothing over the champion." in paragraph(text)
    assert "| gate | **refuse** | gain: it gains nothing over the champion |" in text
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
    assert "`c8` PSI 0.380" in told
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
