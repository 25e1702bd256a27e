"""One JSON record against the contract: typed inputs, or every bad field at once, never a value."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring.encoder import Cells, as_numbers, by_name, whole
from refit.usecase.expression import Expression
from refit.usecase.model import Feature, InputColumn, UseCase
from refit.usecase.parsing import ParseRule, parse_rule

Value = float | str | None
Inputs = dict[str, Value]

BODY: Final = "body"
MAX_TEXT: Final = 1_000
MAX_NAME: Final = 64
MAX_STRANGE: Final = 20
MAX_COMPARED: Final = 300
"""So many made-up names of one request are compared with the inputs, at some 0.1 ms each, for what may be meant."""
LARGEST: Final = float(np.finfo(np.float32).max)
"""The model reads 32-bit floats; a greater number would reach it as infinity."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that was refused, and why; never its value."""

    field: str
    why: str


def check(record: object, usecase: UseCase) -> tuple[Inputs, list[Problem]]:
    """Return the inputs of one record and its problems; where there is a problem the inputs are not to be used.

    Nothing is coerced: a number in quotes is a text, true is no number. An input that is not required may be null or
    absent; the inputs then hold None.

    Args:
        record: What a JSON decoder gave.
    """
    return Checker(usecase).check(record)


class Checker:
    """The contract made ready for many records."""

    def __init__(self, usecase: UseCase) -> None:
        self._columns = {column.name: column for column in usecase.inputs.values()}
        self._names = tuple(self._columns)
        self._readers = {name: _reader(column) for name, column in self._columns.items()}
        self._derived = [
            _Derived(name, expression, usecase.features[name])
            for name, expression in usecase.expressions.items()
            if usecase.features[name].min is not None or usecase.features[name].max is not None
        ]
        self._reasons = _reasons(usecase)

    def check(self, record: object) -> tuple[Inputs, list[Problem]]:
        """Check one record, as `check` does."""
        inputs, problems = self._fields(record, _Strangers(self._reasons, self._names))
        if self._derived:
            problems += self._check_derived([inputs])[0]
        return inputs, problems

    def check_batch(self, records: Sequence[object]) -> tuple[list[Inputs], dict[int, list[Problem]]]:
        """Check many records; the problems by their place in `records`."""
        strangers = _Strangers(self._reasons, self._names)
        checked = [self._fields(record, strangers) for record in records]
        inputs = [fields for fields, _ in checked]
        ranges = self._check_derived(inputs) if self._derived else [[]] * len(inputs)
        found = {place: fields[1] + ranges[place] for place, fields in enumerate(checked) if fields[1] or ranges[place]}
        return inputs, found

    def sound(self, records: Sequence[object]) -> dict[str, Cells] | None:
        """Return the inputs by column where nothing is wrong with any record; None where something is, or in doubt.

        Several times as fast as `check_batch`. The records themselves are then the inputs: what is absent is missing.
        """
        if not records or not all(type(record) is dict for record in records):
            return None
        read = self._by_column(list(records))  # type: ignore[arg-type] # every one is a dict, as was just seen
        if read is None:
            return None
        numbers: dict[str, NDArray[np.float64]] = {}
        for name, column in self._columns.items():
            values = read[name]
            if column.type == "category":
                if not _sound_texts(values, self._readers[name]):
                    return None
            elif (found := as_numbers(values)) is None or not _sound_numbers(values, found, column):
                return None
            else:
                numbers[name] = found
        return None if any(derived.broken(numbers) for derived in self._derived) else {**read, **numbers}

    def _by_column(self, records: list[dict[str, Any]]) -> dict[str, Sequence[Any]] | None:
        """Return the inputs by column, or None where a record holds a field that is none."""
        try:
            columns, n = whole(records, self._names), len(self._names)
        except KeyError:
            strange = any(not record.keys() <= self._readers.keys() for record in records)
            return None if strange else by_name(records, self._names)
        return None if any(len(record) != n for record in records) else columns

    def _fields(self, record: object, strangers: "_Strangers") -> tuple[Inputs, list[Problem]]:
        if not isinstance(record, dict):
            return {}, [Problem(BODY, "not a JSON object of inputs")]
        inputs: Inputs = {}
        problems: list[Problem] = []
        known = 0
        for name, read in self._readers.items():
            if name in record:
                known += 1
            try:
                inputs[name] = read(record.get(name))
            except ValueError as error:
                problems.append(Problem(name, str(error)))
        if known != len(record):
            problems += strangers.explained([name for name in record if name not in self._readers])
        return inputs, problems

    def _check_derived(self, records: Sequence[Inputs]) -> list[list[Problem]]:
        problems: list[list[Problem]] = [[] for _ in records]
        for derived in self._derived:
            for place, why in derived.problems(records):
                problems[place].append(Problem(derived.name, why))
        return problems


class _Strangers:
    """The names in one request that are no inputs; each is explained once, however many records hold it."""

    def __init__(self, reasons: Mapping[str, str], inputs: Sequence[str]) -> None:
        self._reasons = reasons
        self._inputs = inputs
        self._known: dict[str, Problem] = {}
        self._n_compared = 0

    def explained(self, names: Sequence[object]) -> list[Problem]:
        """Explain those of one record; a name is the client's text, so only a short plain one is repeated."""
        problems = [self._once(str(name)) for name in names[:MAX_STRANGE]]
        if len(names) > MAX_STRANGE:
            problems.append(Problem(BODY, f"{len(names) - MAX_STRANGE} more unknown fields"))
        return problems

    def _once(self, name: str) -> Problem:
        if (known := self._known.get(name)) is None:
            known = self._known[name] = self._explained(name)
        return known

    def _explained(self, name: str) -> Problem:
        if name in self._reasons:
            return Problem(name, self._reasons[name])
        if len(name) > MAX_NAME or not name.isprintable() or not name:
            return Problem(BODY, f"unknown field, with a name of {len(name)} characters")
        near = self._near(name)
        return Problem(name, f"unknown field; did you mean {near[0]}?" if near else "unknown field")

    def _near(self, name: str) -> list[str]:
        if self._n_compared == MAX_COMPARED:
            return []
        self._n_compared += 1
        return difflib.get_close_matches(name, self._inputs, n=1)


@dataclass(frozen=True, slots=True)
class _Derived:
    """A derived feature with a range, which a record can break though each of its fields is in order."""

    name: str
    expression: Expression
    feature: Feature

    def problems(self, records: Sequence[Inputs]) -> list[tuple[int, str]]:
        """Return the place and the reason of each record that breaks the range."""
        columns = {operand: _column(records, operand) for operand in self.expression.names}
        return [(place, f"{self.expression.text}: {why}") for place, why in self.broken(columns)]

    def broken(self, columns: Mapping[str, NDArray[np.float64]]) -> list[tuple[int, str]]:
        """Return the same by column."""
        values = self.expression.evaluate(columns)
        found: list[tuple[int, str]] = []
        if self.feature.min is not None:
            found += [(int(place), _below(self.feature.min)) for place in np.flatnonzero(values < self.feature.min)]
        if self.feature.max is not None:
            found += [(int(place), _above(self.feature.max)) for place in np.flatnonzero(values > self.feature.max)]
        return found


def _sound_numbers(values: Sequence[object], numbers: NDArray[np.float64], column: InputColumn) -> bool:
    """Tell whether a column holds nothing to refuse; `numbers` are its values, NaN where there is none."""
    if any(np.any(numbers == unknown) for unknown in _numbers(column.unknown)):
        return False  # missing, which the range of what is computed from it must know
    low = -LARGEST if column.min is None else max(column.min, -LARGEST)
    high = LARGEST if column.max is None else min(column.max, LARGEST)
    n_missing = int(np.count_nonzero(np.isnan(numbers)))
    if n_missing and (column.required or n_missing != values.count(None)):
        return False  # the second: a NaN, handed in by a caller in Python
    return not np.any((numbers < low) | (numbers > high))


def _sound_texts(values: Sequence[object], read: Callable[[object], Value]) -> bool:
    if not set(map(type, values)) <= {str, NoneType}:
        return False
    try:
        return all(read(value) == value for value in set(values))
    except ValueError:
        return False


def _column(records: Sequence[Inputs], name: str) -> NDArray[np.float64]:
    return np.array(
        [math.nan if (value := record.get(name)) is None else value for record in records], dtype=np.float64
    )


def _reasons(usecase: UseCase) -> dict[str, str]:
    """Return why each name of the contract that is no input cannot be sent."""
    derived = {name: f"computed from {expression.text}; send those" for name, expression in usecase.expressions.items()}
    late = dict.fromkeys([*usecase.known_later, *usecase.label_columns], "known only after the decision")
    barred = dict.fromkeys(usecase.protected, "protected: the model does not read it")
    return {**derived, **barred, **late}


def _reader(column: InputColumn) -> Callable[[object], Value]:
    if column.type == "number":
        return _number_reader(column)
    return _text_reader(column, parse_rule(column.rule))


def _number_reader(column: InputColumn) -> Callable[[object], float | None]:
    low, high, required = column.min, column.max, column.required
    unknown = _numbers(column.unknown)

    def read(value: object) -> float | None:
        if value is None or (value in unknown if unknown and type(value) in (int, float) else False):
            if required:
                raise ValueError("missing")
            return None
        if type(value) is float:
            number = value
        elif type(value) is int:
            number = _as_float(value)
        else:
            raise ValueError(f"{_kind(value)}, where a number belongs")
        if not math.isfinite(number) or abs(number) > LARGEST:
            raise ValueError("not a finite number, or too large")
        if low is not None and number < low:
            raise ValueError(_below(low))
        if high is not None and number > high:
            raise ValueError(_above(high))
        return number

    return read


def _text_reader(column: InputColumn, rule: ParseRule) -> Callable[[object], str | None]:
    choices, required = column.choices, column.required
    allowed = frozenset(choices or ())
    not_allowed = f"not one of {', '.join(choices or ())}"

    def read(value: object) -> str | None:
        if value is None:
            if required:
                raise ValueError("missing")
            return None
        text = _text(value)
        if required or choices is not None:
            parsed = rule.read(text, column.unknown)
            if parsed is None and required:
                raise ValueError("missing: this text stands for unknown")
            if parsed is not None and choices is not None and parsed not in allowed:
                raise ValueError(not_allowed)
        return text

    return read


def _text(value: object) -> str:
    """Return a value that is a text the model and the decision log can hold."""
    if type(value) is not str:
        raise ValueError(f"{_kind(value)}, where a text belongs")
    if not value or value.isspace():
        raise ValueError("empty; send null where it is not known")
    if len(value) > MAX_TEXT:
        raise ValueError(f"longer than {MAX_TEXT} characters")
    if "\x00" in value:
        raise ValueError("holds a NUL character")
    return value


def _numbers(texts: Sequence[str]) -> frozenset[float]:
    """Return the numbers among the texts that stand for unknown."""
    found = set()
    for text in texts:
        try:
            found.add(float(text))
        except ValueError:
            continue  # "NA" stands for unknown in a file of text; a JSON number cannot say it
    return frozenset(found)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _kind(value: object) -> str:
    """Name the JSON kind of a value.

    >>> _kind(True), _kind("12.5"), _kind([1])
    ('true or false', 'a text', 'a list')
    """
    match value:
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case Mapping():
            return "an object"
        case _:
            return "a list"


def _below(limit: float) -> str:
    return f"below {limit:g}"


def _above(limit: float) -> str:
    return f"above {limit:g}"
