import re
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from refit.errors import DataError
from refit.intake.loading import LONGEST_KEY, Seen, load_rows, table_columns
from refit.intake.validate import Reason
from tests.unit.usecase.declared import usecase

LOADED = datetime(2004, 1, 1, 12, tzinfo=UTC)
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


def load(*changes: dict, seen: Seen | None = None, made=None):
    rows = [ROW | change for change in changes]
    raw = pa.RecordBatch.from_arrays([pa.array([row[name] for row in rows]) for name in ROW], list(ROW))
    return load_rows(raw, made or usecase(), Seen() if seen is None else seen, LOADED)


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
    seen = Seen()
    assert load({"id": "a"}, {"id": "b"}, {"id": "a"}, seen=seen).refused.keys() == {2}
    assert load({"id": "b"}, {"id": "c"}, seen=seen).refused.keys() == {0}
    assert seen.keys == {"a", "b", "c"}


def test_keys_that_differ_in_a_blank_are_two_and_one_of_blanks_is_missing():
    told = ["A1", "A1 ", "\u00a0A2", " ", "A1"]
    found = load(*({"id": key} for key in told))
    assert found.rows.column("id").to_pylist() == told[:3]
    assert {row: why for row, (why,) in found.refused.items()} == {
        3: Reason("id", "missing"),
        4: Reason("id", "the key stands in this file before"),
    }


def test_keys_of_a_dictionary_keep_their_blanks():
    columns = [pa.array([ROW[name]]) if name != "id" else pa.array(["x "]).dictionary_encode() for name in ROW]
    found = load_rows(pa.RecordBatch.from_arrays(columns, list(ROW)), usecase(), Seen(), LOADED)
    assert found.rows.column("id").to_pylist() == ["x "]


def test_a_key_of_a_type_without_a_plain_text_is_refused():
    columns = [pa.array([ROW[name]]) if name != "id" else pa.array([["x"]]) for name in ROW]
    found = load_rows(pa.RecordBatch.from_arrays(columns, list(ROW)), usecase(), Seen(), LOADED)
    assert "where a text belongs" in found.refused[0][0].why


def test_a_refused_row_does_not_take_its_key():
    found = load({"id": "a", "amount": "x"}, {"id": "a"})
    assert found.refused.keys() == {0}
    assert found.rows.column("id").to_pylist() == ["a"]


def test_a_typed_key_keeps_every_digit():
    raw = load({}).rows
    columns = dict(zip(raw.schema.names, raw.columns, strict=True)) | {"id": pa.array([1234567890123.0])}
    rows = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    assert load_rows(rows, usecase(), Seen(), LOADED).rows.column("id").to_pylist() == ["1234567890123"]


def test_a_column_that_is_no_plain_value_refuses_the_file():
    raw = load({}).rows
    columns = dict(zip(raw.schema.names, raw.columns, strict=True)) | {"note": pa.array([[1, 2]])}
    rows = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    with pytest.raises(DataError, match="column note holds list"):
        load_rows(rows, usecase(), Seen(), LOADED)


def test_a_number_in_unknown_is_missing_from_the_start():
    made = usecase({"features.amount": {"type": "number", "unknown": ["n/a", "-1"]}})
    found = load({"amount": "n/a"}, {"id": "B", "amount": "-1"}, {"id": "C", "amount": "2"}, made=made)
    assert found.rows.column("amount").to_pylist() == [None, None, 2.0]


PLAIN = {name: cell for name, cell in ROW.items() if name not in {"id", "changed_at"}}
DATELESS = {"source.key": None, "source.arrived_at": None, "event_time": None, "split": {"by": "random"},
            "label": {"name": "bad", "column": "lost_on", "bad": ["yes"], "good": ["no"]}}  # fmt: skip


def plain(*rows: dict, seen: Seen | None = None) -> list[dict]:
    raw = pa.RecordBatch.from_pylist(list(rows))
    return load_rows(raw, usecase(DATELESS), seen or Seen(), LOADED).rows.to_pylist()


def test_a_file_without_key_and_date_gets_an_id_of_its_content_and_the_moment_of_the_load():
    (row,) = plain(PLAIN)
    assert re.fullmatch("[0-9a-f]{16}-1", row["record_id"])
    assert row["loaded_at"] == LOADED
    assert dict(table_columns(list(PLAIN), usecase(DATELESS)))["loaded_at"] == "timestamp with time zone"


def test_rows_alike_are_counted_through_over_the_whole_file():
    seen = Seen()
    first, second = plain(PLAIN, PLAIN, seen=seen)
    (third,) = plain(PLAIN, seen=seen)
    stem = first["record_id"].removesuffix("1")
    assert [row["record_id"] for row in (first, second, third)] == [f"{stem}1", f"{stem}2", f"{stem}3"]


def test_an_id_depends_on_every_cell_and_on_no_order_of_columns():
    turned = dict(reversed(PLAIN.items()))
    assert plain(PLAIN)[0]["record_id"] == plain(turned)[0]["record_id"]
    for name in PLAIN:
        assert plain(PLAIN | {name: "7"})[0]["record_id"] != plain(PLAIN)[0]["record_id"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"region": "a,b", "purpose": "c"}, {"region": "a", "purpose": "b,c"}),
        ({"region": 'a","b', "purpose": ""}, {"region": "a", "purpose": "b"}),
        ({"region": "", "purpose": "x"}, {"region": "x", "purpose": ""}),
        ({"region": None}, {"region": ""}),
    ],
    ids=["a comma", "a quote", "another column", "missing and empty"],
)
def test_cells_that_join_to_one_text_make_two_ids(one, other):
    assert plain(PLAIN | one)[0]["record_id"] != plain(PLAIN | other)[0]["record_id"]


def test_a_file_that_has_the_columns_itself_keeps_them():
    (row,) = plain(PLAIN | {"record_id": "mine", "loaded_at": "2003-01-01"})
    assert (row["record_id"], row["loaded_at"]) == ("mine", datetime(2003, 1, 1, tzinfo=UTC))


def test_a_key_of_the_lenders_own_is_never_made_up():
    with pytest.raises(DataError, match="the file lacks id, changed_at"):
        table_columns(list(PLAIN), usecase())


def test_a_label_column_that_the_file_lacks_refuses_it():
    with pytest.raises(DataError, match="the file lacks lost_on"):
        table_columns([name for name in PLAIN if name != "lost_on"], usecase(DATELESS))


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999"])
def test_an_infinite_number_is_a_reject(cell):
    assert reasons({"amount": cell}) == {0: ["amount: not a finite number"]}


def test_an_infinite_float_is_a_reject():
    rows = load({}).rows
    columns = dict(zip(rows.schema.names, rows.columns, strict=True)) | {"amount": pa.array([float("inf")])}
    found = load_rows(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)), usecase(), Seen(), LOADED)
    assert found.refused[0][0].why == "not a finite number"


def test_a_column_that_two_features_read_each_its_own_way_stays_a_text():
    made = usecase({"features.head": {"type": "category", "column": "amount", "parse": "prefix:1"}})
    assert dict(table_columns(list(ROW), made))["amount"] == "text"
    assert load({}, made=made).rows.column("amount").to_pylist() == ["1200"]
