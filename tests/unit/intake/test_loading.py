from datetime import UTC, datetime

import pyarrow as pa
import pytest

from refit.errors import DataError
from refit.intake.loading import LONGEST_KEY, load_rows, table_columns
from tests.unit.usecase.declared import usecase

ROW = {
    "id": "A1",
    "changed_at": "2003-06-30",
    "asked_on": "2003-06-30",
    "amount": "1200",
    "income": "$60,000.00",
    "region": " north ",
    "purpose": "boat",
    "sex": "f",
    "lost_on": "",
    "note": "as it stands ",
}


def load(*changes: dict, keys: set[str] | None = None, made=None):
    rows = [ROW | change for change in changes]
    raw = pa.RecordBatch.from_arrays([pa.array([row[name] for row in rows]) for name in ROW], list(ROW))
    return load_rows(raw, made or usecase(), set() if keys is None else keys)


def reasons(*changes: dict) -> dict[int, list[str]]:
    found = load(*changes)
    assert len(found.rows) == len(changes) - len(found.refused)
    return {row: [f"{reason.column}: {reason.why}" for reason in why] for row, why in found.refused.items()}


def test_numbers_and_dates_of_the_contract_are_typed_and_texts_stay_as_they_stand():
    assert load({}).rows.to_pylist() == [
        {
            "id": "A1",
            "changed_at": datetime(2003, 6, 30, tzinfo=UTC),
            "asked_on": datetime(2003, 6, 30, tzinfo=UTC),
            "amount": 1200.0,
            "income": 60000.0,
            "region": " north ",
            "purpose": "boat",
            "sex": "f",
            "lost_on": None,
            "note": "as it stands ",
        }
    ]


def test_the_table_has_a_column_of_the_right_type_for_each_of_the_file():
    assert dict(table_columns(list(ROW), usecase())) == {
        "id": "text",
        "changed_at": "timestamp with time zone",
        "asked_on": "timestamp with time zone",
        "amount": "double precision",
        "income": "double precision",
        "region": "text",
        "purpose": "text",
        "sex": "text",
        "lost_on": "timestamp with time zone",
        "note": "text",
    }


def test_a_file_without_a_column_of_the_contract_is_refused_as_a_whole():
    with pytest.raises(DataError, match="the file lacks income, lost_on, which use case loans reads; it has id, "):
        table_columns([name for name in ROW if name not in {"income", "lost_on"}], usecase())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"id": ""}, "id: missing"),
        ({"id": None}, "id: missing"),
        ({"id": "x" * (LONGEST_KEY + 1)}, "id: longer than 2,000 bytes"),
        ({"id": "é" * LONGEST_KEY}, "id: longer than 2,000 bytes"),
        ({"changed_at": ""}, "changed_at: missing"),
        ({"changed_at": "soon"}, "changed_at: not an ISO date"),
        ({"asked_on": "2003-02-29"}, "asked_on: not an ISO date"),
        ({"lost_on": "n/a"}, "lost_on: not an ISO date"),
        ({"amount": "much"}, "amount: not a number"),
        ({"income": "0,5"}, "income: not an amount of money"),
        ({"note": "a\0b"}, "note: a NUL character"),
        ({"id": "a\0b"}, "id: a NUL character"),
    ],
    ids=lambda part: part[:40] if isinstance(part, str) else "",
)
def test_a_row_that_does_not_parse_is_refused_with_its_reason(change, why):
    assert reasons({"id": "first"}, change, {"id": "last"}) == {1: [why]}


def test_what_the_contract_forbids_but_parses_is_the_lenders_to_hold():
    assert reasons({"amount": "-1", "purpose": "boat"}) == {}


def test_the_first_of_a_key_counts_over_the_whole_file():
    keys: set[str] = set()
    assert load({"id": "a"}, {"id": "b"}, {"id": "a"}, keys=keys).refused.keys() == {2}
    assert load({"id": " b "}, {"id": "c"}, keys=keys).refused.keys() == {0}
    assert keys == {"a", "b", "c"}


def test_a_refused_row_does_not_take_its_key():
    found = load({"id": "a", "amount": "x"}, {"id": "a"})
    assert found.refused.keys() == {0}
    assert found.rows.column("id").to_pylist() == ["a"]


def test_a_typed_key_keeps_every_digit():
    raw = load({}).rows
    columns = dict(zip(raw.schema.names, raw.columns, strict=True)) | {"id": pa.array([1234567890123.0])}
    rows = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    assert load_rows(rows, usecase(), set()).rows.column("id").to_pylist() == ["1234567890123"]


def test_a_column_that_is_no_plain_value_refuses_the_file():
    raw = load({}).rows
    columns = dict(zip(raw.schema.names, raw.columns, strict=True)) | {"note": pa.array([[1, 2]])}
    rows = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    with pytest.raises(DataError, match="column note holds list"):
        load_rows(rows, usecase(), set())


def test_a_number_in_unknown_is_missing_from_the_start():
    made = usecase({"features.amount": {"type": "number", "unknown": ["n/a", "-1"]}})
    found = load({"amount": "n/a"}, {"id": "B", "amount": "-1"}, {"id": "C", "amount": "2"}, made=made)
    assert found.rows.column("amount").to_pylist() == [None, None, 2.0]
