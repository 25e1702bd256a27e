"""Alerts against a receiver of our own."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from refit.errors import DataError
from refit.loop.alert import PAUSES, Alert, of_failure, send, signature
from refit.settings import Settings

AS_OF = datetime(2026, 3, 17, 2, tzinfo=UTC)
ALERT = Alert("data_blocked", "demo", AS_OF, "demo: the new records look broken", ("income: 60 % missing",))


@contextmanager
def receiver(*statuses):
    """Answer with each status in turn, and with the last from then on; keep what came."""
    came = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            came.append((dict(self.headers), body))
            self.send_response(statuses[min(len(came), len(statuses)) - 1])
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", came
        finally:
            server.shutdown()
            thread.join()


def settings(url, secret="hush"):
    return Settings(webhook_url=url, webhook_secret=None if secret is None else SecretStr(secret))


def test_it_arrives_as_plain_json_signed_over_its_moment_and_body():
    with receiver(200) as (url, came):
        assert send(settings(url), ALERT, clock=lambda: 1234.9)
    ((headers, body),) = came
    assert json.loads(body) == {
        "id": str(ALERT.id),
        "kind": "data_blocked",
        "usecase": "demo",
        "as_of": "2026-03-17T02:00:00+00:00",
        "summary": "demo: the new records look broken",
        "reasons": ["income: 60 % missing"],
        "model": None,
    }
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["x-refit-timestamp"] == "1234"
    assert sent["x-refit-signature"] == signature("hush", "1234", body)
    assert sent["x-refit-signature"] != signature("hush", "1235", body)


def test_without_a_secret_it_goes_unsigned():
    with receiver(204) as (url, came):
        assert send(settings(url, secret=None), ALERT)
    assert "x-refit-signature" not in {name.lower() for name in came[0][0]}


def test_a_receiver_that_stumbles_is_asked_again_for_the_same_alert():
    waited = []
    with receiver(503, 429, 200) as (url, came):
        assert send(settings(url), ALERT, sleep=waited.append)
    assert waited == list(PAUSES[:2])
    assert len({json.loads(body)["id"] for _, body in came}) == 1


@pytest.mark.parametrize(("status", "times"), [(500, len(PAUSES) + 1), (404, 1), (401, 1)])
def test_it_gives_up_in_the_end_and_at_once_where_asking_again_cannot_help(status, times):
    with receiver(status) as (url, came):
        assert not send(settings(url), ALERT, sleep=lambda _: None)
    assert len(came) == times


def test_nobody_listening_is_no_failure_of_the_night():
    with receiver(200) as (url, _):
        pass
    assert not send(settings(url), ALERT, sleep=lambda _: None)


@pytest.mark.parametrize("alert", [None, ALERT], ids=["nothing to tell", "nobody to tell"])
def test_nothing_is_sent_where_there_is_nothing_or_nobody_to_tell(alert):
    with receiver(200) as (url, came):
        assert not send(settings(url if alert is None else None), alert)
    assert came == []


def test_a_failed_night_is_told_with_what_went_wrong():
    told = of_failure("demo", AS_OF, DataError("no labels have matured"))
    assert (told.kind, told.reasons) == ("night_failed", ("no labels have matured",))
    assert "DataError" in told.summary
