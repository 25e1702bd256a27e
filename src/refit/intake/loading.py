"""Rows of a file as the source table shall hold them: contract columns typed where they are numbers or dates."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.errors import DataError
from refit.intake.cells import MOMENT, NO, as_texts, read_cells
from refit.intake.validate import Reason, source_columns
from refit.usecase.model import LOADED_AT, RECORD_ID, UseCase
from refit.usecase.parsing import Kind, ParseRule, parse_rule

SQL_TYPES: Final[Mapping[Kind, str]] = {
    "number": "double precision",
    "text": "text",
    "date": "timestamp with time zone",
}

LONGEST_KEY: Final = 2_000
"""Bytes of a key: an index of Postgres takes no more than 2,704 (PostgreSQL source, nbtree.h, BTMaxItemSize)."""


DIGITS: Final = 16
"""Hexadecimal digits of a record's id: among a million records, one chance in 37 million that two share theirs."""


@dataclass(slots=True)
class Seen:
    """What a load has met of a file so far: the keys, and how often each content."""

    keys: set[str] = field(default_factory=set)
    contents: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The rows that go into the table, and for each row that does not, its index and every reason."""

    rows: pa.RecordBatch
    refused: Mapping[int, tuple[Reason, ...]]


def added_columns(names: Sequence[str], usecase: UseCase) -> list[str]:
    """Return which of `record_id` and `loaded_at` the use case goes by and a file with these columns lacks."""
    source = usecase.source
    wanted = [column for column in (source.key, source.arrived_at) if column in (RECORD_ID, LOADED_AT)]
    return [column for column in wanted if column not in names]


def table_columns(names: Sequence[str], usecase: UseCase) -> list[tuple[str, str]]:
    """Return name and SQL type of each column of the source table that a file with these columns fills.

    Raises:
        DataError: A column of the contract is missing from the file.
    """
    filled = [*names, *added_columns(names, usecase)]
    if missing := [name for name in source_columns(usecase) if name not in filled]:
        raise DataError(
            f"the file lacks {', '.join(missing)}, which use case {usecase.name} reads; it has {', '.join(names)}"
        )
    rules = _rules(usecase)
    return [(name, SQL_TYPES[rules[name].kind] if name in rules else "text") for name in filled]


def load_rows(raw: pa.RecordBatch, usecase: UseCase, seen: Seen, loaded_at: datetime) -> Loaded:
    """Parse the contract's numbers and dates; leave every text as it stands; add the id and the moment a file lacks.

    Args:
        raw: (n_rows, n_columns), all columns of the file.
        seen: What the file held so far; what `raw` holds is added.
        loaded_at: In UTC; what `loaded_at` says where the file has none.
    """
    raw = _completed(raw, usecase, seen, loaded_at)
    rules = _rules(usecase)
    refused: dict[int, list[Reason]] = {}
    columns: dict[str, pa.Array] = {}
    for name in raw.schema.names:
        if name not in rules:
            columns[name] = _texts(raw.column(name), name)
            continue
        cells = read_cells(raw.column(name), rules[name], _unknown(name, usecase))
        columns[name] = cells.values if name != usecase.source.key else _as_it_stands(raw.column(name), cells.values)
        for row, why in cells.problems.items():
            refused.setdefault(row, []).append(Reason(name, why))
    for name, values in columns.items():
        if pa.types.is_string(values.type):
            nul = pc.match_substring(values, "\0").fill_null(NO).to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(nul).tolist():
                refused.setdefault(row, []).append(Reason(name, "a NUL character"))
    _check_keys(columns[usecase.source.key], usecase.source.key, seen.keys, refused)
    arrived_at = usecase.source.arrived_at
    for row in np.flatnonzero(columns[arrived_at].is_null().to_numpy(zero_copy_only=False)).tolist():
        if not any(reason.column == arrived_at for reason in refused.get(row, [])):
            refused.setdefault(row, []).append(Reason(arrived_at, "missing"))
    keep = np.ones(len(raw), dtype=bool)
    keep[list(refused)] = False
    rows = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)).filter(pa.array(keep))
    return Loaded(rows, {row: tuple(reasons) for row, reasons in sorted(refused.items())})


def _as_it_stands(raw: pa.Array, trimmed: pa.Array) -> pa.Array:
    """Return keys with their blanks, as an ingest takes them; one of blanks is missing."""
    texts = _plain(raw)
    return trimmed if texts is None else pc.if_else(trimmed.is_valid(), texts, pa.scalar(None, pa.string()))


def _plain(raw: pa.Array) -> pa.Array | None:
    return as_texts(raw.dictionary_decode() if pa.types.is_dictionary(raw.type) else raw)


def _texts(raw: pa.Array, name: str) -> pa.Array:
    values = _plain(raw)
    if values is None:
        raise DataError(f"column {name} holds {raw.type}; refit loads texts, numbers and dates")
    return values


def _check_keys(values: pa.Array, name: str, keys: set[str], refused: dict[int, list[Reason]]) -> None:
    for row, key in enumerate(values.to_pylist()):
        if key is None:
            refused.setdefault(row, []).append(Reason(name, "missing"))
        elif len(key.encode()) > LONGEST_KEY:
            refused.setdefault(row, []).append(Reason(name, f"longer than {LONGEST_KEY:,} bytes"))
        elif key in keys:
            refused.setdefault(row, []).append(Reason(name, "the key stands in this file before"))
        elif row not in refused:
            keys.add(key)


def _completed(raw: pa.RecordBatch, usecase: UseCase, seen: Seen, loaded_at: datetime) -> pa.RecordBatch:
    added = added_columns(raw.schema.names, usecase)
    if RECORD_ID in added:
        raw = raw.append_column(RECORD_ID, pa.array(_record_ids(raw, seen.contents), pa.string()))
    if LOADED_AT in added:
        raw = raw.append_column(LOADED_AT, pa.array([loaded_at] * len(raw), MOMENT))
    return raw


def _record_ids(raw: pa.RecordBatch, contents: Counter[str]) -> list[str]:
    """Name each row by its cells, whatever the order of the columns, and tell rows of the same cells apart."""
    names = sorted(name for name in raw.schema.names if name != LOADED_AT)
    columns = [_texts(raw.column(name), name).to_pylist() for name in names]
    found = []
    for cells in zip(*columns, strict=True):
        content = json.dumps([names, cells], ensure_ascii=False).encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(content).hexdigest()[:DIGITS]
        contents[digest] += 1
        found.append(f"{digest}-{contents[digest]}")
    return found


def _rules(usecase: UseCase) -> dict[str, ParseRule]:
    """Return how the key and each number and date of the contract is read at load; a text's rule is the intake's.

    So is that of a column several inputs read, each its own way, and of a year, whose century the event decides.
    """
    readers = Counter(column.column for column in usecase.inputs.values())
    rules = {}
    for column in usecase.inputs.values():
        rule = parse_rule(column.rule)
        if rule.kind == "number" and rule.of_date is None and readers[column.column] == 1:
            rules[column.column] = rule
    rules |= {name: rule for name, rule in usecase.label_columns.items() if rule.kind != "text"}
    rules[usecase.source.arrived_at] = parse_rule("date")
    if usecase.event_time is not None:
        rules[usecase.event_time.column] = parse_rule(usecase.event_time.parse)
    rules[usecase.source.key] = parse_rule("text")
    return rules


def _unknown(name: str, usecase: UseCase) -> tuple[str, ...]:
    return next((column.unknown for column in usecase.inputs.values() if column.column == name), ())
