"""Long lists: nothing is left out without a word, and every row can be reached by links alone."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from refit.console.app import create_app
from refit.console.history import SHOWN_RUNS
from refit.console.listing import SHOWN
from refit.console.overview import SHOWN_NIGHTS
from refit.store.rows import BundleRow, DecisionRow, ReleaseRow, ReportRow, RunRow, VerdictRow
from refit.usecase.catalogue import find
from tests.unit.console.browser import Browser
from tests.unit.console.fakes import FakeLedger, FakeReports, FakeScorer

NOW = datetime(2026, 3, 17, 8, tzinfo=UTC)
LISTS = ["/reports", "/models", "/releases", "/drift", "/nights"]
LENGTHS = dict.fromkeys(LISTS, SHOWN) | {"/drift": SHOWN_RUNS}


def days(count):
    """Return the days of so many rows, newest first."""
    return [NOW - timedelta(days=k) for k in range(count)]


def report(day, usecase="demo"):
    return ReportRow(
        usecase=usecase, kind="drift", as_of=day, path_html=f"{day:%Y%m%d}.html", title=title(day), created_at=day
    )


def title(day):
    return f"as of {day:%Y-%m-%d}"


def bundle(day):
    metrics = {"roc_auc": {"value": 0.7}, "log_loss": {"value": 0.4}}
    made = {"as_of": day, "snapshot": "s", "path": "p", "metrics": metrics, "card": {}}
    return BundleRow(version=f"demo-{day:%Y%m%d}", usecase="demo", learner="xgboost", created_at=day, **made)


def release(day, number):
    made = {"bento_tag": "x", "kind": "release", "as_of": day, "created_at": day}
    return ReleaseRow(id=number, usecase="demo", version=f"demo-{day:%Y%m%d}", reason=title(day), **made)


def checked(day, column="income"):
    drift = {"columns": [{"column": column, "psi": 0.1}], "score": None}
    return DecisionRow(usecase="demo", as_of=day, action="none", reasons=(), n_new=1, drift=drift)


def unchecked(day):
    return replace(checked(day), drift={"live": {"columns": []}})


def night(day):
    times = {"as_of": day, "started_at": day, "finished_at": day}
    return RunRow(usecase="demo", kind="nightly", outcome="completed", result={}, **times)


def browser(ledger) -> Browser:
    return Browser(create_app(ledger, FakeReports(), [find("demo"), find("sba")], FakeScorer(), now=lambda: NOW))


def filled(more) -> FakeLedger:
    """Return a ledger whose every list is longer than a page, by so many rows."""
    return FakeLedger(
        kept_reports=[report(day) for day in days(SHOWN + more)],
        kept_bundles=[bundle(day) for day in days(SHOWN + more)],
        kept_releases=[release(day, SHOWN + more - k) for k, day in enumerate(days(SHOWN + more))],
        kept_decisions=[checked(day) for day in days(SHOWN_RUNS + more)],
        kept_runs=[night(day) for day in days(SHOWN + more)],
    )


def link(page, name):
    """Return where a link leads, None where there is none."""
    found = re.search(rf'<a (?:rel="next" )?href="([^"]*)">{name}</a>', page)
    return None if found is None else unescape(found[1])


def rows(page, path):
    """Return the days that a page lists."""
    pattern = {
        "/models": r'<a href="/models/demo-(\d+)"><code>',
        "/drift": r'<th scope="col">(\d{4}-\d\d-\d\d)</th>',
        "/nights": r"<td>(\d{4}-\d\d-\d\d)</td>",
    }
    return re.findall(pattern.get(path, r"as of (\d{4}-\d\d-\d\d)"), page)


@pytest.mark.parametrize("path", LISTS)
def test_what_fits_a_page_has_no_other(path):
    page = browser(filled(0)).get(path).text
    assert len(rows(page, path)) == LENGTHS[path]
    assert link(page, "Older") is None
    assert link(page, "Newest") is None
    assert "older ones" not in page


@pytest.mark.parametrize("path", LISTS)
def test_one_more_than_fits_is_said_and_the_link_shows_it(path):
    client = browser(filled(1))
    first = client.get(path).text
    assert len(rows(first, path)) == LENGTHS[path]
    assert f"These are the newest {LENGTHS[path]}; there are older ones." in first
    last = client.get(link(first, "Older")).text
    oldest = days(LENGTHS[path] + 1)[-1]
    assert [day.replace("-", "") for day in rows(last, path)] == [f"{oldest:%Y%m%d}"]
    assert "These are the oldest." in last
    assert link(last, "Older") is None
    assert rows(client.get(link(last, "Newest")).text, path) == rows(first, path)


@pytest.mark.parametrize("path", LISTS)
def test_every_row_is_reached_once_whatever_comes_in_meanwhile(path):
    ledger = filled(2 * LENGTHS[path] + 5)
    client, seen, at = browser(ledger), [], path
    count = LENGTHS[path] * 3 + 5
    wanted = sorted(f"{day:%Y%m%d}" for day in days(SHOWN + 2 * LENGTHS[path] + 5 if path != "/drift" else count))
    while at is not None:
        page = client.get(at).text
        seen += [day.replace("-", "") for day in rows(page, path)]
        at = link(page, "Older")
        ledger.kept_reports.insert(0, report(NOW + timedelta(days=1)))
        ledger.kept_bundles.insert(0, bundle(NOW + timedelta(days=1)))
        ledger.kept_releases.insert(0, release(NOW + timedelta(days=1), 10_000))
        ledger.kept_decisions.insert(0, checked(NOW + timedelta(days=1)))
        ledger.kept_runs.insert(0, night(NOW + timedelta(days=1)))
    assert sorted(seen) == wanted


def test_of_several_use_cases_one_list_is_made_in_the_order_in_which_they_came():
    ledger = FakeLedger(kept_reports=[report(day, ("demo", "sba")[k % 2]) for k, day in enumerate(days(2 * SHOWN + 2))])
    client = browser(ledger)
    page = client.get("/reports?usecase=sba").text
    assert rows(page, "/reports") == [f"{day:%Y-%m-%d}" for day in days(2 * SHOWN + 2)[1::2][:SHOWN]]
    assert link(page, "Older").startswith("/reports?usecase=sba&before=")
    assert rows(client.get(link(page, "Older")).text, "/reports") == [f"{days(2 * SHOWN + 2)[-1]:%Y-%m-%d}"]


def test_reports_can_be_held_to_one_day_of_one_use_case():
    day = NOW - timedelta(days=3)
    client = browser(FakeLedger(kept_reports=[report(day, "sba"), *(report(one) for one in days(10))]))
    page = client.get("/reports?day=2026-03-14").text
    assert rows(page, "/reports") == ["2026-03-14", "2026-03-14"]
    assert '<input type="date" id="day" name="day" value="2026-03-14">' in page
    assert link(page, "Every day") == "/reports"
    assert link(page, "demo") == "/reports?usecase=demo&day=2026-03-14"
    both = client.get(link(page, "demo")).text
    assert rows(both, "/reports") == ["2026-03-14"]
    assert '<input type="hidden" name="usecase" value="demo">' in both


def test_a_day_without_a_report_is_said_and_a_day_left_empty_is_every_day():
    client = browser(FakeLedger(kept_reports=[report(NOW)]))
    assert "no report of demo as of 2026-01-02" in client.get("/reports?usecase=demo&day=2026-01-02").text
    assert rows(client.get("/reports?day=").text, "/reports") == ["2026-03-17"]


def test_a_day_with_more_reports_than_a_page_keeps_the_day_on_the_next():
    client = browser(FakeLedger(kept_reports=[report(NOW) for _ in range(SHOWN + 1)] + [report(days(2)[1])]))
    older = link(client.get("/reports?day=2026-03-17").text, "Older")
    assert rows(client.get(older).text, "/reports") == ["2026-03-17"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "before", ["", "x", "0", "-1", "1.5", "1e3", " 1", "9223372036854775808", "9" * 5000, "%C2%B2", "1%00"]
)
def test_a_place_that_no_link_names_is_refused(path, before):
    answer = browser(filled(1)).get(f"{path}?before={before}")
    assert answer.status_code == 400
    assert "whole number from 1 up" in answer.text


@pytest.mark.parametrize("path", LISTS)
def test_before_the_first_row_there_is_nothing_and_that_is_not_called_a_beginning(path):
    page = browser(filled(1)).get(f"{path}?before=1").text
    assert rows(page, path) == []
    assert "Nothing is older." in page
    assert " yet" not in page
    assert link(page, "Newest") is not None


@pytest.mark.parametrize("day", ["x", "2026-02-30", "2026-3-1x", "0000-01-01", "10000-01-01", "2026-03-17T00:00"])
def test_what_is_no_day_is_refused(day):
    answer = browser(filled(1)).get(f"/reports?day={day}")
    assert answer.status_code == 400
    assert "A day is written like" in answer.text


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_list_says_that_it_has_not_begun(path):
    page = browser(FakeLedger()).get(path).text
    assert " yet" in page
    assert "older" not in page


def test_a_night_that_compared_nothing_takes_no_place_of_one_that_did():
    ledger = FakeLedger(kept_decisions=[unchecked(NOW)] * SHOWN_RUNS + [checked(days(3)[2], "age")])
    page = browser(ledger).get("/drift?usecase=demo").text
    assert '<th scope="row">age</th>' in page


def test_an_old_model_still_has_its_verdict_and_its_mark():
    """However many were judged since."""
    ledger = filled(1)
    oldest = ledger.kept_bundles[-1].version
    ledger.kept_releases[:] = [replace(ledger.kept_releases[-1], version=oldest)]
    judged = {"usecase": "demo", "champion": None, "checks": (), "as_of": NOW}
    ledger.kept_verdicts = [
        *(VerdictRow(challenger=row.version, outcome="refuse", **judged) for row in ledger.kept_bundles[:-1]),
        VerdictRow(challenger=oldest, outcome="promote", **judged),
    ]
    client = browser(ledger)
    page = client.get(link(client.get("/models").text, "Older")).text
    assert '<span class="badge promote">promote</span>' in page
    assert '<span class="badge promote">live</span>' in page


def test_a_use_case_that_left_the_catalogue_leaves_its_models_and_releases_behind():
    ledger = FakeLedger(
        kept_bundles=[replace(bundle(NOW), usecase="gone")], kept_releases=[replace(release(NOW, 1), usecase="gone")]
    )
    client = browser(ledger)
    assert rows(client.get("/models").text, "/models") == ["20260317"]
    assert rows(client.get("/releases").text, "/releases") == ["2026-03-17"]


def test_the_overview_shows_the_last_nights_and_where_the_others_are():
    client = browser(FakeLedger(kept_runs=[night(day) for day in days(SHOWN_NIGHTS + 1)]))
    page = client.get("/").text
    assert "These are the newest 10." in page
    assert len(rows(page, "/nights")) == SHOWN_NIGHTS
    assert len(rows(client.get(link(page, "Every night")).text, "/nights")) == SHOWN_NIGHTS + 1
    few = browser(FakeLedger(kept_runs=[night(day) for day in days(SHOWN_NIGHTS)]))
    assert link(few.get("/").text, "Every night") is None
