import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import ContractError
from refit.usecase.expression import DEEPEST, LONGEST, parse_condition, parse_expression

NUMBERS = st.floats(allow_nan=True, allow_infinity=False, width=64)


def value(text: str, **columns: float) -> float:
    return parse_expression(text).evaluate({name: np.array([one]) for name, one in columns.items()})[0]


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("paid / due", {"paid": 50, "due": 100}, 0.5),
        ("a + b * c - d", {"a": 1, "b": 2, "c": 3, "d": 4}, 3),
        ("(a + b) * c", {"a": 1, "b": 2, "c": 3}, 9),
        ("-a", {"a": 2}, -2),
        ("a - -1", {"a": 2}, 3),
        ("a * 1.5e2", {"a": 2}, 300),
        ("a > 90", {"a": 91}, 1),
        ("a > 90", {"a": 90}, 0),
        ("a >= 90 and b < 1", {"a": 90, "b": 0}, 1),
        ("a > 90 or b > 0", {"a": 1, "b": 0}, 0),
        ("not (a > 90)", {"a": 90}, 1),
        ("a == b", {"a": 0.5, "b": 0.5}, 1),
        ("a != b", {"a": 0.5, "b": 0.5}, 0),
        ("a > 0 and 1", {"a": 1}, 1),
        ("1 > 0 and a > 0", {"a": -1}, 0),
        ("größe / 2", {"größe": 3}, 1.5),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_an_expression_is_arithmetic(text, columns, expected):
    assert value(text, **columns) == expected


@pytest.mark.parametrize("text", ["a / 0", "0 / a", "a / (a - a)", "a * 1e200 * 1e200"], ids=str)
def test_a_value_that_is_no_number_is_missing(text):
    assert math.isnan(value(text, a=0.0 if text == "0 / a" else 5e200))


@pytest.mark.parametrize("text", ["a + 1", "1 - a", "a * 0", "a / a", "-a"], ids=str)
def test_arithmetic_with_a_missing_value_is_missing(text):
    assert math.isnan(value(text, a=math.nan))


@pytest.mark.parametrize("text", ["a > 0", "a < 0", "a == a", "a != a", "a != 1", "0 >= a"], ids=str)
def test_a_comparison_with_a_missing_value_does_not_hold(text):
    assert value(text, a=math.nan) == 0.0


def test_an_expression_tells_the_columns_it_reads_in_order_each_once():
    assert parse_expression("b / a + b - c").names == ("b", "a", "c")


@pytest.mark.parametrize(
    "text",
    [
        "a.b",
        "a.__class__",
        "f(a)",
        "__import__('os')",
        "a['x']",
        "a[0]",
        "'text' * a",
        "f'{a}'",
        "b'x' + a",
        "a if b else c",
        "lambda: a",
        "[a]",
        "(a, b)",
        "{a}",
        "[x for x in a]",
        "(a := 1)",
        "await a",
        "*a",
        "a ** 9",
        "a // 2",
        "a % 2",
        "a @ b",
        "a & b",
        "a | b",
        "a << 2",
        "~a",
        "+a",
        "a < b < c",
        "a in b",
        "a is b",
        "a * True",
        "a * None",
        "a * ...",
        "a * 2j",
        "a * 1e999",
        "a * 1" + "0" * 400,
        "a; b",
        "a = 1",
        "import os",
        "a\nb",
        "a +",
        ")",
        "a\x00",
        " a",
        "",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_nothing_but_arithmetic_can_be_written(text):
    with pytest.raises(ContractError):
        parse_expression(text)


@pytest.mark.parametrize("text", ["1", "1 + 2", "2 > 1"], ids=str)
def test_an_expression_without_a_column_is_refused(text):
    with pytest.raises(ContractError, match="names no column"):
        parse_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "a" + ")" * 10_000,
        "-" * 10_000 + "a",
        "-" * 900 + "a",
        "not " * 240 + "a",
        "+".join(["a"] * 20_000),
        "+".join(["a"] * 400),
        "a" + "*(1" * 300 + ")" * 300,
        "1" * 5_000 + " * a",
    ],
    ids=[
        "10,000 brackets",
        "10,000 minus signs",
        "900 minus signs",
        "240 nots",
        "20,000 terms",
        "400 terms",
        "300 products",
        "5,000 digits",
    ],
)
def test_an_expression_too_deep_for_the_parser_is_the_contracts_fault(text):
    with pytest.raises(ContractError):
        parse_expression(text)


def test_what_a_person_writes_is_never_too_deep():
    assert value(" + ".join(["a"] * (DEEPEST // 2)), a=1) == DEEPEST // 2


@given(st.text(max_size=LONGEST + 10))
def test_any_text_is_an_expression_or_the_contracts_fault(text):
    try:
        expression = parse_expression(text)
    except ContractError:
        return
    expression.evaluate({name: np.ones(3) for name in expression.names})


@st.composite
def arithmetic(draw, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["a", "b", "2", "0.5", "-a"]))
    left, right = draw(arithmetic(depth - 1)), draw(arithmetic(depth - 1))
    return f"({left} {draw(st.sampled_from(['+', '-', '*', '/', '>', '<=', '==', 'and', 'or']))} {right})"


@given(text=arithmetic(), records=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5))
def test_a_column_is_evaluated_as_each_of_its_records(text, records):
    expression = parse_expression(f"{text} + 0 * a")
    a, b = (np.array(column, dtype=np.float64) for column in zip(*records, strict=True))
    whole = expression.evaluate({"a": a, "b": b})
    single = [expression.evaluate({"a": a[i : i + 1], "b": b[i : i + 1]})[0] for i in range(len(a))]
    np.testing.assert_array_equal(whole, single)
    assert not np.isinf(whole).any()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("late", "'late' gives a number, not yes or no; compare it, like 'late > 0'"),
        ("due - paid", "'due - paid' gives a number, not yes or no; compare it, like 'due - paid > 0'"),
        ("-late", "'-late' gives a number"),
        ("(due > 0) * 2", "gives a number"),
        ("due > 0 or late", "'late' gives a number"),
        ("late and due > 0", "'late' gives a number"),
        ("not late", "'late' gives a number"),
        ("due > 0 and not (paid > 0 or due - paid)", "'due - paid' gives a number"),
        ("due > 0 or 1", "'1' gives a number"),
    ],
    ids=lambda part: part if isinstance(part, str) and "gives" not in part else "",
)
def test_a_condition_that_gives_a_number_is_refused_with_the_part_that_does(text, number):
    assert parse_expression(text).text == text
    with pytest.raises(ContractError) as error:
        parse_condition(text)
    assert number in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["late > 0", "not (paid - due <= 9) or due > 0", "(a > 0) + (b > 0) >= 2", "not not (a > 0)", "(a > 0) == (b > 0)"],
)
def test_a_condition_answers_yes_or_no_whatever_the_numbers(text):
    condition = parse_condition(text)
    columns = {name: np.array([-2.0, 0.0, 0.5, 2.0, np.nan, 91.0]) for name in condition.names}
    assert set(condition.evaluate(columns)) <= {0.0, 1.0}
