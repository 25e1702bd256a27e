"""The analyst's pages."""

import csv
import io
from datetime import UTC, datetime

import pytest

from refit.console.app import create_app
from refit.errors import DataError
from tests.unit.bentos.conftest import OF_CLASSES, USECASE, FaultyModel, Thirds, bundle
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
    found = Browser(create_app(ledger, FakeReports(), usecases, scorer, now=lambda: NOW))
    found.scorer = scorer
    return found


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
    for expected in ('<th scope="row">x</th>', "The most likely of 3", "60.0%", "20.0%"):
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
    assert wrong["refused_because"] == "line 2, amount: below 0"
    assert strange["refused_because"].startswith("line 3, owner: ")
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
        (b"amount\n1\n\xe4", "line 3 is not UTF-8 text: choose the other encoding"),
        ('amount\n"25', "no CSV from line 2 on"),
        ("amount,amount\n1,2\n", "names amount twice"),
        ("amount,owner\n1\n2,yes,3\n", "no line has as many cells as the first, 2, parted by commas"),
        ("amount\n" + "1\n" * 10_001, "10,000 at most"),
    ],
    ids=[
        "empty",
        "only a header",
        "a needed column is absent",
        "not text",
        "no csv",
        "twice",
        "no whole line",
        "too many",
    ],
)
def test_a_file_that_cannot_be_scored_says_why(client, ledger, content, why):
    answer = upload(client, content)
    assert answer.status_code == 400
    assert why in answer.text
    assert ledger.kept_predictions == []


@pytest.mark.slow
def test_ten_thousand_lines_come_back_with_each_bad_one_named_by_line_and_field_and_no_value(client, ledger):
    bad = {2: "secret,yes", 5_000: "99999,yes", 10_001: "250,perhaps"}
    lines = [bad.get(line, "250,yes") for line in range(2, 10_002)]
    answer = upload(client, "amount,owner\n" + "\n".join(lines))
    assert answer.headers["x-refit-refused"] == "3"
    why = {row["refused_because"] for row in rows(answer)} - {""}
    assert why == {
        "line 2, amount: not a number",
        "line 5000, amount: above 1000",
        "line 10001, owner: not one of yes, no",
    }
    assert len(ledger.kept_predictions) == 9_997


def test_a_file_in_an_older_encoding_is_read_where_the_analyst_says_so(client):
    content = {"file": ("a.csv", "amount;name\n250;Zo\u00eb\n".encode("cp1252"), "text/csv")}
    assert client.post("/score/toy/file", files=content).status_code == 400
    answer = client.post("/score/toy/file", files=content, data={"encoding": "cp1252"})
    assert answer.status_code == 200
    assert answer.content.decode("utf-8-sig").splitlines()[1].startswith("250;Zo\u00eb;0.25;")
    assert client.post("/score/toy/file", files=content, data={"encoding": "rot13"}).status_code == 400


def test_nothing_chosen_is_said_beside_the_form(client):
    answer = client.post("/score/toy/file", files={"other": ("a.csv", b"x", "text/csv")})
    assert answer.status_code == 400
    assert "The file was not scored: the file holds no applicant" in answer.text


def test_the_file_to_begin_with_can_be_scored_as_it_is(client):
    blank = client.get("/score/toy/applicants.csv")
    assert 'filename="toy-applicants.csv"' in blank.headers["content-disposition"]
    (row,) = rows(upload(client, blank.text))
    assert (row["decision"], row["refused_because"]) == ("approve", "")


def test_a_live_model_that_cannot_be_read_is_no_404(client, monkeypatch):
    def altered(_usecase):
        raise DataError("/home/bundles/toy/model.json: altered since it was written")

    monkeypatch.setattr(client.scorer, "bundle", altered)
    for answer in (client.get("/score/toy"), client.post("/score/toy", data=GOOD), upload(client, "amount\n1\n")):
        assert answer.status_code == 500
        assert "refit doctor" in answer.text
        assert "/home" not in answer.text


def test_a_fault_while_scoring_leaves_its_place_in_the_log_and_no_value(client, capsys, caplog):
    client.scorer.bundles["toy"] = bundle(FaultyModel())
    for answer in (client.post("/score/toy", data=GOOD | {"amount": "777.25"}), upload(client, "amount\n777.25\n")):
        assert answer.status_code == 500
        assert "a fault of its own" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    told = capsys.readouterr()
    logged = told.out + told.err + caplog.text
    assert "ValueError" in logged
    assert "probability" in logged
    assert "777.25" not in logged


def test_the_pages_own_name_says_what_happened(client):
    assert "<title>Score an applicant - refit</title>" in client.get("/score/toy").text
    assert "<title>To mend: Score an applicant - refit</title>" in client.post("/score/toy", data={}).text
    assert "<title>Approve, toy, " in client.post("/score/toy", data=GOOD).text


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
