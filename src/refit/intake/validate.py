"""Rows of the source against the contract: what the lake takes, and what is refused and why."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from refit.intake.cells import ARROW_TYPES, MOMENT, NO, as_texts, read_cells
from refit.usecase.label import Multiclass, OutcomeClass, OutcomeDate
from refit.usecase.model import InputColumn, UseCase
from refit.usecase.parsing import ParseRule, parse_rule

KEY: Final = "_key"
ARRIVED_AT: Final = "_arrived_at"
EVENT_TIME: Final = "_event_time"
TEXT: Final = parse_rule("text")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a record was refused: the column and what is wrong there, never the value."""

    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A row the contract refused: its place in what was read, its key if it has one, and every reason."""

    row: int
    key: str | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Validated:
    """What one read gave: the accepted records, typed by `lake_schema`, and the rejects."""

    records: pa.RecordBatch
    rejects: list[Reject] = field(default_factory=list)


def source_columns(usecase: UseCase) -> list[str]:
    """Return every column `refit` reads of the source table, each once: no column that is known later is among them."""
    label = list(usecase.label_columns)
    inputs = [column.column for column in usecase.inputs.values()]
    columns = [usecase.source.key, usecase.source.arrived_at, usecase.event_column, *inputs]
    return list(dict.fromkeys([*columns, *usecase.protected, *label]))


def text_columns(usecase: UseCase) -> set[str]:
    """Return the columns that are read as text, whatever they are in the table: a key of NUMERIC keeps every digit."""
    texts = {column.column for column in usecase.inputs.values() if column.type == "category"}
    texts |= {name for name, rule in usecase.label_columns.items() if rule.kind == "text"}
    return {usecase.source.key, *texts, *usecase.protected}


def lake_schema(usecase: UseCase) -> pa.Schema:
    """Return the columns of a batch: key and moments, inputs, protected and label columns.

    The metadata of each tell how it is read: all that gives a value its meaning, and nothing that may change later.
    """
    event_rule = "date" if usecase.event_time is None else usecase.event_time.parse
    fields = [
        _field(KEY, pa.string(), usecase.source.key, TEXT.text),
        _field(ARRIVED_AT, MOMENT, usecase.source.arrived_at, "date"),
        _field(EVENT_TIME, MOMENT, usecase.event_column, event_rule),
    ]
    for column in usecase.inputs.values():
        kind = pa.float64() if column.type == "number" else pa.string()
        fields.append(_field(column.name, kind, column.column, column.rule, column.unknown))
    fields += [_field(name, pa.string(), name, TEXT.text) for name in usecase.protected]
    fields += [_field(name, ARROW_TYPES[rule.kind], name, rule.text) for name, rule in usecase.label_columns.items()]
    return pa.schema({field.name: field for field in fields}.values())


def _field(name: str, kind: pa.DataType, column: str, rule: str, unknown: Iterable[str] = ()) -> pa.Field:
    words = ", ".join(map(repr, sorted(set(unknown))))
    return pa.field(name, kind, metadata={"column": column, "rule": rule, "unknown": words})


def validate(raw: pa.RecordBatch, usecase: UseCase) -> Validated:
    """Return the typed records of `raw` and its rejects.

    Args:
        raw: (n_rows, n_source_columns) with the columns of `source_columns`, as text or typed.
    """
    refused = _Refused()
    columns = _moments(raw, usecase, refused)
    for column in usecase.inputs.values():
        columns[column.name] = _input(raw.column(column.column), column, columns[EVENT_TIME], refused)
    for name in usecase.protected:
        columns[name] = _read(raw.column(name), name, TEXT, refused)
    for name, rule in usecase.label_columns.items():
        columns[name] = _read(raw.column(name), name, rule, refused)
    _check_derived(columns, usecase, refused)
    _check_outcome(columns, usecase, refused)
    _check_spelling(columns, usecase, refused)
    schema = lake_schema(usecase)
    records = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
    if not refused.reasons:
        return Validated(records)
    keep = np.ones(len(records), dtype=bool)
    keep[list(refused.reasons)] = False
    keys = columns[KEY]
    rejects = [Reject(row, keys[row].as_py(), tuple(why)) for row, why in sorted(refused.reasons.items())]
    return Validated(records.filter(pa.array(keep)), rejects)


class _Refused:
    """Collects reasons by row, in the order the columns are looked at."""

    def __init__(self) -> None:
        self.reasons: dict[int, list[Reason]] = defaultdict(list)

    def add(self, rows: Iterable[int], column: str, why: str) -> None:
        for row in rows:
            self.reasons[int(row)].append(Reason(column, why))

    def add_where(self, mask: pa.Array, column: str, why: str) -> None:
        if pc.any(mask).as_py():
            self.add(np.flatnonzero(mask.fill_null(NO).to_numpy(zero_copy_only=False)), column, why)


def _read(raw: pa.Array, name: str, rule: ParseRule, refused: _Refused, unknown: tuple[str, ...] = ()) -> pa.Array:
    cells = read_cells(raw, rule, unknown)
    for row, why in cells.problems.items():
        refused.add([row], name, why)
    return cells.values


def _moments(raw: pa.RecordBatch, usecase: UseCase, refused: _Refused) -> dict[str, pa.Array]:
    """Read key, arrival and event; each must be there. A record without an event of its own dates from its arrival."""
    source, event = usecase.source, usecase.event_time
    key = _key(raw.column(source.key), source.key, refused)
    arrived_at = _read(raw.column(source.arrived_at), source.arrived_at, parse_rule("date"), refused)
    named = {source.key: key, source.arrived_at: arrived_at}
    if event is not None:
        named[event.column] = _read(raw.column(event.column), event.column, parse_rule(event.parse), refused)
    for name, values in named.items():
        refused.add_where(_missing_unexplained(values, name, refused), name, "missing")
    return {KEY: key, ARRIVED_AT: arrived_at, EVENT_TIME: named[usecase.event_column]}


def _key(raw: pa.Array, name: str, refused: _Refused) -> pa.Array:
    """Read keys as they stand: two of the source that differ in a blank are two records. One of blanks is missing."""
    trimmed = _read(raw, name, TEXT, refused)
    texts = as_texts(raw.dictionary_decode() if pa.types.is_dictionary(raw.type) else raw)
    return trimmed if texts is None else pc.if_else(trimmed.is_valid(), texts, pa.scalar(None, pa.string()))


def _missing_unexplained(values: pa.Array, column: str, refused: _Refused) -> pa.Array:
    """Null where no problem was named yet: a cell that cannot be read is not missing as well."""
    if values.null_count == 0:
        return pa.array(np.zeros(len(values), dtype=bool))
    named = [row for row, why in refused.reasons.items() if any(reason.column == column for reason in why)]
    mask = values.is_null().to_numpy(zero_copy_only=False).copy()
    mask[named] = False
    return pa.array(mask)


def _input(raw: pa.Array, column: InputColumn, event_time: pa.Array, refused: _Refused) -> pa.Array:
    rule = parse_rule(column.rule)
    values = _read(raw, column.name, rule, refused, column.unknown)
    if rule.short_year and not pa.types.is_temporal(raw.type):
        values = _not_after(values, event_time)
    if column.required:
        refused.add_where(_missing_unexplained(values, column.name, refused), column.name, "missing")
    if column.type == "number":
        _check_range(values, column.name, column.min, column.max, refused)
    elif column.choices is not None:
        strange = pc.and_(values.is_valid(), pc.invert(pc.is_in(values, pa.array(column.choices, pa.string()))))
        refused.add_where(strange, column.name, f"not one of {', '.join(column.choices)}")
    return values


def _not_after(years: pa.Array, event_time: pa.Array) -> pa.Array:
    """Take a year of two digits for one of the century before, where it would lie after the record's own event."""
    return pc.if_else(pc.greater(pc.floor(years), pc.year(event_time)), pc.subtract(years, 100.0), years)


def _check_range(values: pa.Array, name: str, low: float | None, high: float | None, refused: _Refused) -> None:
    if (low is None and high is None) or values.null_count == len(values):
        return
    seen = pc.min_max(values)
    if low is not None and seen["min"].as_py() < low:
        refused.add_where(pc.less(values, low), name, f"below {low:g}")
    if high is not None and seen["max"].as_py() > high:
        refused.add_where(pc.greater(values, high), name, f"above {high:g}")


def _check_derived(columns: dict[str, pa.Array], usecase: UseCase, refused: _Refused) -> None:
    for name, expression in usecase.expressions.items():
        feature = usecase.features[name]
        if feature.min is None and feature.max is None:
            continue
        operands = {operand: as_floats(columns[operand]) for operand in expression.names}
        values = pa.array(expression.evaluate(operands), from_pandas=True)
        _check_range(values, name, feature.min, feature.max, refused)


def _check_outcome(columns: dict[str, pa.Array], usecase: UseCase, refused: _Refused) -> None:
    if isinstance(usecase.label, OutcomeDate):
        name = usecase.label.happened_on.column
        early = pc.less(
            pc.floor_temporal(columns[name], unit="day"), pc.floor_temporal(columns[EVENT_TIME], unit="day")
        )
        refused.add_where(early, name, f"before {usecase.event_column}")


def _check_spelling(columns: dict[str, pa.Array], usecase: UseCase, refused: _Refused) -> None:
    """Refuse an outcome that differs from a declared one in case alone: passed over, it would thin out one outcome."""
    label = usecase.label
    match label:
        case OutcomeClass(column=name, bad=bad, good=good):
            declared = (*bad, *good)
        case Multiclass(column=name, classes=classes):
            declared = classes
        case _:
            return
    values = columns[name]
    known = pc.is_in(values, pa.array(declared, pa.string()))
    alike = pc.is_in(pc.utf8_lower(values), pa.array([text.strip().lower() for text in declared], pa.string()))
    why = f"a declared outcome ({', '.join(declared)}) in another spelling; declare this one too, or mend it"
    refused.add_where(pc.and_(alike, pc.invert(known)), name, why)


def as_floats(values: pa.Array) -> NDArray[np.float64]:
    """Return (n,) floats, NaN for null."""
    return np.asarray(values.fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)
