"""A real Postgres for the whole session, and in it a fresh database for each test."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import psycopg2
import pytest

from refit.store.embedded import running
from refit.store.ledger import Ledger

TEMPLATE = "refit_template"


@pytest.fixture(scope="session")
def server_url(tmp_path_factory) -> Iterator[str]:
    """The address of an embedded Postgres that holds a migrated template."""
    with running(tmp_path_factory.mktemp("postgres")) as url:
        run(url, f"CREATE DATABASE {TEMPLATE}")
        with Ledger(other_database(url, TEMPLATE)) as ledger:
            ledger.migrate()
        yield url


@pytest.fixture
def database_url(server_url) -> Iterator[str]:
    """The address of a database of this test's own: the ledger's tables, no row."""
    name = f"test_{uuid4().hex}"
    run(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield other_database(server_url, name)
    run(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ledger(database_url) -> Iterator[Ledger]:
    with Ledger(database_url) as ledger:
        yield ledger


def other_database(url: str, name: str) -> str:
    return f"{url.rpartition('/')[0]}/{name}"


def run(url: str, statement: str, *values: object) -> list[tuple]:
    """Run one statement on its own, and return its rows."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
