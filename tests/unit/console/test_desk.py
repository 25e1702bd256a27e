"""The analyst's pages."""

import csv
import io
from datetime import UTC, datetime

import pytest

from refit.console.app import create_app
from tests.unit.bentos.conftest import OF_CLASSES, USECASE, Thirds, bundle
from tests.unit.console.browser import Browser
from tests.unit.console.fakes import FakeLedger, FakeReports, FakeScorer

NOW = datetime(2026, 3, 17, 8, tzinfo=UTC)
GOOD = {"amount": "250", "covered": "100", "owner": "yes", "state": "TX"}


@pytest.fixture
def ledger():
    return FakeLedger()


@pytest.fixture
def client(ledger) -> Browser:
    scorer = FakeScorer(ledger, toy=bundle(), thirds=bundle(Thirds(), OF_CLASSES))
    usecases = [USECASE, OF_CLASSES, USECASE.model_copy(update={"name": "empty", "title": "Nothing yet"})]
    return Browser(create_app(ledger, FakeReports(), usecases, scorer, now=lambda: NOW))


def test_the_form_asks_for_every_input_as_the_contract_says(client):
    page = client.get("/score/toy").text
    choice = '<option value="yes">yes</option>'
    for expected in ("Amount", "USD, 0 to 1000", "needed", choice, 'name="covered"', 'name="state"'):
        assert expected in page


def test_the_form_can_be_filled_with_the_example(client):
    assert 'value="250"' in client.get("/score/toy?example=1").text
    assert 'value="250"' not in client.get("/score/toy").text


def test_an_applicant_gets_points_band_probability_decision_and_reasons(client):
    answer = client.post("/score/toy", data=GOOD)
    assert answer.status_code == 200
    for expected in ("Approve", "632", "25.00%", "declined from 50.00%", "Every input&#39;s part"):
        assert expected.replace("&#39;", "'") in answer.text.replace("&#39;", "'")
    assert '<dd class="large">A</dd>' in answer.text


def test_one_above_the_threshold_is_declined_and_told_why(client):
    answer = client.post("/score/toy", data=GOOD | {"amount": "900"})
    assert "Decline" in answer.text
    assert "Amount: 900 USD counts against" in answer.text


def test_what_was_written_stays_in_the_form(client):
    assert 'value="TX"' in client.post("/score/toy", data=GOOD).text


def test_every_answer_is_kept_in_the_decision_log(client, ledger):
    client.post("/score/toy", data=GOOD)
    (kept,) = ledger.kept_predictions
    assert kept.inputs == {"amount": 250.0, "covered": 100.0, "owner": "yes", "state": "TX"}
    assert (kept.probability, kept.decision, kept.at, kept.version) == (
        0.25,
        "approve",
        NOW,
        "toy-20030630-0123456789ab",
    )
    assert str(kept.id) in client.post("/score/toy", data=GOOD).text or kept.id


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"amount": ""}, "amount"),
        ({"amount": "a lot"}, "not a number"),
        ({"amount": "2000"}, "1000"),
        ({"owner": "maybe"}, "yes, no"),
        ({"covered": "1e999"}, "finite"),
        ({"covered": "900"}, "share"),
    ],
    ids=["missing", "no number", "above the range", "no choice", "infinite", "a derived value out of range"],
)
def test_a_wrong_field_is_named_beside_it_and_nothing_is_scored(client, ledger, changed, why):
    answer = client.post("/score/toy", data=GOOD | changed)
    assert answer.status_code == 400
    assert why in answer.text
    assert ledger.kept_predictions == []


def test_several_classes_are_shown_with_their_shares_and_without_points(client, ledger):
    answer = client.post("/score/thirds", data=GOOD | {"amount": "600"})
    assert answer.status_code == 200
    for expected in ("<dt>x</dt>", "60.0%", "20.0%"):
        assert expected in answer.text
    assert "Points" not in answer.text
    assert ledger.kept_predictions[0].probabilities == pytest.approx({"x": 0.6, "y": 0.2, "z": 0.2})


def test_where_nothing_is_live_the_page_says_so_and_scores_nobody(client):
    assert "Nobody" in client.get("/score/empty").text or "nobody" in client.get("/score/empty").text
    assert client.post("/score/empty", data=GOOD).status_code == 409


def test_an_unknown_use_case_is_a_clean_404(client):
    assert client.get("/score/nobody").status_code == 404
    assert client.post("/score/nobody", data=GOOD).status_code == 404


def upload(client, text, usecase="toy"):
    content = text if isinstance(text, bytes) else text.encode()
    return client.post(f"/score/{usecase}/file", files={"file": ("applicants.csv", content, "text/csv")})


def rows(answer):
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_file_comes_back_with_the_answer_beside_each_line(client, ledger):
    answer = upload(client, "name,amount,covered,owner,state\nAda,250,100,yes,TX\nBob,900,100,no,\n")
    assert answer.headers["content-disposition"] == 'attachment; filename="toy-scored.csv"'
    first, second = rows(answer)
    assert (first["name"], first["probability"], first["decision"], first["band"]) == ("Ada", "0.25", "approve", "A")
    assert (second["decision"], second["refused_because"]) == ("decline", "")
    assert len(ledger.kept_predictions) == 2


def test_a_line_that_is_refused_says_why_and_the_others_are_scored(client, ledger):
    answer = upload(client, "amount,owner\n-5,yes\n250,maybe\n100,no\n")
    assert answer.headers["x-refit-refused"] == "2"
    wrong, strange, good = rows(answer)
    assert wrong["refused_because"].startswith("amount: ")
    assert strange["refused_because"].startswith("owner: ")
    assert (good["decision"], wrong["decision"]) == ("approve", "")
    assert len(ledger.kept_predictions) == 1


def test_the_classes_of_a_file_have_a_column_each(client):
    (row,) = rows(upload(client, "amount\n600\n", "thirds"))
    assert row["class"] == "x"
    assert float(row["probability_x"]) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no applicant"),
        ("amount\n", "no applicant"),
        ("owner\nyes\n", "lacks amount"),
        (b"amount\n\xff\xfe", "not UTF-8"),
        ('amount\n"25', "no CSV"),
        ("amount\n" + "1\n" * 10_001, "10,000 at most"),
    ],
    ids=["empty", "only a header", "a needed column is absent", "not text", "no csv", "too many"],
)
def test_a_file_that_cannot_be_scored_says_why(client, ledger, content, why):
    answer = upload(client, content)
    assert answer.status_code == 400
    assert why in answer.text
    assert ledger.kept_predictions == []


def test_a_file_that_is_too_large_is_refused_before_it_is_read(client):
    answer = client.post("/score/toy/file", content=b"", headers={"content-length": str(1 << 30)})
    assert answer.status_code == 413


def test_a_request_from_a_foreign_page_is_refused(client, ledger):
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        assert client.post("/score/toy", data=GOOD, headers=headers).status_code == 403
    assert ledger.kept_predictions == []
    same = {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}
    assert client.post("/score/toy", data=GOOD, headers=same).status_code == 200


def test_what_an_applicant_writes_cannot_become_markup(client):
    page = client.post("/score/toy", data=GOOD | {"state": "<script>alert(1)</script>"}).text
    assert "<script>alert" not in page
