"""From columns or typed inputs to the float32 matrix a learner takes: one encoder for training and serving."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from types import NoneType
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from refit.errors import DataError
from refit.usecase.expression import Expression, parse_expression
from refit.usecase.model import UseCase
from refit.usecase.parsing import parse_rule

Cell = float | str | None
Column = NDArray[Any]
Matrix = NDArray[np.float32]
Cells = Sequence[Cell] | NDArray[np.float64]

LARGEST: Final = float(np.finfo(np.float32).max)
MANY: Final = 16
"""From so many records on, columns are read as arrays; fewer are read faster value by value."""
OTHER: Final = 0.0
"""Code of a category that was rare or unseen in training; the vocabulary's own start at 1, NaN is missing."""


@dataclass(frozen=True, slots=True)
class Input:
    """How one typed input is read: a category's text through its parse rule, and what stands for missing."""

    type: Literal["number", "category"]
    rule: str
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoder:
    """The features in matrix order, the categories each knows, and how inputs become features.

    A number stands in the matrix as it is, held within float32; a category as its place in the vocabulary plus 1.
    """

    features: tuple[str, ...]
    vocabularies: Mapping[str, tuple[str, ...]]
    expressions: Mapping[str, Expression]
    inputs: Mapping[str, Input]

    @classmethod
    def fit(
        cls, columns: Mapping[str, Column], usecase: UseCase, *, min_count: int = 20, max_categories: int = 60
    ) -> Self:
        """Learn the vocabularies: the most frequent categories that stand at least `min_count` times, by name.

        Args:
            columns: One (n_records,) array a feature; a category's holds str, with None or NaN for missing.
        """
        vocabularies = {}
        for name, feature in usecase.features.items():
            if feature.type == "category":
                counts = Counter(value for value in columns[name].tolist() if isinstance(value, str))
                known = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:max_categories]
                vocabularies[name] = tuple(sorted(value for value, count in known if count >= min_count))
        return cls(
            features=tuple(usecase.features),
            vocabularies=vocabularies,
            expressions=dict(usecase.expressions),
            inputs={name: Input(c.type, c.rule, c.unknown) for name, c in usecase.inputs.items()},
        )

    @property
    def is_category(self) -> NDArray[np.bool_]:
        """(n_features,) true where the matrix holds codes."""
        return np.array([name in self.vocabularies for name in self.features], dtype=bool)

    def encode(self, columns: Mapping[str, Column]) -> Matrix:
        """Return the (n_records, n_features) matrix of a frame's columns, derived features and parsing already done.

        Raises:
            DataError: A feature's column is absent.
        """
        if absent := [name for name in self.features if name not in columns]:
            raise DataError(f"no column {', '.join(absent)}; the model reads {', '.join(self.features)}")
        n = len(columns[self.features[0]])
        matrix = np.empty((n, len(self.features)), dtype=np.float32)
        for index, name in enumerate(self.features):
            codes = self._codes.get(name)
            if codes is None:
                matrix[:, index] = _held(np.asarray(columns[name], dtype=np.float64))
            else:
                matrix[:, index] = _coded(columns[name].tolist(), codes)
        return matrix

    def encode_records(self, records: Sequence[Mapping[str, Cell]]) -> Matrix:
        """Return the (n_records, n_features) matrix of typed inputs: parse rules applied, derived features computed.

        An input that is absent or None is missing.

        Raises:
            DataError: A text stands where a number belongs, or a number where a text does; names the field.
        """
        return self.encode_inputs(by_name(records, tuple(self.inputs)), len(records))

    def encode_inputs(self, inputs: Mapping[str, Cells], n: int) -> Matrix:
        """Return for columns of `n` typed inputs, one a name of `inputs`, what `encode_records` returns for records.

        A column of numbers may be an array, which is not written to.

        Raises:
            DataError: A text stands where a number belongs, or a number where a text does; names the field.
        """
        cells = np.empty((len(self.features), n), dtype=np.float64)
        read = {name: self._read(name, inputs[name]) for name in self.inputs}
        for index, name in enumerate(self.features):
            if name not in self.expressions:
                cells[index] = read[name]
        for name, expression in self.expressions.items():
            operands = {operand: np.array(read[operand], dtype=np.float64) for operand in expression.names}
            cells[self.features.index(name)] = expression.evaluate(operands)
        return np.ascontiguousarray(_held(cells).astype(np.float32).T)

    def round_trips(self, name: str, value: str) -> bool:
        """Tell whether a category as the frame holds it, sent as an input, is read as itself again."""
        column = self.inputs[name]
        return parse_rule(column.rule).read(value, column.unknown) == value

    @cached_property
    def _codes(self) -> dict[str, dict[str, float]]:
        return {name: {v: i + 1.0 for i, v in enumerate(known)} for name, known in self.vocabularies.items()}

    def _read(self, name: str, values: Cells) -> Sequence[float] | NDArray[np.float64]:
        """Return what stands for each value; a column of many is read as a whole, as the reader would each."""
        reader = self._readers[name]
        if len(values) < MANY and not isinstance(values, np.ndarray):
            return list(map(reader, values))
        if self.inputs[name].type == "category":
            codes = {value: reader(value) for value in set(values)}
            return np.array([codes[value] for value in values], dtype=np.float64)
        numbers = values if isinstance(values, np.ndarray) else as_numbers(values)
        if numbers is None:
            return np.array(list(map(reader, values)), dtype=np.float64)
        missing = np.isinf(numbers)
        for unknown in _floats(self.inputs[name].unknown):
            missing |= numbers == unknown
        return np.where(missing, np.nan, numbers) if missing.any() else numbers

    @cached_property
    def _readers(self) -> dict[str, Callable[[Cell], float]]:
        return {
            name: self._category(name, column) if column.type == "category" else _number(name, column)
            for name, column in self.inputs.items()
        }

    def _category(self, name: str, column: Input) -> Callable[[Cell], float]:
        rule, codes, unknown = parse_rule(column.rule), self._codes[name], column.unknown
        plain = {value: code for value, code in codes.items() if self.round_trips(name, value)}

        def read(value: Cell) -> float:
            if not isinstance(value, str):
                if value is None or _is_nan(value):
                    return math.nan
                raise DataError(f"{name}: a number where a text belongs")
            code = plain.get(value)
            if code is not None:
                return code
            parsed = rule.read(value, unknown)
            return math.nan if parsed is None else codes.get(str(parsed), OTHER)

        return read

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "features": list(self.features),
            "vocabularies": {name: list(known) for name, known in self.vocabularies.items()},
            "expressions": {name: expression.text for name, expression in self.expressions.items()},
            "inputs": {
                name: {"type": c.type, "rule": c.rule, "unknown": list(c.unknown)} for name, c in self.inputs.items()
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            features=tuple(content["features"]),
            vocabularies={name: tuple(known) for name, known in content["vocabularies"].items()},
            expressions={name: parse_expression(text) for name, text in content["expressions"].items()},
            inputs={name: Input(c["type"], c["rule"], tuple(c["unknown"])) for name, c in content["inputs"].items()},
        )


def by_name(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Return one column a name; None stands where a record lacks it."""
    if len(records) >= MANY:
        try:
            return whole(records, names)
        except KeyError:
            pass  # one lacks a name
    return {name: [record.get(name) for record in records] for name in names}


def whole(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Return one column a name, in one pass over at least one record.

    Raises:
        KeyError: A record lacks a name.
    """
    if len(names) == 1:
        return {names[0]: [record[names[0]] for record in records]}
    return dict(zip(names, zip(*map(itemgetter(*names), records), strict=True), strict=True))


def as_numbers(values: Cells) -> NDArray[np.float64] | None:
    """Return plain numbers and None, which becomes NaN, as an array; None where another kind stands among them."""
    if not set(map(type, values)) <= {float, int, NoneType}:  # numpy would read a text like "12" as a number
        return None
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return None


def _number(name: str, column: Input) -> Callable[[Cell], float]:
    unknown = frozenset(_floats(column.unknown))

    def read(value: Cell) -> float:
        if value is None:
            return math.nan
        if isinstance(value, str):
            raise DataError(f"{name}: a text where a number belongs")
        number = _as_float(value)
        return math.nan if number in unknown or math.isinf(number) else number

    return read


def _as_float(value: float) -> float:
    """Return the number; an integer beyond any float is as good as infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _floats(texts: tuple[str, ...]) -> list[float]:
    found = []
    for text in texts:
        try:
            found.append(float(text))
        except ValueError:
            continue  # a text that stands for unknown in a file; a typed number cannot be it
    return found


def _coded(values: list[Any], codes: Mapping[str, float]) -> NDArray[np.float32]:
    """Return the code of each value; what the vocabulary does not hold is looked at again: another text, or missing."""
    coded = np.array([codes.get(value, -1.0) for value in values], dtype=np.float32)
    for row in np.flatnonzero(coded < 0):
        coded[row] = OTHER if isinstance(values[row], str) else math.nan
    return coded


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _held(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hold numbers within float32; an infinite one is missing."""
    return np.clip(np.where(np.isinf(values), np.nan, values), -LARGEST, LARGEST)
