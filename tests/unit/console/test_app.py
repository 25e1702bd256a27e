from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from refit.console.app import create_app
from refit.errors import ContractError, DataError, OutageError, ReleaseError
from refit.store.rows import DecisionRow, ReleaseRow, ReportRow, RunRow
from refit.usecase.catalogue import find
from tests.unit.console.browser import Browser
from tests.unit.console.fakes import FakeLedger, FakeReports, FakeScorer

NOW = datetime(2026, 3, 17, 8, tzinfo=UTC)
AS_OF = NOW - timedelta(days=3)
PAGES = ["/", "/reports", "/healthz", "/nowhere"]


def failed(usecase, message) -> RunRow:
    result = {"error": {"kind": "OutageError", "message": message}}
    times = {"as_of": AS_OF, "started_at": AS_OF, "finished_at": AS_OF}
    return RunRow(usecase=usecase, kind="nightly", outcome="failed", result=result, **times)


@pytest.fixture
def report() -> ReportRow:
    return ReportRow(
        usecase="demo",
        kind="drift",
        as_of=AS_OF,
        path_html="demo/1/drift.html",
        path_json="demo/1/drift.json",
        title="Personal loans: drift as of 2026-03-14",
        created_at=AS_OF,
    )


@pytest.fixture
def ledger(report) -> FakeLedger:
    decision = DecisionRow(
        usecase="demo",
        as_of=AS_OF,
        action="retrain",
        reasons=({"code": "feature_drift", "why": "income moved: PSI 0.31", "column": "income"},),
        n_new=1234,
    )
    return FakeLedger(
        kept_releases=[
            ReleaseRow(
                id=1,
                usecase="demo",
                version="demo-20260314-abcdef012345",
                bento_tag="refit_demo:x",
                kind="release",
                reason="promoted by the gate",
                as_of=AS_OF,
            )
        ],
        kept_decisions=[decision],
        wanted=[decision],
        kept_reports=[report],
        kept_runs=[
            RunRow(
                usecase="demo",
                kind="nightly",
                as_of=AS_OF,
                started_at=AS_OF,
                finished_at=AS_OF,
                outcome="completed",
                result={
                    "ingested": 1234,
                    "rejected": 5,
                    "report": str(report.id),
                    "decision": {"action": "retrain"},
                    "verdict": {"outcome": "promote"},
                },
            )
        ],
    )


@pytest.fixture
def reports() -> FakeReports:
    return FakeReports({"demo/1/drift.html": b"<html><script>draw()</script></html>", "demo/1/drift.json": b'{"a": 1}'})


@pytest.fixture
def client(ledger, reports) -> Browser:
    app = create_app(ledger, reports, [find("demo"), find("sba")], FakeScorer(), now=lambda: NOW)
    return Browser(app)


def test_the_overview_says_what_is_live_what_was_decided_and_why(client, report):
    page = client.get("/").text
    for expected in (
        "Personal loans, a simulated book",
        "demo-20260314-abcdef012345",
        "3 days old",
        "income moved: PSI 0.31",
        "1 still to be carried out",
        "1,234, 5 refused",
        f'href="/reports/{report.id}"',
        "promote",
    ):
        assert expected in page


def test_a_use_case_that_nobody_loaded_is_no_failure_and_the_command_that_loads_it_is_named(ledger, reports):
    app = create_app(ledger, reports, [find("sba")], FakeScorer(), now=lambda: NOW)
    page = Browser(app).get("/").text
    assert "Nothing taken in yet" in page
    for command in ("refit load sba FILE", "refit nightly sba"):
        assert f"<code>{command}</code>" in page
    assert "source.sba_loans" in page
    assert "fail" not in page
    assert "No night has run yet" not in page


def test_the_simulated_book_is_loaded_by_its_own_command(reports):
    app = create_app(FakeLedger(kept_batches=set()), reports, [find("demo")], FakeScorer(), now=lambda: NOW)
    assert "<code>refit demo</code>" in Browser(app).get("/").text


def test_what_was_taken_in_by_hand_waits_for_its_first_night(ledger, reports):
    ledger.kept_batches.add("sba")
    app = create_app(ledger, reports, [find("demo"), find("sba")], FakeScorer(), now=lambda: NOW)
    page = Browser(app).get("/").text
    assert "No night has run yet" in page
    assert "<code>refit nightly sba</code>" in page
    assert "Nothing taken in yet" not in page


def test_a_first_night_that_failed_before_it_took_anything_in_shows_both(client, ledger):
    ledger.kept_runs.append(failed("sba", "Postgres at loans:5432 does not answer"))
    page = client.get("/").text
    assert "Nothing taken in yet. To load it: <code>refit load sba FILE</code>" in page
    assert "Postgres at loans:5432 does not answer" in page


def test_a_failed_night_says_why_and_its_message_cannot_become_markup(client, ledger):
    ledger.kept_runs[:0] = [failed("demo", "table <b>x</b> lacks income & age"), failed("demo", "the disk is full")]
    page = client.get("/").text
    assert "table &lt;b&gt;x&lt;/b&gt; lacks income &amp; age" in page
    assert '<td class="wrap" colspan="4">the disk is full</td>' in page
    assert page.count('<span class="badge fail">failed</span>') == 2
    assert "1,234, 5 refused" in page


def test_a_night_that_had_nothing_to_do_says_so_and_is_no_failure(client, ledger):
    why = "there is no table source.demo_loans yet; `refit load demo FILE` makes it"
    ledger.kept_runs[:] = [replace(failed("demo", ""), outcome="completed", result={"ingested": 0, "nothing": why})]
    page = client.get("/").text
    assert f'<td class="wrap" colspan="4">{why}</td>' in page
    assert "failed" not in page


@pytest.mark.parametrize("error", [None, "x", {}, {"message": None}, {"kind": "OutageError"}])
def test_a_failed_night_without_a_message_is_still_shown(client, ledger, error):
    ledger.kept_runs[:] = [replace(failed("demo", ""), result={"error": error})]
    page = client.get("/")
    assert page.status_code == 200
    assert '<span class="badge fail">failed</span>' in page.text
    assert "colspan" not in page.text


def test_the_list_of_reports_links_each(client, report):
    page = client.get("/reports").text
    assert f'<a href="/reports/{report.id}">Personal loans: drift as of 2026-03-14</a>' in page


@pytest.mark.parametrize(("usecase", "shown"), [("demo", True), ("sba", False)])
def test_the_list_can_be_held_to_one_use_case(client, report, usecase, shown):
    assert (str(report.id) in client.get(f"/reports?usecase={usecase}").text) is shown


def test_a_report_is_shown_in_a_frame_that_may_run_scripts_and_no_more(client, report):
    page = client.get(f"/reports/{report.id}").text
    assert f'<iframe src="/reports/{report.id}/html"' in page
    assert 'sandbox="allow-scripts"' in page


def test_the_report_itself_is_served_as_it_was_kept(client, report):
    answer = client.get(f"/reports/{report.id}/html")
    assert answer.content == b"<html><script>draw()</script></html>"
    assert answer.headers["content-type"].startswith("text/html")


def test_the_report_is_held_in_a_sandbox_wherever_it_is_opened(client, report):
    policy = client.get(f"/reports/{report.id}/html").headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy
    assert "http:" not in policy.partition("frame-ancestors")[0]


def test_the_report_is_served_as_json_too(client, report):
    answer = client.get(f"/reports/{report.id}/json")
    assert answer.json() == {"a": 1}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_allows_nothing_but_its_own_style_and_pictures(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_pages_may_be_framed_by_the_prefect_ui_of_this_machine_only(client, report):
    policy = client.get(f"/reports/{report.id}").headers["content-security-policy"]
    assert policy.endswith("frame-ancestors 'self' http://127.0.0.1:* http://localhost:*")


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/reports/4f9ab33f-ddaa-4315-a408-39df22c94d14",
        "/reports/not-an-id",
        "/reports/..%2F..%2Fetc%2Fpasswd/html",
        "/reports/../../etc/passwd",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/reports?usecase=nobody",
    ],
)
def test_what_is_not_there_is_a_clean_404(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "Back to the overview" in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("page", ["", "/html", "/json"])
def test_a_swept_report_is_a_clean_404(client, reports, report, page):
    reports.files.clear()
    answer = client.get(f"/reports/{report.id}{page}")
    assert answer.status_code == 404
    assert "swept" in answer.text


def test_a_swept_report_stays_in_the_list_without_its_links(client, reports, report):
    reports.files.clear()
    page = client.get("/reports").text
    assert f'{report.title} <span class="quiet">swept</span>' in page
    assert f'href="/reports/{report.id}' not in page


def test_a_path_in_the_ledger_that_leads_out_of_the_store_is_not_followed_and_no_page_of_ours_hides_it(client, ledger):
    bad = ReportRow(usecase="demo", kind="drift", as_of=AS_OF, path_html="../../secret.html", title="x")
    ledger.kept_reports.append(bad)
    answer = client.get(f"/reports/{bad.id}/html")
    assert answer.status_code == 500
    assert "swept" not in answer.text
    assert "an entry of the ledger is wrong" in answer.text
    assert "secret" not in answer.text
    assert client.get("/reports").status_code == 200


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ContractError("usecases/demo.yaml: no such key /home/secret"), "trying again cannot help"),
        (DataError("/home/secret/model.json: altered since it was written"), "absent or altered"),
        (ReleaseError("demo-secret is not in the ledger"), "does not know the model"),
    ],
    ids=["contract", "data", "release"],
)
def test_what_is_broken_is_said_with_what_to_do_and_never_called_swept(client, ledger, error, words, capsys):
    ledger.broken = error
    answer = client.get("/")
    assert answer.status_code == 500
    assert words in answer.text
    assert "refit doctor" in answer.text
    assert "swept" not in answer.text
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret" in capsys.readouterr().out  # the log has what the page keeps to itself


def test_a_report_of_a_use_case_that_is_no_more_leads_back_to_all_reports(client, ledger, reports):
    old = ReportRow(usecase="gone", kind="drift", as_of=AS_OF, path_html="gone.html", title="x", created_at=AS_OF)
    ledger.kept_reports.append(old)
    reports.files["gone.html"] = b"<html></html>"
    assert '<a href="/reports">All reports</a>' in client.get(f"/reports/{old.id}").text


@pytest.mark.parametrize("path", ["/login", "/score/demo"])
def test_what_is_sent_is_not_read_where_it_is_larger_than_any_form(ledger, reports, path):
    app = create_app(ledger, reports, [find("demo")], FakeScorer(), token=None if path != "/login" else "t" * 16)
    answer = Browser(app).post(path, content=b"token=" + b"x" * (1 << 20))
    assert answer.status_code == 413


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
@pytest.mark.parametrize("path", ["/", "/reports", "/healthz"])
def test_nothing_can_be_changed(client, method, path):
    assert client.ask(method, path).status_code == 405


def test_a_ledger_that_does_not_answer_is_said_so(client, ledger):
    ledger.broken = OutageError("Postgres at host:5432 does not answer")
    answer = client.get("/")
    assert answer.status_code == 503
    assert "does not answer just now" in answer.text
    assert "5432" not in answer.text


def test_a_fault_shows_no_trace(client, ledger):
    ledger.broken = RuntimeError("secret detail")
    answer = client.get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_what_the_ledger_holds_cannot_become_markup(client, ledger):
    ledger.kept_decisions[:] = [
        DecisionRow(
            usecase="demo", as_of=AS_OF, action="none", reasons=({"why": "<script>alert(1)</script>"},), n_new=0
        )
    ]
    page = client.get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_it_is_healthy(client):
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(("path", "kind"), [("/static/console.css", "text/css"), ("/static/icon.svg", "image/svg+xml")])
def test_its_style_and_icon_are_its_own_files(client, path, kind):
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


def test_a_foreign_name_for_this_machine_is_refused(ledger, reports):
    app = create_app(ledger, reports, [find("demo")], FakeScorer(), now=lambda: NOW, allowed_hosts=["127.0.0.1"])
    assert Browser(app, base_url="http://127.0.0.1:8080").get("/healthz").status_code == 200
    assert Browser(app, base_url="http://evil.example").get("/").status_code == 400


def test_a_run_whose_result_is_odd_is_still_shown(client, ledger):
    ledger.kept_runs[:] = [
        RunRow(
            usecase="demo",
            kind="nightly",
            as_of=AS_OF,
            started_at=AS_OF,
            finished_at=AS_OF,
            outcome="failed",
            result={"decision": None, "ingested": "?"},
        )
    ]
    page = client.get("/")
    assert page.status_code == 200
    assert "failed" in page.text
