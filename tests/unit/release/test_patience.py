"""How long a connection is waited for: to say what it wants, and to read what it is told."""

import asyncio
import socket

import pytest
from uvicorn.server import ServerState

from refit.release.generation import PROGRESS, TOO_SLOW, Patience, config_of

SECONDS = 30.0
LONG = 4 << 20
HEAD = b"POST /%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"


async def application(scope, receive, send) -> None:
    while scope["path"] == "/read" and (await receive()).get("more_body"):
        pass
    size = {"/long": LONG, "/shorter": LONG - PROGRESS // 2}.get(scope["path"], 0)
    headers = [(b"content-length", b"%d" % size)]
    if b"close" in scope["query_string"]:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * size})


class Line:
    """A client at one end, a served connection at the other, and a watch that only the test turns."""

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        config = config_of(application)
        config.load()
        self.state = ServerState()
        served, self.client = socket.socketpair()
        served.settimeout(0)
        self.client.settimeout(0)
        served.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.transport, self.protocol = await loop.connect_accepted_socket(
            lambda: config.http_protocol_class(config=config, server_state=self.state, app_state={}), served
        )
        self.patience = Patience(lambda: self.state.connections, SECONDS)
        return self

    async def __aexit__(self, *_error) -> None:
        self.transport.abort()
        self.client.close()
        await asyncio.gather(*self.state.tasks)
        await self.until(lambda: not self.open)

    @property
    def open(self) -> bool:
        return bool(self.state.connections)

    @property
    def unread(self) -> int:
        return self.transport.get_write_buffer_size()

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.client, data)

    async def answered(self) -> None:
        await self.until(lambda: self.protocol.cycle is not None and self.protocol.cycle.response_complete)

    async def until(self, seen) -> None:
        async with asyncio.timeout(60):
            while not seen():  # noqa: ASYNC110 - uvicorn has no event for what is waited for
                await asyncio.sleep(0)

    async def read_until(self, unread: int) -> None:
        async with asyncio.timeout(60):
            while self.unread > unread:
                try:
                    self.client.recv(4096)
                except BlockingIOError:
                    await asyncio.sleep(0)

    async def all_said(self) -> bytes:
        """Return what comes until the connection ends."""
        loop, heard = asyncio.get_running_loop(), b""
        async with asyncio.timeout(60):
            while part := await loop.sock_recv(self.client, 1 << 20):
                heard += part
        return heard

    def look(self, *times: float) -> None:
        for now in times:
            self.patience.look(now)


def on_a_line(play) -> None:
    async def act() -> None:
        async with Line() as line:
            await play(line)

    asyncio.run(act())


@pytest.mark.parametrize("query", [b"", b"?close"], ids=["kept", "closing"])
def test_who_does_not_read_an_answer_is_cut_off_and_what_it_did_not_read_is_dropped(query):
    async def play(line):
        await line.say(HEAD % (b"long" + query) + b"hello")
        await line.answered()
        line.look(0, SECONDS)
        assert line.unread > LONG // 2
        line.look(SECONDS + 1)
        await line.until(lambda: not line.open)
        assert line.unread == 0
        assert TOO_SLOW not in await line.all_said()

    on_a_line(play)


def test_an_answer_that_is_read_slowly_is_read_to_its_end():
    async def play(line):
        await line.say(HEAD % b"long" + b"hello")
        await line.answered()
        now = 0.0
        while line.unread:
            line.look(now, now + SECONDS)
            await line.read_until(max(line.unread - PROGRESS, 0))
            now += SECONDS + 1
        line.look(now, now + 2 * SECONDS)
        assert line.open
        assert not line.transport.is_closing()

    on_a_line(play)


def test_an_answer_that_is_read_a_byte_now_and_then_is_not_waited_for():
    async def play(line):
        await line.say(HEAD % b"long" + b"hello")
        await line.answered()
        for now in range(4):
            line.look(now * SECONDS / 4)
            await line.read_until(line.unread - 4096)
        assert line.open
        line.look(SECONDS + 1)
        await line.until(lambda: not line.open)
        assert line.unread == 0

    on_a_line(play)


def test_the_next_answer_has_its_own_time():
    async def play(line):
        for path, now in ((b"long", 0.0), (b"shorter", SECONDS - 1)):
            await line.read_until(0)
            await line.say(HEAD % path + b"hello")
            await line.until(lambda: line.unread > LONG // 2)
            line.look(now)
        line.look(SECONDS + 1)
        assert not line.transport.is_closing()

    on_a_line(play)


@pytest.mark.parametrize("before", [False, True], ids=["the first request", "a later one"])
@pytest.mark.parametrize("said", [b"", b"POST /read HT"], ids=["nothing", "half a head"])
def test_who_does_not_finish_what_it_wants_is_told_so(before, said):
    async def play(line):
        if before:
            await line.say(HEAD % b"read" + b"hello")
            await line.answered()
        scope = line.protocol.scope
        await line.say(said)
        await line.until(lambda: not said or line.protocol.scope is not scope)
        line.look(0, SECONDS)
        assert not line.transport.is_closing()
        line.look(SECONDS + 1)
        waits = before and not said  # for its next request, as long as a connection is kept
        assert waits or (await line.all_said()).endswith(TOO_SLOW)
        assert line.open is waits

    on_a_line(play)


@pytest.mark.parametrize("rest", [[b"hel"], [b"hello", b"\r\n"]], ids=["half a late body", "an empty line behind it"])
def test_nobody_is_told_what_it_could_take_for_the_answer_to_its_next_request(rest):
    async def play(line):
        await line.say(HEAD % b"early")
        await line.answered()
        for part in rest:
            timer = line.protocol.timeout_keep_alive_task
            await line.say(part)
            await line.until(lambda was=timer: line.protocol.timeout_keep_alive_task is not was)
        assert line.protocol.timeout_keep_alive_task is None
        line.look(0, SECONDS + 1)
        heard = await line.all_said()
        assert heard.startswith(b"HTTP/1.1 200 ")
        assert heard.count(b"HTTP/1.1") == 1

    on_a_line(play)


def test_a_connection_whose_body_came_late_is_kept_like_any_other():
    async def play(line):
        await line.say(HEAD % b"early")
        await line.answered()
        timer = line.protocol.timeout_keep_alive_task
        await line.say(b"hello")
        await line.until(lambda: line.protocol.timeout_keep_alive_task not in {None, timer})
        line.look(0, SECONDS + 1)
        assert not line.transport.is_closing()
        await line.say(HEAD % b"read" + b"hello")
        await line.until(lambda: line.protocol.cycle.scope["path"] == "/read")
        await line.answered()

    on_a_line(play)
