"""Who is let in, how many, for how long, and under which name."""

import asyncio
import json
import logging
import threading
import uuid

import httpx
import pytest

from bentos import desk, predicting
from bentos.desk import Desk
from bentos.door import Door, is_home, well_formed
from bentos.spool import Spool, SpoolFullError
from refit.errors import ContractError
from refit.scoring.keys import Keys
from tests.unit.bentos import conftest as toy

KEY, NEXT = "a-key-of-0123456789", "the-next-of-0123456789"
GOOD = {"amount": 750, "covered": 50.5, "owner": "no", "state": "TX"}
BOTH = {"X-API-Key": KEY, "Authorization": "Bearer another"}
EVERYWHERE = ["/predict", "/predict/batch", "/explain", "/model", "/openapi.json", "/nowhere"]


def browser(client: str = "127.0.0.1", decisions=None, **terms) -> toy.Browser:
    return toy.Browser(Desk(toy.bundle(), Door(**terms), decisions), client)


def counted(asked: toy.Browser, name: str) -> float:
    text = asked.ask("GET", "/metrics", headers={"x-api-key": KEY}).text
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer  {KEY}"}, {"X-API-Key": KEY}, {"x-api-key": NEXT}],
    ids=["bearer", "lower case", "own header", "the other key"],
)
def test_a_valid_key_is_let_in_from_anywhere(headers):
    asked = browser("203.0.113.9", keys=Keys.of(f"{KEY},{NEXT}"))
    assert asked.ask("POST", "/predict", json=GOOD, headers=headers).status_code == 200
    assert asked.ask("GET", "/metrics", headers=headers).status_code == 200
    assert asked.ask("GET", "/nowhere", headers=headers).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": KEY + "x"}, {"X-API-Key": ""}, {"Authorization": KEY}, {"Authorization": f"Basic {KEY}"}, BOTH],
    ids=["none", "another", "empty", "no scheme", "other scheme", "a valid and another"],
)
@pytest.mark.parametrize("path", EVERYWHERE)
def test_without_a_valid_key_nothing_is_answered_not_even_here(headers, path):
    asked = browser(keys=Keys.of(KEY))
    refused = asked.ask("POST" if "predict" in path else "GET", path, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
    assert refused.headers["www-authenticate"] == 'Bearer realm="refit"'
    assert KEY not in refused.text
    assert counted(asked, 'refit_predictions_total{status="unauthorized"') == 1


@pytest.mark.parametrize("name", ["X-API-Key", "Authorization"])
@pytest.mark.parametrize(
    "given",
    [(KEY, "another"), ("another", KEY), (KEY, ""), ("", KEY), (KEY, KEY), (KEY, NEXT)],
    ids=["good, bad", "bad, good", "good, empty", "empty, good", "the same", "both good"],
)
def test_a_header_with_a_key_that_stands_twice_lets_nobody_in(name, given):
    asked = browser(keys=Keys.of(f"{KEY},{NEXT}"))
    pairs = [(name, f"Bearer {key}" if name == "Authorization" else key) for key in given]
    for headers in (pairs, [pairs[0], ("Accept-Language", "de"), pairs[1]]):
        assert asked.ask("POST", "/predict", json=GOOD, headers=headers).status_code == 401


def test_other_headers_may_stand_twice():
    pairs = [("X-API-Key", KEY), ("Accept", "text/plain"), ("Accept", "application/json"), ("X-Request-ID", "r1")]
    answered = browser("203.0.113.9", keys=Keys.of(KEY)).ask("POST", "/predict", json=GOOD, headers=pairs)
    assert (answered.status_code, answered.headers["x-request-id"]) == (200, "r1")


def test_a_request_with_two_names_gets_one_of_its_own():
    named_twice = browser().ask("GET", "/model", headers=[("X-Request-ID", "r1"), ("X-Request-ID", "r2")])
    assert uuid.UUID(named_twice.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health_is_told_to_anybody(path):
    assert browser("203.0.113.9", keys=Keys.of(KEY)).ask("GET", path).status_code == 200


def test_metrics_are_open_to_this_machine_alone():
    assert browser(keys=Keys.of(KEY)).ask("GET", "/metrics").status_code == 200
    assert browser("203.0.113.9", keys=Keys.of(KEY)).ask("GET", "/metrics").status_code == 401
    assert browser("203.0.113.9").ask("GET", "/metrics").status_code == 401


def test_without_keys_only_this_machine_is_answered_and_others_are_told_what_to_set():
    assert browser().ask("POST", "/predict", json=GOOD).status_code == 200
    assert browser("::1").ask("POST", "/predict", json=GOOD).status_code == 200
    refused = browser("203.0.113.9").ask("POST", "/predict", json=GOOD)
    assert refused.status_code == 401
    assert "REFIT_API_KEYS" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("client", "home"),
    [
        (("127.0.0.1", 1), True),
        (("127.8.9.10", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (None, True),
        (("10.0.0.1", 1), False),
        (("127.evil.example", 1), False),
        (("::ffff:10.0.0.1", 1), False),
    ],
)
def test_home_is_this_machine(client, home):
    assert is_home(client) is home


def test_the_terms_are_read_from_the_environment():
    door = Door.of({"REFIT_API_KEYS": KEY, "REFIT_REQUEST_SECONDS": "2.5", "REFIT_MAX_CONCURRENT": "7"})
    assert (door.keys, door.request_seconds, door.max_concurrent) == (Keys.of(KEY), 2.5, 7)
    assert Door.of({"REFIT_API_KEYS": ""}) == Door()
    for wrong in ("0", "-1", "soon", "inf", "nan"):
        with pytest.raises(ContractError, match="REFIT_REQUEST_SECONDS"):
            Door.of({"REFIT_REQUEST_SECONDS": wrong})


def test_a_request_keeps_the_name_its_sender_gave_it():
    response = browser().ask("POST", "/predict", json=GOOD, headers={"X-Request-ID": "order-17.b_2"})
    assert response.headers["x-request-id"] == "order-17.b_2"
    assert uuid.UUID(response.json()["id"])


@pytest.mark.parametrize(
    "name", ["", "a b", "-x", "x" * 129, "a\tb", "<script>", "ü".encode("latin-1").decode("latin-1")]
)
def test_a_name_that_could_not_stand_in_a_log_is_replaced(name):
    assert well_formed(name.encode("latin-1")) is None
    response = browser().ask("GET", "/model", headers={"X-Request-ID": name.encode("latin-1")})
    assert uuid.UUID(response.headers["x-request-id"])


class Sluggish(httpx.AsyncByteStream):
    """A body whose end never comes."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __aiter__(self):
        yield b'{"amount"'
        self.begun.set()
        await asyncio.Event().wait()


def test_a_body_that_does_not_come_is_not_waited_for():
    asked = browser(request_seconds=0.05)

    async def ask():
        transport = httpx.ASGITransport(app=asked.desk)
        async with httpx.AsyncClient(transport=transport, base_url="http://refit") as client:
            return await client.post("/predict", content=Sluggish())

    response = asyncio.run(ask())
    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
    assert response.headers["connection"] == "close"
    assert counted(asked, 'refit_predictions_total{status="refused"') == 1
    assert counted(asked, "refit_in_flight") == 1  # the question itself


def test_who_reads_no_answer_gives_its_place_to_others_when_its_time_is_up(monkeypatch):
    monkeypatch.setattr(desk, "LAST_SECONDS", 0.05)
    asked = browser(request_seconds=0.05)
    scope = {"method": "POST", "path": "/predict", "headers": [], "client": ("127.0.0.1", 4711)}

    async def never(*_message):
        await asyncio.Event().wait()

    async def ask():
        await asyncio.wait_for(asked.desk(scope, never, never), 10)

    asyncio.run(ask())
    assert counted(asked, "refit_in_flight") == 1  # the question itself


def test_what_waits_for_its_turn_when_its_time_is_up_holds_no_body_any_more():
    may_go_on = threading.Event()
    asked, body = browser(), bytearray(b"[]")

    async def ask():
        asked.desk._batches.submit(may_go_on.wait, 10)
        waiting = asyncio.create_task(asked.desk._aside(asked.desk._batches, lambda _request, _body: None, None, body))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()

    asyncio.run(ask())
    may_go_on.set()
    asked.desk._batches.shutdown()
    assert body == b""


class Kept:
    """A decision log in memory."""

    def __init__(self, *, full: bool = False) -> None:
        self.entries: list[dict] = []
        self.full = full

    def append(self, entries) -> None:
        if self.full:
            raise SpoolFullError("the decision log holds 100 bytes; 100 is its bound")
        self.entries += [json.loads(json.dumps(entry, default=str)) for entry in entries]

    @property
    def backlog(self) -> int:
        return len(self.entries)

    @property
    def bytes(self) -> int:
        return 100 * len(self.entries)


def test_an_answer_that_came_too_late_is_not_written_down(monkeypatch):
    may_go_on = threading.Event()
    kept = Kept()
    asked = browser(decisions=kept, request_seconds=0.05)

    def slowly(bundle, inputs):
        may_go_on.wait(10)
        return whole(bundle, inputs)

    whole = predicting.explain
    monkeypatch.setattr(predicting, "explain", slowly)
    assert asked.ask("POST", "/explain", json=GOOD).status_code == 504
    may_go_on.set()
    asked.desk._explanations.shutdown()
    assert kept.entries == []


def test_as_many_as_may_be_are_answered_at_once_and_one_more_is_told_to_come_again():
    asked = browser(max_concurrent=1)

    async def ask():
        transport = httpx.ASGITransport(app=asked.desk)
        async with httpx.AsyncClient(transport=transport, base_url="http://refit") as client:
            body = Sluggish()
            first = asyncio.create_task(client.post("/predict", content=body))
            await body.begun.wait()
            answers = [await client.post("/predict", json=GOOD), await client.get("/readyz")]
            first.cancel()
            return answers

    refused, ready = asyncio.run(ask())
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "refused")
    assert refused.headers["retry-after"] == "1"
    assert ready.status_code == 200
    assert asked.ask("POST", "/predict", json=GOOD).status_code == 200


def test_every_answer_is_written_down_before_it_goes_out():
    kept = Kept()
    asked = browser(decisions=kept)
    one = asked.ask("POST", "/predict", json=GOOD, headers={"X-Request-ID": "r1"}).json()
    two = asked.ask("POST", "/predict/batch", json=[GOOD, GOOD | {"amount": 250}]).json()["predictions"]
    why = asked.ask("POST", "/explain", json=GOOD).json()
    assert [entry["id"] for entry in kept.entries] == [answer["id"] for answer in (one, *two, why)]
    first = kept.entries[0]
    assert first.pop("at").endswith("+00:00")
    assert first.pop("latency_ms") > 0
    assert first == {
        "id": one["id"],
        "request_id": "r1",
        "usecase": "toy",
        "version": "toy-20030630-0123456789ab",
        "inputs": {"amount": 750.0, "covered": 50.5, "owner": "no", "state": "TX"},
        "probability": 0.75,
        "threshold": 0.5,
        "decision": "decline",
    }
    assert kept.entries[1]["request_id"] == kept.entries[2]["request_id"]
    assert kept.entries[3]["reasons"] == why["reasons"]
    assert counted(asked, "refit_log_backlog") == 4
    assert counted(asked, "refit_log_bytes") == 400


def test_a_refused_request_is_not_written_down():
    kept = Kept()
    asked = browser(decisions=kept)
    assert asked.ask("POST", "/predict", json={}).status_code == 400
    assert kept.entries == []


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/explain"])
def test_what_cannot_be_written_down_is_not_answered_and_readiness_says_so(path):
    kept = Kept(full=True)
    asked = browser(decisions=kept)
    refused = asked.ask("POST", path, json=[GOOD] if path.endswith("batch") else GOOD)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "the decision log" in refused.json()["error"]["message"]
    assert asked.ask("GET", "/readyz").status_code == 503
    assert asked.ask("GET", "/livez").status_code == 200
    assert counted(asked, "refit_log_full") == 1
    assert counted(asked, 'refit_predictions_total{status="refused"') == 1
    kept.full = False
    assert asked.ask("GET", "/readyz").status_code == 200


def test_a_batch_that_could_never_be_written_down_is_told_so_and_not_to_come_again(tmp_path):
    asked = browser(decisions=Spool(tmp_path / "spool", 10_000))
    refused = asked.ask("POST", "/predict/batch", json=[GOOD] * 100)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
    assert "REFIT_SPOOL_MB" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers
    assert asked.ask("POST", "/predict/batch", json=[GOOD] * 10).status_code == 200
    assert asked.ask("GET", "/readyz").status_code == 200


def test_the_supervisors_own_line_needs_no_key_and_leaves_no_trace():
    kept = Kept(full=True)
    desk = Desk(toy.bundle(), Door(keys=Keys.of(KEY), max_concurrent=1), kept)

    async def privately(scope, receive, send):
        await desk(scope | {"state": {"refit_private": True}}, receive, send)

    asked = toy.Browser(privately, "203.0.113.9")
    assert asked.ask("POST", "/predict", json=GOOD).json()["probability"] == 0.75
    assert kept.entries == []
    assert 'status="ok",use_case="toy",version="toy-20030630-0123456789ab"} 0.0' in asked.ask("GET", "/metrics").text


def test_metrics_show_the_model_its_age_and_what_the_supervisor_told():
    desk = Desk(toy.bundle())

    async def told(scope, receive, send):
        told = {"swaps": 3, "refusals": 1, "restarts": 0, "live_since": 1e9}
        await desk(scope | {"state": {"refit_told": told}}, receive, send)

    asked = toy.Browser(told)
    assert counted(asked, "refit_swaps_total") == 3
    assert counted(asked, "refit_refusals_total") == 1
    assert counted(asked, 'refit_model_age_seconds{since="live"') > 20 * 365 * 86400 - 1e9
    assert counted(asked, 'refit_model_age_seconds{since="as_of"') > 20 * 365 * 86400
    assert (
        'refit_model_info{as_of="2003-06-30",use_case="toy",version="toy-20030630-0123456789ab"} 1.0'
        in asked.ask("GET", "/metrics").text
    )


def test_no_key_and_no_value_stands_in_any_log(caplog):
    asked = browser(keys=Keys.of(KEY))
    with caplog.at_level(logging.DEBUG):
        asked.ask("POST", "/predict", json=GOOD | {"state": "s3cr3t"}, headers={"X-API-Key": KEY})
        asked.ask("POST", "/predict", json=GOOD, headers={"X-API-Key": "wr0ng-key"})
        asked.ask("POST", "/explain", json={"amount": "s3cr3t"}, headers={"X-API-Key": KEY})
    assert "s3cr3t" not in caplog.text
    assert KEY not in caplog.text
    assert "wr0ng-key" not in caplog.text
