"""What a record can hold at most is known before it is decoded."""

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos import desk, shape
from bentos.body import MAX_BODY
from bentos.contract import MAX_BATCH
from bentos.desk import Desk
from bentos.shape import FEWEST, MARKS, MOST_NESTED, most_marks, too_many_marks, too_nested
from refit.scoring.request import MAX_TEXT, Checker
from refit.usecase.model import UseCase
from tests.unit.bentos import conftest as toy

TEXTS = [f"text{place}" for place in range(30)]
WIDE = UseCase.model_validate(
    toy.USECASE.model_dump(by_alias=True, exclude={"features", "example"})
    | {"features": {"amount": {"type": "number"}} | {name: {"type": "category"} for name in TEXTS}}
    | {"example": {"amount": 1}}
)


def filled(part: bytes) -> bytes:
    """Return as large a body as is read, made of one part over and over."""
    return b'{"x":[%s0]}' % (part * ((MAX_BODY - 10) // len(part)))


@pytest.mark.parametrize("path", ["/predict", "/explain"])
@pytest.mark.parametrize("part", [b"[],", b'{"":0},', b"1,", b'"a":1,'], ids=["lists", "objects", "numbers", "members"])
def test_a_body_that_holds_more_than_a_record_can_is_refused_and_not_decoded(browser, monkeypatch, path, part):
    decoded = []
    monkeypatch.setattr(desk, "decode", decoded.append)
    refused = browser.ask("POST", path, content=filled(part))
    assert refused.status_code == 400
    assert [field["field"] for field in refused.json()["error"]["fields"]] == ["body"]
    assert decoded == []


def test_a_record_is_decoded_without_changing_to_another_thread(browser, monkeypatch):
    threads = []

    def decode(body):
        threads.append(threading.current_thread())
        return json.loads(body)

    monkeypatch.setattr(desk, "decode", decode)
    assert browser.ask("POST", "/predict", json={"amount": 250}).status_code == 200
    assert threads == [threading.current_thread()]


def test_a_large_body_of_few_marks_is_told_all_that_is_wrong_with_it(browser):
    body = {"state": "s" * (MAX_BODY // 2), "x": 1}
    fields = browser.ask("POST", "/predict", json=body).json()["error"]["fields"]
    assert [field["field"] for field in fields] == ["amount", "state", "x"]


@pytest.mark.parametrize("mark", MARKS.decode())
def test_a_sound_record_of_nothing_but_marks_is_answered(mark):
    record = {"amount": 250} | dict.fromkeys(TEXTS, mark * MAX_TEXT)
    assert Checker(WIDE).check(record)[1] == []
    assert toy.Browser(Desk(toy.bundle(usecase=WIDE))).ask("POST", "/predict", json=record).status_code == 200


@given(st.dictionaries(st.sampled_from(TEXTS), st.text('[{:, a\\"é\n', min_size=1, max_size=MAX_TEXT)), st.floats())
def test_no_sound_record_holds_too_many_marks(texts, amount):
    record = {"amount": amount, **texts}
    if Checker(WIDE).check(record)[1]:
        return
    for body in (json.dumps(record, indent=1), json.dumps(record, ensure_ascii=False)):
        assert not too_many_marks(body.encode(), most_marks(WIDE.inputs))


def test_a_body_is_measured_exactly():
    body = b"[" * FEWEST + b" "
    assert not too_many_marks(body, FEWEST)
    assert too_many_marks(body + b",", FEWEST)


@pytest.mark.parametrize("part", [{}, [], {"state": []}, {"state": "TX", "x": [{}]}], ids=json.dumps)
def test_a_batch_of_more_objects_and_lists_than_records_is_refused_and_not_decoded(browser, monkeypatch, part):
    decoded = []
    monkeypatch.setattr(desk, "decode", decoded.append)
    refused = browser.ask("POST", "/predict/batch", json=[part] * (2 * MAX_BATCH))
    assert refused.status_code == 400
    assert [field["field"] for field in refused.json()["error"]["fields"]] == ["body"]
    assert decoded == []


@pytest.mark.parametrize("text", ["[{" * 20, '"[' * 20, "\\[" * 20, '\\"{' * 20, "\\\\[{" * 10, "é[" * 20])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_brackets_in_the_texts_of_a_batch_are_no_lists(browser, text, ascii_only):
    body = json.dumps([{"amount": 250, "state": text}] * 2_000, ensure_ascii=ascii_only).encode()
    assert body.count(b"[") + body.count(b"{") > MOST_NESTED
    assert browser.ask("POST", "/predict/batch", content=body).status_code == 200


def test_as_many_records_as_a_batch_may_have_are_not_too_nested():
    assert not too_nested(json.dumps([{"amount": 1}] * MAX_BATCH).encode())
    assert not too_nested(b"[]" * MOST_NESTED)
    assert too_nested(b"[]" * (MOST_NESTED + 1))


TREES = st.recursive(
    st.text('[{"\\\\a') | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[{"\\\\a'), inner),
    max_leaves=20,
)


def nested(value: object) -> int:
    """Count objects and lists by walking."""
    if isinstance(value, dict):
        return 1 + sum(map(nested, value.values()))
    return 1 + sum(map(nested, value)) if isinstance(value, list) else 0


@given(TREES, st.integers(1, 9), st.integers(0, 5))
def test_objects_and_lists_are_counted_as_a_reader_counts_them(tree, piece, most):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shape, "PIECE", piece)
        patched.setattr(shape, "MOST_NESTED", most)
        assert too_nested(json.dumps(tree).encode()) is (nested(tree) > most)
