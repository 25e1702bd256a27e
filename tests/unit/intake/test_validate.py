from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refit.intake.validate import Reason, lake_schema, source_columns, text_columns, validate
from tests.unit.usecase.declared import usecase

RECORD = {
    "id": "A1",
    "changed_at": "2003-06-30T18:00:00Z",
    "asked_on": "2003-06-30",
    "amount": "1200",
    "income": "$60,000.00",
    "region": "north",
    "purpose": "car",
    "sex": "f",
    "lost_on": None,
}


def batch(*changes: dict) -> pa.RecordBatch:
    rows = [RECORD | change for change in changes]
    return pa.RecordBatch.from_arrays(
        [pa.array([row[name] for row in rows], pa.string()) for name in RECORD], list(RECORD)
    )


def reasons(change: dict, changes: dict | None = None) -> list[tuple[str, str]]:
    found = validate(batch({}, change, {}), usecase(changes))
    assert len(found.records) == 3 - len(found.rejects)
    assert all(reject.row == 1 for reject in found.rejects)
    return [(reason.column, reason.why) for reject in found.rejects for reason in reject.reasons]


def test_a_sound_record_is_taken_in_typed():
    found = validate(batch({}), usecase())
    assert found.rejects == []
    assert found.records.schema == lake_schema(usecase())
    assert found.records.to_pylist() == [
        {
            "_key": "A1",
            "_arrived_at": datetime(2003, 6, 30, 18, tzinfo=UTC),
            "_event_time": datetime(2003, 6, 30, tzinfo=UTC),
            "amount": 1200.0,
            "income": 60000.0,
            "region": "north",
            "purpose": "car",
            "sex": "f",
            "lost_on": None,
        }
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": None}, [("id", "missing")]),
        ({"id": "  "}, [("id", "missing")]),
        ({"changed_at": None}, [("changed_at", "missing")]),
        ({"changed_at": "soon"}, [("changed_at", "not an ISO date")]),
        ({"asked_on": ""}, [("asked_on", "missing")]),
        ({"asked_on": "2003-06-31"}, [("asked_on", "not an ISO date")]),
        ({"amount": None}, [("amount", "missing")]),
        ({"amount": "-1"}, [("amount", "below 0")]),
        ({"amount": "much"}, [("amount", "not a number")]),
        ({"income": "1.234,56"}, [("income", "not an amount of money")]),
        ({"purpose": "boat"}, [("purpose", "not one of car, home")]),
        ({"amount": "1000", "income": "10"}, [("share", "above 10")]),
        ({"lost_on": "2003-06-29"}, [("lost_on", "before asked_on")]),
        ({"lost_on": "later"}, [("lost_on", "not an ISO date")]),
        ({"amount": "x", "purpose": "boat"}, [("amount", "not a number"), ("purpose", "not one of car, home")]),
    ],
    ids=str,
)
def test_a_record_against_the_contract_is_refused_with_every_reason(change, expected):
    assert reasons(change) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"income": None},
        {"income": ""},
        {"purpose": None},
        {"region": "anything"},
        {"region": "n/a"},
        {"sex": None},
        {"amount": "0"},
        {"amount": "0", "income": "0"},
        {"lost_on": "2003-06-30"},
        {"lost_on": "2999-01-01"},
        {"id": "Schlüssel 7 \u4e2d"},
    ],
    ids=str,
)
def test_a_record_that_keeps_the_contract_is_taken_in(change):
    assert reasons(change) == []


def test_an_outcome_on_the_very_day_of_the_event_is_sound_whatever_the_hour():
    assert reasons({"asked_on": "2003-06-30T18:00:00Z", "lost_on": "2003-06-30"}) == []


@pytest.mark.parametrize(
    ("value", "expected"), [("0", []), ("1200", []), ("-0.001", ["below 0"]), ("1200.001", ["above 1200"])], ids=str
)
def test_the_ends_of_a_range_belong_to_it(value, expected):
    changes = {"features.amount": {"type": "number", "min": 0, "max": 1200}}
    assert [why for column, why in reasons({"amount": value}, changes) if column == "amount"] == expected


def test_a_value_beyond_a_range_takes_none_at_its_end_along():
    made = usecase({"features.amount": {"type": "number", "min": 0, "max": 1}})
    found = validate(batch(*({"amount": value} for value in ("-1", "0", "1", "2"))), made)
    assert [(reject.row, reject.reasons[0].why) for reject in found.rejects] == [(0, "below 0"), (3, "above 1")]


def test_an_unknown_value_of_a_required_feature_is_missing():
    changes = {"features.amount": {"type": "number", "required": True, "unknown": "0"}}
    assert reasons({"amount": "0"}, changes) == [("amount", "missing")]


def test_only_the_columns_of_the_contract_are_read():
    assert source_columns(usecase()) == list(RECORD)


def test_keys_categories_and_classes_are_read_as_text():
    assert text_columns(usecase()) == {"id", "region", "purpose", "sex"}
    label = {"name": "bad", "column": "status", "bad": ["1"], "good": ["0"]}
    assert text_columns(usecase({"label": label})) == {"id", "region", "purpose", "sex", "status"}


def test_a_batch_of_no_row_is_sound():
    found = validate(batch(), usecase())
    assert found.rejects == []
    assert len(found.records) == 0
    assert found.records.schema == lake_schema(usecase())


def test_a_batch_of_rejects_leaves_no_record():
    found = validate(batch({"id": None}, {"id": None}), usecase())
    assert len(found.records) == 0
    assert [(reject.row, reject.key) for reject in found.rejects] == [(0, None), (1, None)]


ODD = st.sampled_from(
    [None, "", "0", "-1", "x", "NaN", "inf", "1e400", "2003-06-30", "0001-01-01", "9999-12-31", "-5%"]
)

WHYS = {
    *("missing", "not an ISO date", "before asked_on", "not a number", "not a finite number", "not an amount of money"),
    *("below 0", "above 10", "not one of car, home"),
}
"""All that may be said of the columns of RECORD: whatever else was said could hold a value."""


@given(
    st.lists(
        st.fixed_dictionaries(dict.fromkeys(RECORD, ODD | st.text(st.characters(codec="utf-8"), max_size=4))),
        max_size=6,
    )
)
@example([dict.fromkeys(RECORD, "date")])
def test_every_row_is_either_a_record_or_a_reject_that_names_no_value(rows):
    found = validate(batch(*rows), usecase())
    assert len(found.records) + len(found.rejects) == len(rows)
    for reject in found.rejects:
        assert reject.reasons
        for reason in reject.reasons:
            assert isinstance(reason, Reason)
            assert reason.why in WHYS


@given(
    st.lists(
        st.sampled_from([{}, {"amount": "x"}, {"id": None}, {"purpose": "boat"}, {"lost_on": "2004-01-01"}]), max_size=8
    ),
    st.integers(0, 8),
)
def test_rows_are_judged_alone_however_they_are_cut_into_batches(changes, cut):
    whole = validate(batch(*changes), usecase())
    parts = [validate(batch(*changes[:cut]), usecase()), validate(batch(*changes[cut:]), usecase())]
    assert whole.records.to_pylist() == [record for part in parts for record in part.records.to_pylist()]
    assert [reject.reasons for reject in whole.rejects] == [reject.reasons for part in parts for reject in part.rejects]


AGE = {"features.age": {"type": "number", "from": "asked_on - born_on", "parse": "year:%b-%y", "min": 0}}


def aged(asked_on: str | datetime, born_on: str):
    made = usecase({**AGE, "event_time": {"column": "asked_on", "parse": "date:%b-%y"}})
    row = RECORD | {"asked_on": asked_on, "born_on": born_on}
    kinds = {
        name: pa.timestamp("us", "UTC") if isinstance(cell, datetime) else pa.string() for name, cell in row.items()
    }
    raw = pa.RecordBatch.from_arrays([pa.array([row[name]], kinds[name]) for name in row], list(row))
    return validate(raw, made)


@pytest.mark.parametrize("asked_on", ["Jan-15", datetime(2015, 1, 1, tzinfo=UTC)], ids=["text", "date"])
@pytest.mark.parametrize(("born_on", "years"), [("Jan-90", 1990.0), ("Jan-62", 1962.0), ("Jan-15", 2015.0)])
def test_a_year_of_two_digits_is_never_after_the_event(asked_on, born_on, years):
    found = aged(asked_on, born_on)
    assert found.rejects == []
    assert found.records.column("born_on").to_pylist() == [years]
    assert found.records.column("asked_on").to_pylist() == [2015.0]


def test_a_difference_of_years_out_of_its_range_is_a_reject():
    (reject,) = aged("Jan-15", "Mar-15").rejects
    assert reject.reasons == (Reason("age", "below 0"),)


def test_a_record_without_an_event_of_its_own_dates_from_its_arrival():
    label = {"name": "bad", "column": "lost_on", "bad": ["yes"], "good": ["no"]}
    made = usecase({"event_time": None, "split": {"by": "random"}, "label": label})
    assert "asked_on" not in source_columns(made)
    record = validate(batch({}), made).records.to_pylist()[0]
    assert record["_event_time"] == record["_arrived_at"] == datetime(2003, 6, 30, 18, tzinfo=UTC)
    (reject,) = validate(batch({"changed_at": None}), made).rejects
    assert reject.reasons == (Reason("changed_at", "missing"),)


def test_a_feature_of_another_name_is_read_from_its_column_and_kept_under_its_own():
    made = usecase({"features.coast": {"type": "category", "column": "region", "parse": "prefix:1"}})
    assert source_columns(made).count("region") == 1
    assert "coast" not in source_columns(made)
    record = validate(batch({}), made).records.to_pylist()[0]
    assert (record["region"], record["coast"]) == ("north", "n")


STATUS = {"label": {"name": "bad", "column": "sex", "bad": ["Charged Off"], "good": ["Paid"]}, "protected": []}
GRADE = {
    "task": "multiclass",
    "label": {"name": "grade", "column": "sex", "classes": ["A", "B", "C"]},
    "objective": {"metric": "roc_auc"},
    "protected": [],
}


@pytest.mark.parametrize(("label", "value"), [(STATUS, "charged off"), (STATUS, "PAID"), (GRADE, "b")])
def test_a_declared_outcome_in_another_spelling_is_refused_and_named(label, value):
    ((column, why),) = reasons({"sex": value}, label)
    assert column == "sex"
    assert "in another spelling" in why


@pytest.mark.parametrize("value", ["Charged Off", "Paid", "open", None])
def test_an_outcome_as_declared_or_not_known_yet_is_taken_in(value):
    assert reasons({"sex": value}, STATUS) == []


def test_two_spellings_that_are_both_declared_are_both_taken_in():
    both = STATUS["label"] | {"bad": ["Charged Off", "charged off"]}
    assert reasons({"sex": "charged off"}, STATUS | {"label": both}) == []
