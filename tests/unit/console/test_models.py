"""Pages on models, releases, drift over time, and the trade-off."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

from refit.console.app import create_app
from refit.store.rows import BundleRow, DecisionRow, ReleaseRow, ReportRow, RunRow, VerdictRow
from refit.training.curves import curves
from refit.usecase.catalogue import find
from refit.usecase.policy import Cost
from tests.unit.console.browser import Browser
from tests.unit.console.fakes import FakeLedger, FakeReports, FakeScorer

NOW = datetime(2026, 3, 17, 8, tzinfo=UTC)
OLD, NEW = "demo-20260301-aaaaaaaaaaaa", "demo-20260314-bbbbbbbbbbbb"


def bundle(version, auc, *, threshold=0.3):
    random = np.random.default_rng(1)
    label = (random.random(400) < 0.3).astype(float)
    probability = np.clip(0.3 + 0.25 * (label - 0.3) + 0.1 * random.standard_normal(400), 0.01, 0.99)
    card = {
        "threshold": threshold,
        "n_records": 4000,
        "importance": {"income": 0.7, "age": 0.3},
        "curves": curves(label, probability, threshold, Cost(false_negative=5, false_positive=1)),
        "parts": {"test": {"n": 400, "start": "2025-09-01T00:00:00+00:00", "end": "2026-01-31T00:00:00+00:00"}},
        "decide": {"minimise": "cost"},
    }
    return BundleRow(
        version=version,
        usecase="demo",
        as_of=NOW,
        snapshot="s",
        path=f"demo/{version}",
        learner="xgboost",
        metrics={
            "roc_auc": {"value": auc, "low": auc - 0.02, "high": auc + 0.02},
            "log_loss": {"value": 0.4, "low": 0.3, "high": 0.5},
        },
        card=card,
        created_at=NOW,
    )


CARD = uuid4()


def verdict(version, outcome, champion=None):
    checks = (
        {
            "name": "gain",
            "outcome": "pass" if outcome == "promote" else "fail",
            "seen": 0.01,
            "allowed": "above 0",
            "why": "the gain <b>can</b> be chance",
        },
    )
    return VerdictRow(
        id=CARD if version == NEW else uuid4(),
        usecase="demo",
        challenger=version,
        champion=champion,
        outcome=outcome,
        checks=checks,
        as_of=NOW,
        created_at=NOW,
    )


@pytest.fixture
def ledger():
    release = {"usecase": "demo", "bento_tag": "x", "as_of": NOW, "created_at": NOW}
    drift = {
        "columns": [
            {"column": "income", "psi": 0.31, "missing_current": 0.02},
            {"column": "age", "psi": None, "missing_current": None},
        ],
        "score": {"column": "_score", "psi": 0.12, "missing_current": None},
    }
    return FakeLedger(
        kept_bundles=[bundle(NEW, 0.71), bundle(OLD, 0.74)],
        kept_verdicts=[verdict(NEW, "refuse", OLD), verdict(OLD, "promote")],
        kept_releases=[
            ReleaseRow(id=2, version=OLD, kind="rollback", reason="asked for by hand", **release),
            ReleaseRow(id=1, version=OLD, kind="release", reason="promoted by the gate", **release),
        ],
        kept_decisions=[DecisionRow(usecase="demo", as_of=NOW, action="retrain", reasons=(), n_new=10, drift=drift)],
        kept_reports=[
            ReportRow(
                id=CARD,
                usecase="demo",
                kind="card",
                as_of=NOW,
                path_html=f"demo/{NEW}/card.html",
                title="Card",
                created_at=NOW,
            )
        ],
        kept_runs=[
            RunRow(
                usecase="demo", kind="nightly", as_of=NOW, started_at=NOW, finished_at=NOW, outcome="completed",
                result={"ingested": 12, "rejected": 3},
            )
        ],
    )  # fmt: skip


@pytest.fixture
def reports():
    return FakeReports({f"demo/{NEW}/card.html": b"<html>the card</html>"})


@pytest.fixture
def client(ledger, reports) -> Browser:
    return Browser(create_app(ledger, reports, [find("demo"), find("sba")], FakeScorer(), now=lambda: NOW))


def test_every_challenger_is_listed_with_its_verdict_and_what_failed(client):
    page = client.get("/models").text
    for expected in (OLD, NEW, "refuse", "promote", "0.71", "live", "gain"):
        assert expected in page
    assert NEW not in client.get("/models?usecase=sba").text


def test_a_model_is_shown_with_each_check_and_its_card_in_a_frame_without_rights(client):
    page = client.get(f"/models/{NEW}").text
    assert "the gain &lt;b&gt;can&lt;/b&gt; be chance" in page
    assert f'<iframe class="tall" src="/models/{NEW}/card"' in page
    assert 'sandbox=""' in page
    assert f"/compare?version={OLD}&amp;version={NEW}" in page


def test_the_card_is_served_as_it_was_kept_and_may_reach_nothing(client):
    answer = client.get(f"/models/{NEW}/card")
    assert answer.content == b"<html>the card</html>"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert client.get(f"/models/{OLD}/card").status_code == 404


def test_the_card_is_served_as_json_with_the_verdict(client):
    content = client.get(f"/models/{NEW}/card.json").json()
    assert content["card"]["n_records"] == 4000
    assert content["verdict"]["outcome"] == "refuse"


def test_two_models_stand_side_by_side(client):
    page = client.get(f"/compare?version={OLD}&version={NEW}").text
    for expected in (OLD, NEW, "0.74", "0.71", "70.0%"):
        assert expected in page


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("", 400, "Tick two models"),
        (f"?version={OLD}", 400, "1 came"),
        ("?version=a&version=b&version=c", 400, "3 came"),
        (f"?version={OLD}&version=nobody", 404, "no model of that version"),
    ],
    ids=["none", "one", "three", "an unknown one"],
)
def test_anything_but_two_known_models_cannot_be_compared(client, query, status, why):
    answer = client.get(f"/compare{query}")
    assert answer.status_code == status
    assert why in answer.text


def test_models_of_two_use_cases_are_not_taken_for_rivals(client, ledger):
    assert "two use cases" not in client.get(f"/compare?version={OLD}&version={NEW}").text
    ledger.kept_bundles[0] = replace(ledger.kept_bundles[0], usecase="sba")
    assert "models of two use cases, demo and sba" in client.get(f"/compare?version={OLD}&version={NEW}").text


def test_models_without_a_threshold_are_compared_without_one(client, ledger):
    for kept in ledger.kept_bundles:
        kept.card.update(curves={}, threshold=0.5)
    page = client.get(f"/compare?version={OLD}&version={NEW}").text
    assert page.count("<td>-</td>") >= 2
    assert "<td>0.5</td>" not in page


def test_a_card_that_is_gone_leaves_the_figures_in_its_place(client, reports):
    reports.files.clear()
    page = client.get(f"/models/{NEW}").text
    assert "<iframe" not in page
    assert "On the newest matured records" in page
    assert client.get(f"/models/{NEW}/card").status_code == 404


def test_releases_are_listed_with_their_reasons(client):
    page = client.get("/releases").text
    assert "asked for by hand" in page
    assert "promoted by the gate" in page


def test_the_trade_off_starts_at_the_models_own_threshold(client):
    page = client.get(f"/models/{NEW}/trade-off").text
    assert '<output for="threshold">0.3</output>' in page
    for expected in ("Approval rate", "Precision", "Recall", "Expected cost", "polyline"):
        assert expected in page


def test_a_lower_threshold_approves_fewer(client):
    def approved(threshold):
        page = client.get(f"/models/{NEW}/trade-off?threshold={threshold}").text
        return float(page.split("Approval rate</dt>")[1].split(">")[1].split("%")[0])

    assert approved(0.0) < approved(0.25) < approved(0.9) == 100.0


@pytest.mark.parametrize("threshold", ["x", "-1", "1.5", "nan", "inf"])
def test_what_is_no_threshold_is_refused(client, threshold):
    assert client.get(f"/models/{NEW}/trade-off?threshold={threshold}").status_code == 400


def test_several_classes_have_no_trade_off(client, ledger):
    ledger.kept_bundles[0].card["curves"] = {}
    assert client.get(f"/models/{NEW}/trade-off").status_code == 404
    assert "Trade-off" not in client.get(f"/models/{NEW}").text


@pytest.mark.parametrize(
    "path", ["/models/nobody", "/models/nobody/card", "/models/nobody/card.json", "/models/nobody/trade-off"]
)
def test_an_unknown_model_is_a_clean_404(client, path):
    assert client.get(path).status_code == 404


def test_drift_over_time_shows_each_column_with_its_colour(client):
    page = client.get("/drift?usecase=demo").text
    assert '<td class="act">0.31</td>' in page
    assert '<td class="warn">0.12</td>' in page
    assert "No night has had anything to compare" in client.get("/drift?usecase=sba").text


def test_prometheus_finds_the_newest_night_as_gauges(client):
    text = client.get("/metrics").text
    for line in (
        'refit_psi{column="income",use_case="demo"} 0.31',
        'refit_missing_share{column="income",use_case="demo"} 0.02',
        'refit_last_night_success{use_case="demo"} 1.0',
        'refit_last_night_records{use_case="demo"} 12.0',
        'refit_last_night_rejects{use_case="demo"} 3.0',
        'refit_open_decisions{use_case="demo"} 0.0',
        'refit_last_decision{action="retrain",use_case="demo"} 1.0',
        'refit_promised{metric="roc_auc",use_case="demo"} 0.74',
    ):
        assert line in text


def test_after_a_rollback_the_overview_and_the_metrics_tell_the_models_own_age(client, ledger):
    ledger.kept_bundles[1] = replace(ledger.kept_bundles[1], as_of=NOW - timedelta(days=16))
    assert "16 days old" in client.get("/").text
    assert "2026-03-01" in client.get("/").text
    age = f'refit_champion_age_seconds{{use_case="demo"}} {16 * 86_400:.7g}'
    assert age in client.get("/metrics").text.replace("1.3824e+06", "1382400")
