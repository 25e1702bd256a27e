import json
import logging
import math
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.body import MAX_BATCH_BODY, MAX_BODY, PATIENCE
from bentos.contract import MAX_BATCH

GOOD = {"amount": 750, "covered": 50.5, "owner": "no", "state": "TX"}
SECRET = "s3cr3t"


def test_a_record_gets_its_probability_and_what_follows_from_it(browser):
    response = browser.ask("POST", "/predict", json=GOOD)
    answer = response.json()
    assert response.status_code == 200
    assert answer | {"id": ""} == {
        "id": "",
        "probability": 0.75,
        "decision": "decline",
        "threshold": 0.5,
        "points": pytest.approx(600 - 20 * math.log2(3)),
        "band": None,
        "model_version": "toy-20030630-0123456789ab",
        "usecase": "toy",
    }
    assert str(uuid.UUID(answer["id"])) == answer["id"]
    assert browser.ask("POST", "/predict", json=GOOD).json()["id"] != answer["id"]
    assert browser.ask("POST", "/predict", json=GOOD | {"amount": 499}).json()["decision"] == "approve"
    assert browser.ask("POST", "/predict", json=GOOD | {"amount": 500}).json()["decision"] == "decline"


def test_a_batch_gets_an_answer_a_record_in_order(browser):
    amounts = [100, 900, 250]
    answers = browser.ask("POST", "/predict/batch", json=[GOOD | {"amount": a} for a in amounts]).json()["predictions"]
    assert [answer["probability"] for answer in answers] == pytest.approx([0.1, 0.9, 0.25])
    assert len({answer["id"] for answer in answers}) == 3
    assert browser.ask("POST", "/predict/batch", json=[]).json() == {"predictions": []}


RECORDS = [
    {
        "amount": 300 + 7.3 * place,
        "covered": [None, 50.5, 12][place % 3],
        "owner": "no",
        "state": ["TX", None][place % 2],
    }
    for place in range(40)
]


def test_a_batch_answers_to_the_last_bit_what_each_record_gets_alone(browser):
    lacking = [{name: value for name, value in record.items() if value is not None} for record in RECORDS]
    alone = [{**browser.ask("POST", "/predict", json=record).json(), "id": ""} for record in RECORDS]
    for records in (RECORDS, lacking, RECORDS[:5]):
        answers = browser.ask("POST", "/predict/batch", json=records).json()["predictions"]
        assert [{**answer, "id": ""} for answer in answers] == alone[: len(records)]
        ids = {answer["id"] for answer in answers}
        assert len(ids) == len(records)
        assert all(str(uuid.UUID(each)) == each and uuid.UUID(each).version == 4 for each in ids)


def test_every_bad_field_is_named_at_once_and_no_value(browser):
    bad = {"amount": SECRET, "covered": True, "owner": SECRET, "paid": SECRET, "colour": SECRET}
    response = browser.ask("POST", "/predict", json=bad)
    assert response.status_code == 400
    assert response.json()["error"] == {
        "code": "invalid_argument",
        "message": "5 fields refused; GET /model shows the inputs",
        "fields": [
            {"field": "amount", "why": "a text, where a number belongs"},
            {"field": "owner", "why": "not one of yes, no"},
            {"field": "covered", "why": "true or false, where a number belongs"},
            {"field": "paid", "why": "known only after the decision"},
            {"field": "colour", "why": "unknown field"},
        ],
    }


def test_a_bad_record_of_a_batch_is_named_by_its_place(browser):
    response = browser.ask("POST", "/predict/batch", json=[GOOD, GOOD | {"amount": -1}, "x", GOOD | {"covered": 900}])
    assert response.status_code == 400
    assert response.json()["error"]["fields"] == [
        {"record": 1, "field": "amount", "why": "below 0"},
        {"record": 2, "field": "body", "why": "not a JSON object of inputs"},
        {"record": 3, "field": "share", "why": "covered / amount: above 1"},
    ]


def test_a_batch_of_many_bad_records_gets_an_answer_that_can_be_read(browser):
    error = browser.ask("POST", "/predict/batch", json=[{}] * MAX_BATCH).json()["error"]
    assert error["message"] == "10000 fields refused; GET /model shows the inputs"
    assert len(error["fields"]) == 1001
    assert error["fields"][-1] == {"field": "body", "why": "9000 more problems"}


def test_a_batch_with_as_many_problems_as_are_told_tells_each(browser):
    fields = browser.ask("POST", "/predict/batch", json=[{}] * 1000).json()["error"]["fields"]
    assert [field["record"] for field in fields] == list(range(1000))


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("/predict", b"{", "not JSON: see line 1, column 2"),
        ("/predict", b"", "not JSON: see line 1, column 1"),
        ("/predict", b'{"amount": 1, "amount": 2}', "a key stands twice in one object"),
        ("/predict", b"[]", "not a JSON object of inputs"),
        ("/predict/batch", b"{}", "not a JSON array of records"),
        ("/predict/batch", json.dumps([{}] * (MAX_BATCH + 1)).encode(), "more than 10000 records"),
    ],
)
def test_a_body_that_is_no_record_is_refused(browser, path, body, why):
    response = browser.ask("POST", path, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["fields"] == [{"field": "body", "why": why}]


@pytest.mark.parametrize(("path", "limit"), [("/predict", MAX_BODY), ("/predict/batch", MAX_BATCH_BODY)])
def test_a_body_beyond_the_limit_is_refused_and_one_at_the_limit_is_read(browser, path, limit):
    def body(size: int) -> bytes:
        return b'"' + b"x" * (size - 2) + b'"'

    assert browser.ask("POST", path, content=body(limit)).status_code == 400
    refused = browser.ask("POST", path, content=body(limit + 1))
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
    assert refused.headers["connection"] == "close"


def test_a_body_said_to_be_huge_is_not_read(browser):
    def never():
        raise AssertionError("it was read")
        yield b""

    headers = {"content-length": str(PATIENCE + 1)}
    response = browser.ask("POST", "/predict", content=_async(never()), headers=headers)
    assert response.status_code == 413


async def _async(parts):
    for part in parts:
        yield part


def test_an_unknown_path_and_a_wrong_method_say_what_there_is(browser):
    lost = browser.ask("GET", f"/{SECRET}")
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "not_found")
    assert "POST /predict" in lost.json()["error"]["message"]
    assert SECRET not in lost.text
    wrong = browser.ask("GET", "/predict")
    assert (wrong.status_code, wrong.json()["error"]["code"], wrong.headers["allow"]) == (
        405,
        "method_not_allowed",
        "POST",
    )
    assert browser.ask("DELETE", "/model").headers["allow"] == "GET, HEAD"


def test_the_model_page_shows_version_day_threshold_schema_and_an_example_that_works(browser):
    page = browser.ask("GET", "/model").json()
    assert page["version"] == "toy-20030630-0123456789ab"
    assert page["as_of"] == "2003-06-30T00:00:00+00:00"
    assert (page["threshold"], page["learner"], page["usecase"]) == (0.5, "fake", "toy")
    assert page["input_schema"]["required"] == ["amount"]
    assert browser.ask("POST", "/predict", json=page["example"]).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_a_probe_is_answered(browser, path):
    assert browser.ask("GET", path).json() == {"status": "ok"}
    assert browser.ask("HEAD", path).status_code == 200


def test_metrics_count_every_end_a_prediction_can_have(faulty):
    faulty.ask("POST", "/predict", json=GOOD)
    faulty.ask("POST", "/predict/batch", json=[GOOD, GOOD])
    faulty.ask("POST", "/predict", json={})
    faulty.ask("GET", "/nowhere")
    faulty.ask("POST", "/predict", json=GOOD | {"amount": 777.25})
    text = faulty.ask("GET", "/metrics").text

    def counted(status: str) -> str:
        labels = f'status="{status}",use_case="toy",version="toy-20030630-0123456789ab"'
        return next(line.split()[-1] for line in text.splitlines() if f"refit_predictions_total{{{labels}}}" in line)

    assert [counted(s) for s in ("ok", "invalid_argument", "not_found", "error")] == ["3.0", "1.0", "1.0", "1.0"]
    assert "refit_score_bucket" in text
    assert "refit_latency_seconds_count" in text


def test_a_fault_gets_a_clean_answer_and_a_trace_without_values(faulty, caplog):
    response = faulty.ask("POST", "/predict", json=GOOD | {"amount": 777.25})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "error")
    assert "777" not in response.text
    assert "777" not in caplog.text
    assert "ValueError" in caplog.text
    assert "conftest.py" in caplog.text


def test_the_access_log_names_what_was_asked_but_no_value(browser, caplog):
    caplog.set_level(logging.INFO)
    browser.ask("POST", f"/predict?name={SECRET}", json=GOOD | {"state": SECRET})
    browser.ask("POST", "/predict", json={SECRET: SECRET, "amount": SECRET})
    browser.ask("GET", f"/{SECRET}")
    assert [record.getMessage().split(" ms=")[0] for record in caplog.records if record.name == "refit.access"] == [
        "POST /predict status=200",
        "POST /predict status=400",
        "GET unknown path status=404",
    ]
    assert not any(SECRET in record.getMessage() for record in caplog.records if record.name.startswith("refit"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_sent_gets_a_clear_answer(browser, body):
    for path in ("/predict", "/predict/batch"):
        response = browser.ask("POST", path, content=body)
        assert response.status_code in {200, 400}
        assert response.headers["content-type"] == "application/json"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.fixed_dictionaries({"amount": st.floats(0, 1000)}, optional={"covered": st.floats(), "state": st.text()}))
def test_a_record_is_answered_with_a_probability_or_with_reasons(browser, record):
    response = browser.ask("POST", "/predict", content=json.dumps(record))
    if response.status_code == 200:
        assert 0 <= response.json()["probability"] <= 1
    else:
        assert response.status_code == 400
        assert response.json()["error"]["fields"]


def test_an_explanation_is_a_prediction_and_what_moved_it(browser):
    record = GOOD | {"amount": 750}
    plain = browser.ask("POST", "/predict", json=record).json()
    why = browser.ask("POST", "/explain", json=record).json()
    assert {name: why[name] for name in plain if name != "id"} == {name: plain[name] for name in plain if name != "id"}
    total = why["baseline"] + sum(part["contribution"] for part in why["contributions"])
    assert total == pytest.approx(math.log(3))
    assert why["baseline_points"] + sum(part["points"] for part in why["contributions"]) == pytest.approx(why["points"])
    assert why["against"] == "an even chance"
    assert why["contributions"][0]["feature"] == "amount"
    assert why["reasons"] == [why["contributions"][0]["reason"]]


def test_an_explanation_of_a_bad_record_names_every_field(browser):
    response = browser.ask("POST", "/explain", json={"amount": SECRET, "owner": SECRET})
    assert response.status_code == 400
    assert [field["field"] for field in response.json()["error"]["fields"]] == ["amount", "owner"]


def test_points_fall_into_bands(browser):
    bands = {
        amount: browser.ask("POST", "/predict", json={"amount": amount}).json()["band"] for amount in (1, 500, 999)
    }
    assert bands == {1: "A", 500: "B", 999: None}


def test_several_classes_get_the_likeliest_and_a_probability_each(of_classes):
    answer = of_classes.ask("POST", "/predict", json=GOOD).json()
    assert answer | {"id": ""} == {
        "id": "",
        "class": "x",
        "probabilities": {"x": pytest.approx(0.75), "y": pytest.approx(0.125), "z": pytest.approx(0.125)},
        "model_version": "toy-20030630-0123456789ab",
        "usecase": "thirds",
    }
    batch = of_classes.ask("POST", "/predict/batch", json=[GOOD, GOOD | {"amount": 100}]).json()["predictions"]
    assert [each["class"] for each in batch] == ["x", "y"]
    page = of_classes.ask("GET", "/model").json()
    assert page["classes"] == ["x", "y", "z"]
    assert "threshold" not in page
    schemas = of_classes.ask("GET", "/openapi.json").json()["components"]["schemas"]
    assert schemas["Prediction"]["properties"]["class"]["enum"] == ["x", "y", "z"]


def test_an_explanation_of_several_classes_is_of_the_one_chosen(of_classes):
    why = of_classes.ask("POST", "/explain", json=GOOD).json()
    assert why["class"] == "x"
    assert why["baseline_points"] is None
    assert why["baseline"] + sum(part["contribution"] for part in why["contributions"]) == pytest.approx(math.log(3))
