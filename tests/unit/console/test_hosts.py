"""Only by a name of this machine: a page of a foreign site cannot read the console by a name that leads here."""

import pytest

from refit.console.__main__ import LOOPBACK
from refit.console.app import create_app
from tests.unit.console.browser import Browser
from tests.unit.console.fakes import FakeLedger, FakeReports, FakeScorer

HERE = "http://127.0.0.1:8080"


def asked(base_url, *, allowed_hosts=LOOPBACK, **headers):
    app = create_app(FakeLedger(), FakeReports(), [], FakeScorer(), allowed_hosts=allowed_hosts)
    return Browser(app, base_url=base_url).get("/healthz", headers=headers).status_code


@pytest.mark.parametrize(
    "base_url", [HERE, "http://[::1]:8080", "http://[::1]", "http://localhost:8080", "http://LOCALHOST"]
)
def test_it_answers_to_every_name_of_the_loopback(base_url):
    assert asked(base_url) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "[::2]:8080",
        "[::ffff:1.2.3.4]",
        "[::1].evil.example",
        "[::1]evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "127.0.0.1, evil.example",
        "::1",
        "::1:8080",
        "[::1",
        "[]",
        "[",
        "[:::]",
        "localhost:80:80",
        "localhost:x",
        "",
    ],
)
def test_it_answers_to_no_other(host):
    assert asked(HERE, host=host) == 400


def test_a_longer_way_to_write_the_same_address_is_the_same_address():
    assert asked(HERE, host="[0:0:0:0:0:0:0:1]:8080") == 200


def test_off_the_loopback_a_proxy_may_call_it_what_it_likes():
    assert asked("http://loans.example", allowed_hosts=["*"]) == 200
