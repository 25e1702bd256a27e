import os
import signal
import time
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.engine import make_url

from refit.errors import ContractError, OutageError
from refit.store.embedded import running
from refit.store.ledger import Ledger
from tests.integration.conftest import run


def with_user(url: str, name: str, password: str) -> str:
    return make_url(url).set(username=name, password=password).render_as_string(hide_password=False)


def test_a_wrong_password_is_an_outage_that_does_not_show_it(database_url):
    with Ledger(with_user(database_url, "refit", "s3cret-wrong")) as ledger, pytest.raises(OutageError) as caught:
        ledger.watermark("sba")
    assert "password authentication failed" in str(caught.value)
    assert "REFIT_DATABASE_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_database_that_is_not_there_is_an_outage(server_url):
    with Ledger(f"{server_url}_absent") as ledger, pytest.raises(OutageError, match='"refit_absent" does not exist'):
        ledger.migrate()


@pytest.fixture
def guest_url(database_url):
    """The address of the database for a user who may connect and no more."""
    run(database_url, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    yield with_user(database_url, "guest", "guest")
    run(database_url, "DROP ROLE guest")


def test_a_user_who_lacks_a_right_is_told_which(guest_url):
    with (
        Ledger(guest_url) as ledger,
        pytest.raises(ContractError, match=r"user 'guest' lacks a right: .*permission denied"),
    ):
        ledger.watermark("sba")


def test_a_user_with_another_role_may_own_the_ledger(server_url):
    run(server_url, "CREATE ROLE owner LOGIN PASSWORD 'owner'")
    run(server_url, "CREATE DATABASE theirs OWNER owner")
    try:
        with Ledger(with_user(server_url, "owner", "owner").replace("/refit", "/theirs")) as ledger:
            ledger.migrate()
            ledger.migrate()
            assert ledger.watermark("sba") is None
    finally:
        run(server_url, "DROP DATABASE theirs")
        run(server_url, "DROP ROLE owner")


def test_a_server_that_dies_is_an_outage_and_one_that_comes_back_is_used_again(tmp_path):
    folder = tmp_path / "postgres"
    with running(folder) as url, Ledger(url) as ledger:
        ledger.migrate()
        with ledger.ingest_lock("sba"):
            os.kill(int(Path(folder / "data/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            with pytest.raises(OutageError, match=r"Postgres at 127\.0\.0\.1:\d+ does not answer"):
                ledger.watermark("sba")
        with running(folder) as again:
            assert again == url
            assert ledger.watermark("sba") is None


def test_a_connection_that_the_server_drops_is_replaced_without_a_word(ledger, database_url):
    assert ledger.watermark("sba") is None
    run(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()",
    )
    assert ledger.watermark("sba") is None


def test_closing_lets_go_of_every_connection(database_url):
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'refit'"
    ledger = Ledger(database_url)
    with ledger.ingest_lock("sba"):
        ledger.watermark("sba")
        assert run(database_url, count) == [(2,)]
    ledger.close()
    end = time.monotonic() + 60  # they are said goodbye to, and leave when it is their turn
    while run(database_url, count) != [(0,)]:
        assert time.monotonic() < end, "connections stay open"


@pytest.mark.usefixtures("ledger")
def test_a_server_that_takes_no_writes_is_an_outage(database_url):
    sign = "&" if "?" in database_url else "?"
    with Ledger(f"{database_url}{sign}options=-cdefault_transaction_read_only%3Don") as replica:
        assert replica.watermark("sba") is None
        with pytest.raises(OutageError, match=r"takes no writes now: .*read-only transaction; name the primary"):
            replica.take_decision(uuid4(), by="it", outcome="promote")
