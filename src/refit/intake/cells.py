"""One column of raw cells becomes typed values and problems, row by row."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.usecase.parsing import Kind, ParseRule

MOMENT: Final = pa.timestamp("us", tz="UTC")
ARROW_TYPES: Final[Mapping[Kind, pa.DataType]] = {"number": pa.float64(), "text": pa.string(), "date": MOMENT}
WHITE_SPACE: Final = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What `str.strip` takes off; the last of it is U+3000."""

NO: Final = pa.scalar(value=False)
NOT_FINITE: Final = "not a finite number"
OUT_OF_RANGE: Final = "a date out of range"
FIRST: Final = pa.scalar(datetime(1, 1, 1, tzinfo=UTC), MOMENT)
LAST: Final = pa.scalar(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), MOMENT)
EXACT: Final = 2.0**53
"""From here on a float is no longer every whole number."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of one column, (n_rows,), null where missing or wrong, and why by row for those that are wrong."""

    values: pa.Array
    problems: Mapping[int, str]


def read_cells(raw: pa.Array, rule: ParseRule, unknown: tuple[str, ...] = ()) -> Cells:
    """Return `raw` as the rule's type. Text is parsed; a column that has the type already is taken as it is."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.cast(raw.type.value_type)
    if pa.types.is_null(raw.type):
        return Cells(pa.nulls(len(raw), ARROW_TYPES[rule.kind]), {})
    if any(holds(raw.type) for holds in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        return _parsed(raw.cast(pa.string()), rule, unknown)
    match rule.kind:
        case "number" if rule.of_date is not None and pa.types.is_temporal(raw.type):
            return _counted(_dates(raw), rule.of_date)
        case "number":
            return _numbers(raw, unknown)
        case "date":
            return _dates(raw)
        case "text":
            texts = as_texts(raw)
            return _unfit(raw, pa.string(), "a text") if texts is None else _parsed(texts, rule, unknown)


def as_texts(raw: pa.Array) -> pa.Array | None:
    """Return the column as text, a whole number without a decimal point; None for a type that has no plain text."""
    try:
        if not pa.types.is_floating(raw.type):
            return raw.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return None
    floats = raw.cast(pa.float64())
    whole = pc.and_(pc.equal(floats, pc.trunc(floats)), pc.less(pc.abs(floats), EXACT))
    as_whole = pc.if_else(whole, floats, 0.0).cast(pa.int64()).cast(pa.string())
    texts = pc.if_else(whole, as_whole, floats.cast(pa.string()))
    return pc.if_else(pc.is_nan(floats), pa.scalar(None, pa.string()), texts)


def as_bytes(raw: pa.RecordBatch, row: int) -> bytes:
    """Return a row as it was read, as JSON; a date that no calendar of Python holds is written out too."""
    record = {}
    for name, values in zip(raw.schema.names, raw.columns, strict=True):
        cell = values.slice(row, 1)
        record[name] = (cell.cast(pa.string()) if pa.types.is_temporal(cell.type) else cell)[0].as_py()
    return json.dumps(record, default=str).encode()


def _unfit(raw: pa.Array, wanted: pa.DataType, belongs: str) -> Cells:
    """Refuse every value of a column that is of a wrong type altogether."""
    rows = np.flatnonzero(raw.is_valid().to_numpy(zero_copy_only=False))
    return Cells(pa.nulls(len(raw), wanted), {int(row): f"a {raw.type} where {belongs} belongs" for row in rows})


def _trimmed(raw: pa.Array, unknown: tuple[str, ...]) -> Cells:
    """Do to a whole column what the rule `text` does to a cell: a column of keys has no text twice."""
    texts = pc.utf8_trim(raw, characters=WHITE_SPACE)
    empty = pc.is_in(texts, pa.array(["", *unknown], pa.string()))
    return Cells(pc.if_else(empty, pa.scalar(None, pa.string()), texts), {})


def _parsed(raw: pa.Array, rule: ParseRule, unknown: tuple[str, ...]) -> Cells:
    """Parse each distinct text once."""
    if rule.text == "text":
        return _trimmed(raw, unknown)
    encoded = raw.dictionary_encode()
    values: list[Any] = []
    wrong: dict[int, str] = {}
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            values.append(rule.read(text, unknown))
        except ValueError as error:
            values.append(None)
            wrong[code] = str(error)
    typed = pa.array(values, ARROW_TYPES[rule.kind]).take(encoded.indices)
    return Cells(typed, _by_row(encoded.indices, wrong))


def _by_row(indices: pa.Array, wrong: Mapping[int, str]) -> dict[int, str]:
    if not wrong:
        return {}
    codes = indices.fill_null(-1).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(np.isin(codes, list(wrong)))
    return {int(row): wrong[int(codes[row])] for row in rows}


def _numbers(raw: pa.Array, unknown: tuple[str, ...]) -> Cells:
    if not (pa.types.is_primitive(raw.type) or pa.types.is_decimal(raw.type)) or pa.types.is_temporal(raw.type):
        return _unfit(raw, pa.float64(), "a number")
    values = raw.cast(pa.float64(), safe=False)
    for text in unknown:
        try:
            values = pc.if_else(pc.equal(values, float(text)), pa.scalar(None, pa.float64()), values)
        except ValueError:
            continue  # a text that stands for unknown in a file of text; numbers cannot hold it
    if pc.all(pc.is_finite(values)).as_py() is not False:  # null is neither
        return Cells(values, {})
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    infinite = pc.is_inf(values).fill_null(NO)
    if not pc.any(infinite).as_py():
        return Cells(values, {})
    rows = np.flatnonzero(infinite.to_numpy(zero_copy_only=False))
    return Cells(pc.if_else(infinite, pa.scalar(None, pa.float64()), values), {int(r): NOT_FINITE for r in rows})


def _counted(dates: Cells, of_date: Callable[[datetime], float]) -> Cells:
    """Make each distinct date a number."""
    encoded = dates.values.dictionary_encode()
    numbers = pa.array([of_date(moment) for moment in encoded.dictionary.to_pylist()], pa.float64())
    return Cells(numbers.take(encoded.indices), dates.problems)


def _dates(raw: pa.Array) -> Cells:
    if not (pa.types.is_timestamp(raw.type) or pa.types.is_date(raw.type)):
        return _unfit(raw, MOMENT, "a date")
    try:
        values = raw.cast(MOMENT)
    except pa.ArrowInvalid:  # of nanoseconds, the last three digits go
        values = raw.cast(MOMENT, safe=False)
    span = pc.min_max(values)
    if not span["min"].is_valid or (FIRST.value <= span["min"].value and span["max"].value <= LAST.value):
        return Cells(values, {})
    inside = pc.and_(pc.greater_equal(values, FIRST), pc.less_equal(values, LAST)).fill_null(NO)
    rows = np.flatnonzero(pc.and_not(values.is_valid(), inside).to_numpy(zero_copy_only=False))
    typed = pc.if_else(inside, values, pa.scalar(None, MOMENT))
    return Cells(typed, {int(row): OUT_OF_RANGE for row in rows})
