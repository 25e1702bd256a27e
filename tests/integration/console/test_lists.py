"""The console's long lists on a real ledger: each row is reached once, and a day is a day in UTC."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from html import unescape

import pytest

from refit.console.app import create_app
from refit.console.listing import LARGEST, SHOWN
from refit.store.rows import BatchRow, BundleRow, DecisionRow, ReleaseRow, ReportRow, VerdictRow
from refit.usecase.catalogue import find
from tests.unit.console.browser import Browser
from tests.unit.console.fakes import FakeReports, FakeScorer

DAY = datetime(2026, 3, 14, 12, tzinfo=UTC)
USECASES = ("demo", "sba")


def report(title, as_of=DAY, usecase="demo"):
    return ReportRow(usecase=usecase, kind="drift", as_of=as_of, path_html="a.html", title=title)


def bundle(version, usecase="demo"):
    metrics = {"roc_auc": {"value": 0.7}, "log_loss": {"value": 0.4}}
    made = {"as_of": DAY, "snapshot": "s", "path": version, "learner": "xgboost", "metrics": metrics, "card": {}}
    return BundleRow(version=version, usecase=usecase, **made)


def verdict(challenger, outcome="refuse"):
    made = {"usecase": "demo", "champion": None, "checks": ({"name": "gain", "outcome": "fail"},), "as_of": DAY}
    return VerdictRow(challenger=challenger, outcome=outcome, **made)


def release(version, usecase="demo"):
    made = {"bento_tag": "x", "kind": "release", "reason": "promoted", "as_of": DAY}
    return ReleaseRow(usecase=usecase, version=version, **made)


def decision(number, *, is_checked=True):
    drift = {"columns": [{"column": "income", "psi": 0.1}], "score": None} if is_checked else {"live": {"columns": []}}
    return DecisionRow(usecase="demo", as_of=DAY, action="none", reasons=(), n_new=number, drift=drift)


@pytest.fixture
def client(ledger) -> Browser:
    return Browser(create_app(ledger, FakeReports(), [find(name) for name in USECASES], FakeScorer()))


def older(page):
    found = re.search(r'<a rel="next" href="([^"]*)">Older</a>', page)
    return None if found is None else unescape(found[1])


def test_201_reports_are_200_and_a_link_to_the_last(ledger, client):
    for k in range(SHOWN + 1):
        ledger.record_report(report(f"Report {k}.", usecase=USECASES[k % 2]))
    first = client.get("/reports").text
    assert "there are older ones" in first
    assert (first.count("Report "), "Report 1." in first, "Report 0." in first) == (SHOWN, True, False)
    last = client.get(older(first)).text
    assert ("Report 0." in last, "Report 1." in last, older(last)) == (True, False, None)


def test_201_models_and_releases_are_200_and_a_link_to_the_last(ledger, client):
    for k in range(SHOWN + 1):
        ledger.record_judged(bundle(f"v{k}-"), verdict(f"v{k}-", "promote" if k == 0 else "refuse"))
        ledger.record_release(release(f"v{k}-"))
    for path in ("/models", "/releases"):
        first = client.get(path).text
        assert ("v1-" in first, "v0-" in first) == (True, False)
        last = client.get(older(first)).text
        assert ("v0-" in last, "v1-" in last, older(last)) == (True, False, None)
    assert '<span class="badge promote">promote</span>' in client.get(older(client.get("/models").text)).text


def test_a_day_begins_and_ends_in_utc(ledger, client):
    east = timezone(timedelta(hours=5))
    midnight = datetime(2026, 3, 14, tzinfo=UTC)
    for title, as_of in {
        "before": midnight - timedelta(microseconds=1),
        "first": midnight,
        "last": midnight + timedelta(days=1, microseconds=-1),
        "after": midnight + timedelta(days=1),
        "east": datetime(2026, 3, 14, 4, tzinfo=east),
    }.items():
        ledger.record_report(report(f"It is {title}.", as_of))
    found = ledger.reports("demo", day=date(2026, 3, 14))
    assert [row.title for row in found] == ["It is last.", "It is first."]
    page = client.get("/reports?usecase=demo&day=2026-03-14").text
    assert re.findall(r"It is \w+", page) == ["It is last", "It is first"]
    for day in ("0001-01-01", "9999-12-31"):
        assert "no report" in client.get(f"/reports?day={day}").text


@pytest.mark.parametrize("path", ["/reports", "/models", "/releases", "/drift"])
def test_the_largest_number_that_a_link_may_name_is_one_the_ledger_takes(client, path):
    assert client.get(f"{path}?before={LARGEST}").status_code == 200
    assert client.get(f"{path}?before={LARGEST + 1}").status_code == 400


def test_each_list_goes_on_before_a_number_and_leaves_out_what_it_is_not_asked_for(ledger):
    for k in range(3):
        ledger.record_bundle(bundle(f"v{k}", USECASES[k % 2]))
        ledger.record_release(release(f"v{k}", USECASES[k % 2]))
        ledger.record_decision(decision(k, is_checked=k != 1))
        ledger.record_report(report(f"r{k}", usecase=USECASES[k % 2]))
    heads, releases = ledger.bundle_heads(), ledger.releases()
    assert [row.version for row in heads] == [row.version for row in releases] == ["v2", "v1", "v0"]
    assert [row.version for row in ledger.bundle_heads(before=heads[1].number)] == ["v0"]
    assert [row.version for row in ledger.bundle_heads("demo", before=heads[0].number)] == ["v0"]
    assert [row.version for row in ledger.releases(before=releases[1].number)] == ["v0"]
    checked = ledger.decisions("demo", checked=True)
    assert [row.n_new for row in checked] == [2, 0]
    assert [row.n_new for row in ledger.decisions("demo", before=checked[0].number)] == [1, 0]
    assert [row.title for row in ledger.reports("demo", before=ledger.reports()[0].number)] == ["r0"]


def test_of_several_verdicts_on_a_model_the_last_one_counts(ledger):
    ledger.record_verdict(verdict("a"))
    ledger.record_verdict(verdict("b"))
    ledger.record_verdict(verdict("a", "promote"))
    found = ledger.last_verdicts(["a", "b", "never judged"])
    assert {name: row.outcome for name, row in found.items()} == {"a": "promote", "b": "refuse"}
    assert ledger.last_verdicts([]) == {}


def test_a_row_that_was_read_may_be_recorded_again(ledger):
    ledger.record_decision(decision(1))
    [kept] = ledger.decisions("demo")
    ledger.record_decision(kept)
    assert [row.number for row in ledger.decisions("demo")] == [kept.number]


def test_what_was_taken_in_is_known_by_use_case(ledger, client):
    assert ledger.taken_in() == set()
    assert "<code>refit load sba FILE</code>" in client.get("/").text
    reached = {"watermark_at": DAY, "watermark_key": "1", "first_arrived_at": DAY, "last_arrived_at": DAY, "as_of": DAY}
    for content in "ab":
        ledger.acknowledge(BatchRow(usecase="sba", sha256=content, path=content, n_records=1, n_rejected=0, **reached))
    assert ledger.taken_in() == {"sba"}
    page = client.get("/").text
    assert "<code>refit load sba FILE</code>" not in page
    assert "<code>refit nightly sba</code>" in page
