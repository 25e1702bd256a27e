from datetime import UTC, datetime

import pytest

from refit.console.__main__ import serve, warm
from refit.console.app import create_app
from refit.errors import ContractError, DataError
from refit.loop.report_key import report_key
from refit.settings import Settings
from refit.store.rows import ReportRow
from refit.usecase.catalogue import find
from tests.unit.console.browser import Browser
from tests.unit.console.fakes import FakeLedger, FakeReports, FakeScorer

TOKEN = "a long and winding token"
PAGE = {"accept": "text/html"}


@pytest.fixture
def report():
    moment = datetime(2026, 3, 14, tzinfo=UTC)
    return ReportRow(usecase="demo", kind="drift", as_of=moment, path_html="a.html", title="x", created_at=moment)


@pytest.fixture
def client(report) -> Browser:
    ledger = FakeLedger(kept_reports=[report])
    reports = FakeReports({"a.html": b"<html></html>"})
    return Browser(create_app(ledger, reports, [find("demo")], FakeScorer(), token=TOKEN))


def test_a_browser_without_the_token_is_sent_to_sign_in(client):
    answer = client.get("/models", headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_program_without_the_token_is_refused(client):
    answer = client.get("/metrics")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/healthz", "/login", "/static/console.css"])
def test_what_tells_nothing_is_open(client, path):
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(("given", "status"), [(TOKEN, 200), (TOKEN + "x", 401), ("", 401), (TOKEN[:-1], 401)])
def test_the_token_in_a_header_opens(client, given, status):
    assert client.get("/metrics", headers={"authorization": f"Bearer {given}"}).status_code == status


def test_signing_in_gives_a_cookie_that_opens_and_is_not_the_token(client):
    answer = client.post("/login", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    given = {"cookie": cookie.partition(";")[0]}
    assert client.get("/reports", headers=given | PAGE).status_code == 200
    assert client.get("/reports", headers={"cookie": given["cookie"] + "0", **PAGE}).status_code == 303


def test_a_wrong_token_does_not_sign_in(client):
    answer = client.post("/login", data={"token": "guess"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_reports_own_key_opens_that_report_and_nothing_else(client, report):
    key = report_key(TOKEN, str(report.id))
    assert client.get(f"/reports/{report.id}/html?key={key}").status_code == 200
    assert client.get(f"/reports/{report.id}/html?key={key[::-1]}").status_code == 401
    assert client.get(f"/reports/{report.id}?key={key}").status_code == 401
    assert client.get(f"/metrics?key={key}").status_code == 401


@pytest.mark.parametrize(
    ("token", "why"), [(None, "refuses to listen on 0.0.0.0 without a token"), ("short", "too short")]
)
def test_off_loopback_it_does_not_start_without_a_good_token(token, why, tmp_path):
    with pytest.raises(ContractError, match=why):
        serve(Settings(home=tmp_path, host="0.0.0.0", console_token=token))  # noqa: S104 - it must not bind


def test_a_model_that_cannot_be_read_keeps_no_other_from_being_read_ahead():
    class Noted(FakeScorer):
        def bundle(self, usecase):
            asked.append(usecase)
            raise DataError("model.json: altered since it was written")

    asked = []
    warm(Noted(), ["demo", "sba"])
    assert asked == ["demo", "sba"]
