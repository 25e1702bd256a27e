import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.decoding import NotJsonError, decode


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1, "b": "x:y:z"}', {"a": 1, "b": "x:y:z"}),
        (b'[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        (b'{"a": {"a": {"a": null}}}', {"a": {"a": {"a": None}}}),
        (b'"{\\"a\\":1,\\"a\\":2}"', '{"a":1,"a":2}'),
        (b"12", 12),
    ],
)
def test_json_is_read(body, value):
    assert decode(body) == value
    assert decode(bytearray(body)) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "\\u0061": 2}',
        b'[{"a": 1}, {"b": 1, "b": 1}]',
        b'{"x": {"a": 1, "b": 2, "a": 3}}',
        b'{"a": ":", "a": 2}',
        b'[[{"a": 1, "a": 2}]]',
    ],
)
def test_a_key_that_stands_twice_is_refused(body):
    with pytest.raises(NotJsonError, match="a key stands twice in one object"):
        decode(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"secret",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 01}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} {"a": 1}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        '{"a": 1}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"\x1f\x8b\x08\x00",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_not_strict_json_is_refused_without_repeating_it(body):
    with pytest.raises(NotJsonError, match=r"^not JSON: see line \d+, column \d+$"):
        decode(body)


def test_json_too_deep_for_one_of_the_two_decoders_is_refused():
    with pytest.raises(NotJsonError, match="nested too deeply"):
        decode(b'{"a":' * 1020 + b"1" + b"}" * 1020)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(JSON)
def test_whatever_is_json_comes_back_as_it_was(value):
    assert decode(json.dumps(value).encode()) == value


@given(st.binary(max_size=60))
def test_whatever_is_sent_is_read_or_refused(body):
    with contextlib.suppress(NotJsonError):
        decode(body)
