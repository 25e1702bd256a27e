import difflib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.scoring.request import LARGEST, MAX_COMPARED, MAX_STRANGE, Checker, Problem, check
from refit.usecase.catalogue import find, names
from refit.usecase.model import UseCase

USECASE = UseCase.model_validate(
    {
        "name": "toy",
        "title": "A toy",
        "source": {"table": "source.toy", "key": "id", "arrived_at": "day"},
        "event_time": {"column": "day"},
        "label": {"name": "bad", "happened_on": {"column": "failed_on"}, "within_months": 12},
        "features": {
            "amount": {"type": "number", "parse": "money", "min": 0, "max": 1000, "required": True},
            "share": {"type": "number", "from": "covered / amount", "min": 0, "max": 1},
            "age": {"type": "number", "min": 18, "unknown": ["0", "NA"]},
            "sector": {"type": "category", "parse": "prefix:2", "choices": ["11", "22"], "unknown": "0"},
            "state": {"type": "category", "required": True, "unknown": "XX"},
        },
        "known_later": ["paid", "term"],
        "protected": ["sex"],
        "example": {"amount": 100, "covered": 80, "age": 30, "sector": "1100", "state": "TX"},
    }
)
GOOD = {"amount": 100, "covered": 80.5, "age": 30, "sector": "1100", "state": "TX"}
CHECKER = Checker(USECASE)


def test_a_good_record_comes_back_typed():
    inputs, problems = check(GOOD, USECASE)
    assert problems == []
    assert inputs == {"amount": 100.0, "covered": 80.5, "age": 30.0, "sector": "1100", "state": "TX"}
    assert type(inputs["amount"]) is float


def test_what_is_not_required_may_be_null_or_absent():
    assert check({"amount": 1, "state": "TX", "sector": None}, USECASE) == (
        {"amount": 1.0, "covered": None, "age": None, "sector": None, "state": "TX"},
        [],
    )


def test_a_value_that_stands_for_unknown_is_missing_and_not_out_of_range():
    assert CHECKER.check(GOOD | {"age": 0, "sector": "0"})[1] == []
    assert CHECKER.check(GOOD | {"age": 0})[0]["age"] is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"amount": None}, "missing"),
        ({"amount": "12.5"}, "a text, where a number belongs"),
        ({"amount": True}, "true or false, where a number belongs"),
        ({"amount": [1]}, "a list, where a number belongs"),
        ({"amount": {"a": 1}}, "an object, where a number belongs"),
        ({"amount": math.nan}, "not a finite number, or too large"),
        ({"amount": math.inf}, "not a finite number, or too large"),
        ({"covered": LARGEST * 2}, "not a finite number, or too large"),
        ({"covered": 10**400}, "not a finite number, or too large"),
        ({"amount": -1}, "below 0"),
        ({"amount": 1001}, "above 1000"),
        ({"age": 17}, "below 18"),
        ({"share": 0.5}, "computed from covered / amount; send those"),
        ({"sector": "3300"}, "not one of 11, 22"),
        ({"sector": 11}, "a number, where a text belongs"),
        ({"state": ""}, "empty; send null where it is not known"),
        ({"state": " \t"}, "empty; send null where it is not known"),
        ({"state": "XX"}, "missing: this text stands for unknown"),
        ({"state": "T\x00"}, "holds a NUL character"),
        ({"state": "T" * 1001}, "longer than 1000 characters"),
        ({"paid": 1}, "known only after the decision"),
        ({"failed_on": "2003-01-01"}, "known only after the decision"),
        ({"sex": "F"}, "protected: the model does not read it"),
        ({"amont": 1}, "unknown field; did you mean amount?"),
        ({"qqq": 1}, "unknown field"),
    ],
)
def test_a_bad_field_is_refused_with_its_reason(change, why):
    problems = CHECKER.check(GOOD | change)[1]
    assert problems == [Problem(next(iter(change)), why)]


def test_every_bad_field_is_named_at_once():
    problems = CHECKER.check({"amount": "a lot", "age": 3, "term": 12, "colour": "red"})[1]
    assert [problem.field for problem in problems] == ["amount", "age", "state", "term", "colour"]


def test_a_derived_feature_out_of_its_range_is_refused_though_each_field_is_in_order():
    assert CHECKER.check(GOOD | {"covered": 101})[1] == [Problem("share", "covered / amount: above 1")]
    assert CHECKER.check(GOOD | {"covered": -1})[1] == [Problem("share", "covered / amount: below 0")]
    assert CHECKER.check(GOOD | {"amount": 0, "covered": 1})[1] == []
    fields = [problem.field for problem in CHECKER.check(GOOD | {"covered": 101, "age": "30"})[1]]
    assert fields == ["age", "share"]


@pytest.mark.parametrize("body", [None, 1, "text", [], [GOOD], True], ids=repr)
def test_what_is_no_object_is_refused(body):
    assert CHECKER.check(body)[1] == [Problem("body", "not a JSON object of inputs")]


def test_a_batch_is_checked_record_by_record():
    records = [GOOD, 1, GOOD | {"covered": 101}, GOOD, {}]
    inputs, problems = CHECKER.check_batch(records)
    assert inputs[0] == inputs[3] == CHECKER.check(GOOD)[0]
    assert {place: [p.field for p in found] for place, found in problems.items()} == {
        1: ["body"],
        2: ["share"],
        4: ["amount", "state"],
    }
    assert all(CHECKER.check(records[place])[1] == found for place, found in problems.items())


def test_names_the_client_made_up_are_repeated_only_when_short_plain_and_few():
    problems = CHECKER.check(GOOD | {"John\nSmith": 1, "x" * 100: 1})[1]
    assert problems == [
        Problem("body", "unknown field, with a name of 10 characters"),
        Problem("body", "unknown field, with a name of 100 characters"),
    ]
    many = CHECKER.check(GOOD | {f"q{n}": n for n in range(1000)})[1]
    assert len(many) == MAX_STRANGE + 1
    assert many[-1] == Problem("body", f"{1000 - MAX_STRANGE} more unknown fields")


@pytest.fixture
def compared(monkeypatch):
    """The names that were compared with the inputs."""
    names: list[str] = []
    compare = difflib.get_close_matches

    def counted(name, *args, **options):
        names.append(name)
        return compare(name, *args, **options)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    return names


def test_a_made_up_name_is_compared_with_the_inputs_once_however_many_records_hold_it(compared):
    record = GOOD | {f"amount_{n}": 1 for n in range(MAX_STRANGE)}
    _, found = CHECKER.check_batch([record] * 10_000)
    assert len(compared) == MAX_STRANGE
    assert len(found) == 10_000
    assert found[0] == found[9_999] == CHECKER.check(record)[1]
    assert found[0][0] == Problem("amount_0", "unknown field; did you mean amount?")


@pytest.mark.slow
def test_of_many_made_up_names_only_the_first_are_compared_with_the_inputs(compared):
    records = [GOOD | {f"amount_{place}_{n}": 1 for n in range(20)} for place in range(10_000)]
    _, found = CHECKER.check_batch(records)
    assert len(compared) == MAX_COMPARED
    assert found[0][0] == Problem("amount_0_0", "unknown field; did you mean amount?")
    assert found[9_999][-1] == Problem("amount_9999_19", "unknown field")
    compared.clear()
    assert CHECKER.check_batch(records[-1:])[1][0][-1].why == "unknown field; did you mean amount?"


def test_the_example_of_a_built_in_use_case_passes_its_own_check():
    for name in names():
        usecase = find(name)
        assert usecase.example, name
        assert check(usecase.example, usecase)[1] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)
SECRET = "s3cr3t"


@given(st.dictionaries(st.sampled_from([*GOOD, "share", "paid", "sex"]) | st.text(max_size=5), JSON))
def test_whatever_is_sent_gets_typed_inputs_or_reasons(record):
    inputs, problems = CHECKER.check(record)
    if not problems:
        assert set(inputs) == set(USECASE.inputs)
        assert all(value is None or type(value) in (float, str) for value in inputs.values())
    assert CHECKER.check_batch([record])[1].get(0, []) == problems


@given(
    st.sampled_from([*GOOD, "share", "paid", "sex", "other"]),
    st.sampled_from([SECRET, [SECRET], {"a": SECRET}, 9.87654321e30]),
)
def test_a_value_is_never_echoed(field, value):
    problems = CHECKER.check({"amount": -1, field: value})[1]
    assert problems
    text = json.dumps([[problem.field, problem.why] for problem in problems])
    assert SECRET not in text
    assert "9.87654321" not in text


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["amount", "covered", "age", "sector", "state", "paid"]),
            st.none()
            | st.integers(-5, 2000)
            | st.floats()
            | st.sampled_from(["TX", "XX", "1100", "33", "", "0", True]),
        )
        | st.just({"amount": 100, "covered": 80.0, "age": 30, "sector": "1100", "state": "TX"}),
        max_size=4,
    )
)
def test_many_records_are_found_wrong_in_the_same_places_as_one_by_one(records):
    inputs, found = CHECKER.check_batch(records)
    one_by_one = [CHECKER.check(record) for record in records]
    assert found == {place: problems for place, (_, problems) in enumerate(one_by_one) if problems}
    assert found or inputs == [expected for expected, _ in one_by_one]
    columns = CHECKER.sound(records)
    if columns is not None:
        assert not found
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        assert [{name: None if is_nan(value) else value for name, value in row.items()} for row in rows] == inputs


def is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


SOUND = [{"amount": amount, "covered": 10, "age": 40.5, "sector": "1100", "state": "TX"} for amount in (50, 60.5)]


def test_sound_records_come_back_by_column():
    columns = CHECKER.sound(SOUND)
    assert {name: list(values) for name, values in columns.items()} == {
        "amount": [50.0, 60.5],
        "covered": [10.0, 10.0],
        "age": [40.5, 40.5],
        "sector": ["1100", "1100"],
        "state": ["TX", "TX"],
    }
    assert math.isnan(CHECKER.sound([*SOUND, {"amount": 1, "state": "TX"}])["covered"][2])


@pytest.mark.parametrize(
    "change",
    [
        *({"amount": bad} for bad in (None, True, "12", math.nan, math.inf, -1, 1001, 10**400)),
        *({"age": bad} for bad in (17, 0)),
        *({"state": bad} for bad in (None, "", "XX", 1)),
        *({"covered": bad} for bad in (101, -1, [1])),
        {"qqq": 1},
        {"paid": None},
    ],
    ids=repr,
)
def test_one_record_in_doubt_and_none_is_called_sound(change):
    assert CHECKER.sound([*SOUND, SOUND[0] | change]) is None


@pytest.mark.parametrize("records", [[], [1], [None, SOUND[0]], [[]]], ids=repr)
def test_what_is_no_list_of_records_is_not_called_sound(records):
    assert CHECKER.sound(records) is None
