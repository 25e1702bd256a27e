"""A connection of the service, byte by byte: what the application sees of it, and what the client hears."""

import asyncio
import logging
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from refit.release import generation
from refit.release.generation import config_of
from refit.release.protocol import MAX_HEAD, TOO_LONG

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
HOST = b"Host: localhost\r\n"
SIZED = b"Content-Length: 5\r\n\r\nhello"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
SECOND = b"POST /second HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"


class Wire(asyncio.Transport):
    """The client's side: keeps what it is sent, and lets the protocol see no more once it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = b""
        self.closed = False
        self.protocol: asyncio.Protocol | None = None

    def write(self, data) -> None:
        if not self.closed:
            self.heard += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Talk:
    """What came of a conversation."""

    def __init__(self, *parts: bytes) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.wire = Wire()
        self.taken = 0
        self.ended = False
        self.waits: list[bool] = []
        """After each part: whether the connection waits for its next request, as long as it may be kept."""
        asyncio.run(self._talk(parts))

    @property
    def statuses(self) -> list[int]:
        return [int(code) for code in re.findall(rb"HTTP/1.1 (\d+) ", self.wire.heard)]

    async def _talk(self, parts) -> None:
        config, state = config_of(self._application), ServerState()
        config.load()
        protocol = config.http_protocol_class(config=config, server_state=state, app_state={})
        self.wire.protocol = protocol
        protocol.connection_made(self.wire)
        for part in parts:
            if self.wire.closed:
                break
            protocol.data_received(part)
            self.taken += len(part)
            await self._quiet()
            self.waits.append(protocol.timeout_keep_alive_task is not None)
        self.ended = self.wire.closed
        self.wire.close()
        await asyncio.gather(*state.tasks)

    async def _quiet(self) -> None:
        """Return once nothing happens any more of itself."""
        before, turns = None, 0
        while turns < 3:
            now = len(self.seen), len(self.wire.heard), self.wire.closed
            turns, before = (turns + 1, now) if now == before else (0, now)
            await asyncio.sleep(0)

    async def _application(self, scope, receive, send) -> None:
        body, more = b"", True
        while (more and scope["path"] != "/early") or scope["path"] == "/slow":
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        self.seen.append((scope["method"], scope["path"], body))
        self.headers.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


def split(data: bytes, *at: int) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(at), len(data)])]


def nowhere(data: bytes) -> list[bytes]:
    return [data]


def before_the_body(data: bytes) -> list[bytes]:
    return split(data, data.index(b"\r\n\r\n") + 4)


def in_the_body(data: bytes) -> list[bytes]:
    return split(data, data.index(b"\r\n\r\n") + 8)


def in_pieces(data: bytes) -> list[bytes]:
    return split(data, *range(500, len(data), 500))


def everywhere(data: bytes) -> list[bytes]:
    return split(data, *range(1, len(data)))


@pytest.mark.parametrize("cut", [nowhere, before_the_body, in_the_body, everywhere])
@pytest.mark.parametrize("body", [SIZED, CHUNKED], ids=["sized", "chunked"])
@pytest.mark.parametrize("together", [True, False], ids=["pipelined", "one after the other"])
def test_an_offer_of_h2c_costs_no_body_and_no_warning(cut, body, together, caplog):
    first = b"POST /first HTTP/1.1\r\n" + HOST + H2C + body
    with caplog.at_level(logging.INFO):
        talk = Talk(*cut(first + SECOND) if together else [*cut(first), SECOND])
    assert talk.seen == [("POST", "/first", b"hello"), ("POST", "/second", b"abc")]
    assert talk.statuses == [200, 200]
    assert not talk.ended
    assert not caplog.records


def test_many_offers_in_one_piece_are_all_declined():
    one = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"
    talk = Talk(one * 1500)
    assert talk.statuses == [200] * 1500
    assert not talk.ended


def test_who_offers_and_waits_to_be_told_is_told_to_go_on():
    talk = Talk(b"POST /first HTTP/1.1\r\n" + H2C + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", b"hello")
    assert talk.statuses == [100, 200]
    assert talk.seen == [("POST", "/first", b"hello")]


@pytest.mark.parametrize("connection", [b"close, Upgrade", b"Upgrade, close"])
def test_who_offers_and_wants_the_end_gets_it(connection):
    talk = Talk(b"POST /first HTTP/1.1\r\nUpgrade: h2c\r\nConnection: " + connection + b"\r\n" + SIZED)
    assert talk.seen == [("POST", "/first", b"hello")]
    assert talk.ended


def test_an_offer_in_http_1_0_is_of_http_1_0_still():
    talk = Talk(b"POST /first HTTP/1.0\r\n" + H2C + SIZED)
    assert talk.seen == [("POST", "/first", b"hello")]
    assert talk.ended


@pytest.mark.parametrize("headers", [b"", H2C], ids=["plain", "with an offer"])
def test_connect_is_refused(headers):
    talk = Talk(b"CONNECT a:1 HTTP/1.1\r\n" + headers + b"\r\n", SECOND)
    assert (talk.seen, talk.statuses, talk.ended) == ([], [400], True)


FRAMES = [
    b"Content-Length: 5",
    b"Content-Length: 3",
    b"Content-Length: +5",
    b"Content-Length:",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encod:\r\ning: chunked",
    b"Content\r\n-Length: 5",
    b"X: a\r\n Content-Length: 5",
    b"X: a\rContent-Length: 5",
    b"X: a\nContent-Length: 5",
    b"X: a\x00b",
    b"X: \xff\xe9\tb ",
    b"Content-Length : 5",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Content-Length",
    b"Expect: 100-continue",
]
BODIES = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"hello" + SECOND]


@given(
    frames=st.lists(st.sampled_from(FRAMES), max_size=3),
    body=st.sampled_from(BODIES),
    version=st.sampled_from([b"1.1", b"1.0"]),
    at=st.integers(0, 3),
    cut=st.sampled_from([nowhere, before_the_body, everywhere]),
)
def test_what_a_request_means_is_the_same_with_an_offer_and_without(frames, body, version, at, cut):
    def said(offer: list[bytes]) -> Talk:
        lines = [b"POST /p HTTP/" + version, *frames[:at], b"Connection: upgrade", *offer, *frames[at:], b"", body]
        return Talk(*cut(b"\r\n".join(lines)), SECOND)

    without, with_it = said([]), said([b"Upgrade: h2c"])
    assert with_it.seen == without.seen
    assert with_it.statuses == without.statuses
    assert with_it.ended == without.ended


def test_what_comes_after_a_body_is_no_header_of_its_request():
    body = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-API-Key: late\r\n\r\n"
    talk = Talk(b"POST /first HTTP/1.1\r\n" + HOST + body)
    assert talk.headers == [{b"host": b"localhost", b"transfer-encoding": b"chunked"}]


START = b"POST /first HTTP/1.1\r\n"
CHUNK = START + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
FLOODS = {
    "header lines": (START, b"X-A: " + b"a" * 995 + b"\r\n"),
    "one header": (START + b"X-A: ", b"a" * 1000),
    "a name": (START, b"a" * 1000),
    "a path": (b"GET /", b"a" * 1000),
    "empty lines": (b"", b"\r\n" * 500),
    "an offer": (START + H2C, b"X-A: " + b"a" * 995 + b"\r\n"),
    "the size of a chunk": (CHUNK + b"5;", b"a" * 1000),
    "trailers": (CHUNK + b"0\r\n", b"X-A: " + b"a" * 995 + b"\r\n"),
}


@pytest.mark.parametrize(("start", "more"), FLOODS.values(), ids=FLOODS)
def test_a_head_without_an_end_is_not_read_on(start, more):
    talk = Talk(start, *[more] * 1000)
    assert talk.ended
    assert talk.taken <= MAX_HEAD + len(start) + len(more)
    assert not talk.seen
    assert talk.wire.heard == (b"" if start.startswith(CHUNK) else TOO_LONG)  # half a request is owed no answer


@pytest.mark.parametrize("offer", [b"", H2C], ids=["plain", "with an offer"])
@pytest.mark.parametrize("cut", [nowhere, in_pieces])
def test_a_head_may_be_as_long_as_the_bound_and_no_longer(offer, cut):
    def head(size: int) -> bytes:
        start = b"GET /first HTTP/1.1\r\n" + offer + b"X-A: "
        return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"

    short, long = Talk(*cut(head(MAX_HEAD - 1000)), SECOND), Talk(*cut(head(MAX_HEAD + 1000)), SECOND)
    assert short.seen == [("GET", "/first", b""), ("POST", "/second", b"abc")]
    assert (long.seen, long.wire.heard, long.ended) == ([], TOO_LONG, True)


@pytest.mark.parametrize("size", [1000, MAX_HEAD, 250_000], ids=["small parts", "as a head", "large parts"])
@pytest.mark.parametrize("offer", [b"", H2C], ids=["plain", "with an offer"])
def test_a_body_is_no_head_however_it_comes(size, offer):
    parts = [b"x" * size] * (1_000_000 // size)
    total = size * len(parts)
    sized = START + offer + b"Content-Length: %d\r\n\r\n" % total
    assert Talk(sized, *parts, SECOND).statuses == [200, 200]
    assert Talk(sized + b"".join(parts), SECOND).statuses == [200, 200]
    chunked = START + offer + b"Transfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    assert Talk(chunked, *chunks, b"0\r\n\r\n", SECOND).statuses == [200, 200]


def test_many_requests_on_one_connection_are_not_one_head():
    talk = Talk(*[b"GET /first HTTP/1.1\r\nX-A: " + b"a" * 1000 + b"\r\n\r\n"] * 200)
    assert talk.statuses == [200] * 200


def test_too_long_a_head_says_nothing_that_could_be_the_answer_to_a_request_before_it():
    talk = Talk(b"GET /slow HTTP/1.1\r\n\r\n", *FLOODS["a path"], b"a" * MAX_HEAD)
    assert (talk.wire.heard, talk.ended) == (b"", True)


def test_without_httptools_uvicorns_own_protocol_keeps_bodies_and_bounds_heads_too(monkeypatch):
    monkeypatch.setattr(generation.importlib.util, "find_spec", lambda _name: None)
    assert config_of(lambda *_: None).http == "auto"
    monkeypatch.setattr(generation, "_protocol", lambda: H11Protocol)
    talk = Talk(*before_the_body(START + HOST + H2C + SIZED), SECOND)
    assert talk.seen == [("POST", "/first", b"hello"), ("POST", "/second", b"abc")]
    flooding = Talk(*[b"".join(FLOODS["header lines"])] * 1000)
    assert flooding.ended
    assert flooding.taken < 1_000_000


EARLY = b"POST /early HTTP/1.1\r\n" + HOST


@pytest.mark.parametrize("offer", [b"", H2C], ids=["plain", "with an offer"])
@pytest.mark.parametrize("body", [SIZED, CHUNKED], ids=["sized", "chunked"])
def test_a_connection_whose_body_comes_after_its_answer_waits_for_the_next_request_all_the_same(offer, body):
    parts = split(EARLY + offer + body, (EARLY + offer + body).index(b"\r\n\r\n") + 4, len(EARLY + offer + body) - 3)
    talk = Talk(*parts, SECOND, *parts)
    assert talk.statuses == [200, 200, 200]
    assert talk.waits == [True, False, True, True, True, False, True]


def test_who_sends_the_next_request_behind_a_late_body_is_answered_and_not_timed_meanwhile():
    slow = b"POST /slow HTTP/1.1\r\n" + HOST + SIZED
    talk = Talk(*before_the_body(EARLY + SIZED + slow), b"")
    assert talk.statuses == [200]
    assert talk.waits[:2] == [True, False]
