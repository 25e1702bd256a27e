"""Small arithmetic over columns, for derived features and label rules written in a use-case file.

Names, numbers, `+ - * /`, comparisons, `and or not` and brackets; nothing else can be written, so nothing can be run.
A missing value makes an arithmetic result missing, a comparison with it false; a division by zero is missing.
"""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from refit.errors import ContractError

Value = NDArray[np.float64]

LONGEST: Final = 1_000
"""Characters an expression may have: far more than anybody writes, far fewer than Python's parser can take."""

DEEPEST: Final = 100
"""How deep brackets and operators may nest: `a + b + c` is two deep."""

_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Value, Value], Value]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_COMPARISON: Final[dict[type[ast.cmpop], Callable[[Value, Value], NDArray[np.bool_]]]] = {
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its text and the column names it reads, in order of appearance."""

    text: str
    names: tuple[str, ...]

    def evaluate(self, columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the (n_records,) value; a comparison gives 1.0 or 0.0.

        Args:
            columns: One (n_records,) float array a name, NaN for missing.

        Examples:
            >>> share = parse_expression("paid / due")
            >>> share.evaluate({"paid": np.array([50.0, 1.0]), "due": np.array([100.0, 0.0])})
            array([0.5, nan])
        """
        tree = _parsed(self.text)
        with np.errstate(all="ignore"):
            value = np.asarray(_evaluate(tree, columns), dtype=np.float64)
        return np.where(np.isfinite(value), value, np.nan)


@cache
def _parsed(text: str) -> ast.expr:
    """Parse a checked text once: a served model evaluates it at every request."""
    return ast.parse(text, mode="eval").body


def parse_expression(text: str) -> Expression:
    """Check `text` and return it ready to evaluate.

    Raises:
        ContractError: It is not arithmetic over column names.
    """
    if len(text) > LONGEST:
        raise ContractError(f"an expression of {len(text):,} characters; {LONGEST:,} at most")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ContractError(
            f"{text!r} is not an expression; write arithmetic over columns, like 'paid / due'"
        ) from None
    names: dict[str, None] = {}
    _check(tree, text, names, DEEPEST)
    if not names:
        raise ContractError(f"{text!r} names no column")
    return Expression(text, tuple(names))


def parse_condition(text: str) -> Expression:
    """Check that `text` answers yes or no, as a label's rule must, and return it ready to evaluate.

    A count would pass for 1.0 or 0.0 where it happens to be one, and for a class of its own where it is more.

    Raises:
        ContractError: It is not arithmetic over column names, or a part of it is a number where yes or no is asked.
    """
    expression = parse_expression(text)
    number = _number_asked(_parsed(text))
    if number is not None:
        part = ast.unparse(number)
        raise ContractError(f"{text!r}: {part!r} gives a number, not yes or no; compare it, like '{part} > 0'")
    return expression


def _number_asked(node: ast.expr) -> ast.expr | None:
    """Return the first part that gives a number where yes or no is asked; None where there is none."""
    match node:
        case ast.Compare():
            return None
        case ast.BoolOp(values=parts):
            return next((found for found in map(_number_asked, parts) if found is not None), None)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _number_asked(operand)
    return node


def _check(node: ast.expr, text: str, names: dict[str, None], depth: int) -> None:
    if depth == 0:
        raise ContractError(f"{text!r} nests more than {DEEPEST} deep; take it apart")
    match node:
        case ast.Name(id=name):
            names[name] = None
        case ast.Constant(value=bool()):
            raise ContractError(f"{text!r}: True and False cannot stand in an expression")
        case ast.Constant(value=int() | float() as number) if _is_finite(number):
            pass
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            _check(left, text, names, depth - 1)
            _check(right, text, names, depth - 1)
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            _check(operand, text, names, depth - 1)
        case ast.BoolOp(values=values):
            for value in values:
                _check(value, text, names, depth - 1)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISON:
            _check(left, text, names, depth - 1)
            _check(right, text, names, depth - 1)
        case _:
            raise ContractError(
                f"{text!r}: {ast.unparse(node)!r} cannot stand in an expression; "
                "use column names, numbers, + - * /, comparisons, and, or, not"
            )


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


def _evaluate(node: ast.expr, columns: Mapping[str, Value]) -> Value:  # noqa: PLR0911 - one return a kind of node
    match node:
        case ast.Name(id=name):
            return columns[name]
        case ast.Constant(value=value):
            return np.asarray(cast("float", value), dtype=np.float64)
        case ast.BinOp(left=left, op=op, right=right):
            combine = _ARITHMETIC[type(op)]
            return combine(_evaluate(left, columns), _evaluate(right, columns))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            a, b = _evaluate(left, columns), _evaluate(right, columns)
            return (_COMPARISON[type(op)](a, b) & ~np.isnan(a) & ~np.isnan(b)).astype(np.float64)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return 0.0 - _evaluate(operand, columns)
        case ast.UnaryOp(operand=operand):
            return np.equal(_evaluate(operand, columns), 0).astype(np.float64)
        case ast.BoolOp(op=op, values=values):
            parts = [_evaluate(value, columns) == 1 for value in values]
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return np.asarray(join.reduce(np.broadcast_arrays(*parts)), dtype=np.float64)
    raise AssertionError(ast.dump(node))
