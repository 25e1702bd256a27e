"""Bytes to JSON, strictly: UTF-8, no NaN or Infinity, no key twice in one object."""

import json
from collections.abc import Sequence
from typing import Final

import orjson

TWICE: Final = "a key stands twice in one object"
TOO_DEEP: Final = "nested too deeply"


class NotJsonError(Exception):
    """The body is no JSON that could mean one thing only. Its message never repeats the body."""


def decode(body: bytes | bytearray) -> object:
    """Return what the body says.

    Raises:
        NotJsonError: It is not JSON, or an object in it has one key twice: readers disagree on which of them counts.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotJsonError(f"not JSON: see line {error.lineno}, column {error.colno}") from None
    # Each key is followed by one colon, so where the counts agree no key was dropped and the slow look is not needed.
    if body.count(b":") != _keys(value):
        _refuse_twins(body)
    return value


def _keys(value: object) -> int:
    """Count the keys of a record or of a list of records, not of what is nested in them."""
    if isinstance(value, dict):
        return len(value)
    if isinstance(value, list):
        return sum(len(item) for item in value if isinstance(item, dict))
    return 0


def _refuse_twins(body: bytes | bytearray) -> None:
    try:
        json.loads(body, object_pairs_hook=_distinct, parse_int=str, parse_float=str)
    except RecursionError:
        raise NotJsonError(TOO_DEEP) from None


def _distinct(pairs: Sequence[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise NotJsonError(TWICE)
