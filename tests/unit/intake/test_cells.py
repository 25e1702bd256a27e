from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.intake.cells import ARROW_TYPES, as_bytes, as_texts, read_cells
from refit.usecase.parsing import parse_rule

RULES = ["number", "money", "percent", "first_number", "date", "date:%d-%b-%y", "text", "upper", "prefix:2", "suffix:3"]
CELLS = (
    st.none()
    | st.sampled_from(
        [
            "",
            " ",
            "n/a",
            "1",
            "1,200",
            "$5",
            "5%",
            "3 orang",
            "x",
            "2003-06-30",
            "30-Jun-03",
            "31-Feb-03",
            "1e400",
            "\u00a0",
        ]
    )
    | st.text(max_size=6)
)


@pytest.mark.parametrize("rule", RULES)
@given(cells=st.lists(CELLS, max_size=12))
def test_a_column_of_text_reads_as_each_of_its_cells(rule, cells):
    parsed = parse_rule(rule)
    values, problems = [], {}
    for row, cell in enumerate(cells):
        try:
            values.append(None if cell is None else parsed.read(cell, ("n/a",)))
        except ValueError as error:
            values.append(None)
            problems[row] = str(error)
    found = read_cells(pa.array(cells, pa.string()), parsed, ("n/a",))
    assert found.values.to_pylist() == values
    assert dict(found.problems) == problems
    assert found.values.type == ARROW_TYPES[parsed.kind]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_way_arrow_holds_text_is_read_alike(kind):
    found = read_cells(pa.array(["1", None, "x"], pa.string()).cast(kind), parse_rule("number"))
    assert found.values.to_pylist() == [1.0, None, None]
    assert found.problems == {2: "not a number"}


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        (pa.array([1, None, -3], pa.int16()), [1.0, None, -3.0]),
        (pa.array([2**63 - 1], pa.int64()), [2.0**63]),
        (pa.array([2**64 - 1], pa.uint64()), [2.0**64]),
        (pa.array([1.5, None], pa.float32()), [1.5, None]),
        (pa.array([1.5], pa.float16()), [1.5]),
        (pa.array([Decimal("1.25"), None], pa.decimal128(5, 2)), [1.25, None]),
        (pa.array([True, False, None]), [1.0, 0.0, None]),
        (pa.array([float("nan"), 1.0]), [None, 1.0]),
        (pa.nulls(2), [None, None]),
        (pa.array([], pa.int32()), []),
    ],
    ids=lambda part: str(part.type) if isinstance(part, pa.Array) else "",
)
def test_a_column_of_numbers_is_taken_as_it_is(raw, values):
    found = read_cells(raw, parse_rule("money"))
    assert found.values.to_pylist() == values
    assert found.problems == {}


def test_a_number_that_stands_for_unknown_holds_no_value():
    found = read_cells(pa.array([0, 1, None, -9]), parse_rule("number"), ("0", "-9.0", "n/a"))
    assert found.values.to_pylist() == [None, 1.0, None, None]
    assert found.problems == {}


def test_an_infinite_number_is_refused():
    found = read_cells(pa.array([1.0, float("inf"), None, float("-inf"), float("nan")]), parse_rule("number"))
    assert found.values.to_pylist() == [1.0, None, None, None, None]
    assert found.problems == dict.fromkeys((1, 3), "not a finite number")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (pa.array([date(2003, 6, 30)]), datetime(2003, 6, 30, tzinfo=UTC)),
        (pa.array([date(2003, 6, 30)], pa.date64()), datetime(2003, 6, 30, tzinfo=UTC)),
        (pa.array([datetime(2003, 6, 30, 18)], pa.timestamp("us")), datetime(2003, 6, 30, 18, tzinfo=UTC)),  # noqa: DTZ001 - a column without zone
        (pa.array([1500], pa.int64()).cast(pa.timestamp("ns")), datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        (pa.array([1], pa.int64()).cast(pa.timestamp("s")), datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        (
            pa.array([datetime(2003, 6, 30, 18, tzinfo=UTC)], pa.timestamp("ms", "Asia/Jakarta")),
            datetime(2003, 6, 30, 18, tzinfo=UTC),
        ),
    ],
    ids=lambda part: str(part.type) if isinstance(part, pa.Array) else "",
)
def test_a_column_of_dates_is_taken_as_it_is_in_utc(raw, value):
    found = read_cells(raw, parse_rule("date:%d-%b-%y"))
    assert found.values.to_pylist() == [value]
    assert found.values.type == pa.timestamp("us", "UTC")


def test_a_date_no_calendar_of_python_holds_is_refused():
    microseconds = [0, 2**63 - 1, -(2**63), None, 253_402_300_800_000_000, -62_135_596_800_000_001]
    found = read_cells(pa.array(microseconds, pa.int64()).cast(pa.timestamp("us")), parse_rule("date"))
    assert found.values.to_pylist() == [datetime(1970, 1, 1, tzinfo=UTC), *[None] * 5]
    assert found.problems == dict.fromkeys((1, 2, 4, 5), "a date out of range")


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (pa.array([[1], None]), "number"),
        (pa.array([{"a": 1}, None]), "text"),
        (pa.array([[1], None]), "date"),
        (pa.array([datetime(2003, 6, 30), None]), "number"),  # noqa: DTZ001 - a column without zone
        (pa.array([date(2003, 6, 30), None]), "money"),
        (pa.array([time(1), None]), "number"),
        (pa.array([timedelta(1), None]), "percent"),
        (pa.array([b"\xff", None]), "number"),
        (pa.array([b"\xff", None]), "text"),
        (pa.array([20030630, None]), "date"),
        (pa.array([True, None]), "date"),
    ],
    ids=lambda part: part if isinstance(part, str) else str(part.type),
)
def test_a_column_of_a_wrong_type_is_refused_cell_by_cell(raw, rule):
    found = read_cells(raw, parse_rule(rule))
    assert found.values.to_pylist() == [None, None]
    assert found.values.type == ARROW_TYPES[parse_rule(rule).kind]
    assert list(found.problems) == [0]
    assert "belongs" in found.problems[0]


@pytest.mark.parametrize(
    ("raw", "texts"),
    [
        (pa.array([722110.0, 1.5, None, float("nan")]), ["722110", "1.5", None, None]),
        (pa.array([1234567890123.0, 2.0**52, -3.0]), ["1234567890123", "4503599627370496", "-3"]),
        (pa.array([7, None]), ["7", None]),
        (pa.array([True]), ["true"]),
        (pa.array([Decimal(12345678901234567890)], pa.decimal128(20, 0)), ["12345678901234567890"]),
        (pa.array([date(2003, 6, 30)]), ["2003-06-30"]),
    ],
    ids=lambda part: str(part.type) if isinstance(part, pa.Array) else "",
)
def test_a_typed_column_as_text_keeps_every_digit(raw, texts):
    assert as_texts(raw).to_pylist() == texts
    assert read_cells(raw, parse_rule("text")).values.to_pylist() == texts


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1), min_size=1, max_size=8), st.booleans())
def test_a_whole_number_reads_the_same_whatever_stands_beside_it(numbers, beside_a_fraction):
    column = [float(number) for number in numbers] + [0.5] * beside_a_fraction
    assert as_texts(pa.array(column)).to_pylist()[: len(numbers)] == [str(number) for number in numbers]


def test_a_row_is_kept_as_json_whatever_it_holds():
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([1, 2]),
            pa.array(["x", 'a"\0é']),
            pa.array([0, 2**63 - 1]).cast(pa.timestamp("us", "UTC")),
            pa.array([None, date(2003, 6, 30)]),
            pa.array([0.5, float("inf")]),
        ],
        names=["n", "t", "m", "d", "f"],
    )
    assert as_bytes(batch, 0) == b'{"n": 1, "t": "x", "m": "1970-01-01 00:00:00.000000Z", "d": null, "f": 0.5}'
    assert b"2003-06-30" in as_bytes(batch, 1)
    assert b"Infinity" in as_bytes(batch, 1)
