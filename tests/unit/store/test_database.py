import json
import socket
import time
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import ContractError, OutageError
from refit.store import database
from refit.store.database import to_json_text
from refit.store.ledger import Ledger


def test_making_a_ledger_connects_to_nothing():
    Ledger("postgresql://refit:s3cret@127.0.0.1:1/refit").close()


def test_a_server_that_is_down_is_an_outage_that_says_where_and_what_to_do():
    with Ledger("postgresql://refit:s3cret@127.0.0.1:1/refit") as ledger, pytest.raises(OutageError) as caught:
        ledger.watermark("sba")
    assert str(caught.value).startswith("Postgres at 127.0.0.1:1 does not answer: ")
    assert "Connection refused" in str(caught.value)
    assert str(caught.value).endswith("; start it, or set REFIT_DATABASE_URL")


@pytest.mark.slow
def test_a_server_that_accepts_and_stays_silent_is_an_outage_too(monkeypatch):
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        url = f"postgresql://refit:s3cret@127.0.0.1:{silent.getsockname()[1]}/refit"
        started = time.monotonic()
        with Ledger(url) as ledger, pytest.raises(OutageError, match="does not answer"):
            ledger.watermark("sba")
        for _ in range(2):  # asked once more, for all of this machine may have stood still
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "url",
    [
        "s3cret",
        "",
        "mysql://refit:s3cret@host/refit",
        "sqlite:///s3cret.db",
        "postgresql://refit:s3cret@host:port/refit",
        "postgresql://refit:s3cret@[::1/refit",
    ],
)
def test_what_is_no_address_of_a_postgres_is_refused_without_showing_it(url):
    with pytest.raises(ContractError, match="REFIT_DATABASE_URL is not the address of a Postgres") as caught:
        Ledger(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_each_usual_way_to_write_the_address_works(scheme):
    with Ledger(f"{scheme}://refit:s3cret@127.0.0.1:1/refit") as ledger, pytest.raises(OutageError):
        ledger.watermark("sba")


@pytest.mark.parametrize("password", ["s3cret", "s3%2Fcret", "s%33cret", "s3cret%40x"])
def test_a_password_is_never_in_an_error(password):
    with Ledger(f"postgresql://refit:{password}@127.0.0.1:1/refit") as ledger, pytest.raises(OutageError) as caught:
        ledger.watermark("sba")
    assert "cret" not in str(caught.value)
    assert "cret" not in repr(ledger)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "null"),
        (np.float64("inf"), "null"),
        (np.float64(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),  # noqa: FBT003 - the value under test
        (np.array([1.0, np.nan]), "[1.0,null]"),
        ((1, "a", None), '[1,"a",null]'),
        ({"a\0": "b\0"}, '{"a\\ufffd":"b\\ufffd"}'),
        ("\udcff", '"?"'),
        ("\U0001f600", '"\\ud83d\\ude00"'),
        (datetime(2003, 6, 30, tzinfo=UTC), '"2003-06-30T00:00:00+00:00"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ({1: {"deep": [float("-inf")]}}, '{"1":{"deep":[null]}}'),
    ],
    ids=str,
)
def test_whatever_a_step_concludes_has_a_form_in_json(value, text):
    assert to_json_text(value) == text


def test_what_has_no_form_in_json_is_refused():
    with pytest.raises(TypeError, match="object has no form in JSON"):
        to_json_text({"a": object()})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(plain)
def test_json_for_postgres_holds_nothing_that_postgres_refuses(value):
    read = json.loads(to_json_text(value), parse_constant=pytest.fail)
    texts = json.dumps(read, ensure_ascii=False)
    assert "\\u0000" not in texts.replace("\\\\", "")
    texts.encode("utf-8")  # fails on half a character
