"""Taking connections from a listening socket that has its moods, and the end of a generation."""

import asyncio
import errno
import os
import socket

import pytest

from refit.release import generation as module
from refit.release.generation import Acceptor, Generation, config_of


class Moody:
    """A listening socket of which the first connection went away before it was taken."""

    def __init__(self, listener: socket.socket, *faults: int) -> None:
        self._listener = listener
        self._faults = list(faults)

    def __getattr__(self, name: str):
        return getattr(self._listener, name)

    def accept(self):
        if self._faults:
            fault = self._faults.pop(0)
            raise OSError(fault, os.strerror(fault))
        return self._listener.accept()


@pytest.mark.parametrize(
    "fault",
    [errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH],
    ids=lambda number: errno.errorcode[number],
)
def test_at_the_end_who_waits_behind_a_connection_that_broke_is_still_taken(fault):
    async def taken() -> int:
        made = []

        def protocol() -> asyncio.Protocol:
            made.append(asyncio.Protocol())
            return made[-1]

        with socket.create_server(("127.0.0.1", 0)) as listener:
            acceptor = Acceptor(protocol)
            acceptor.listen(Moody(listener, fault))
            with socket.create_connection(listener.getsockname()):
                acceptor.close(empty=True)
                while acceptor.opening:  # noqa: ASYNC110 - it has no event for it
                    await asyncio.sleep(0)
                return len(made)

    assert asyncio.run(taken()) == 1


class FakeBoss:
    """Keeps how the generation is commanded, and what it said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def tell(self, line: str) -> None:
        self.said.append(line)

    def attach(self, obey) -> None:
        self.obey = obey


@pytest.mark.slow
def test_what_is_in_flight_at_the_end_has_the_time_that_a_request_may_take(monkeypatch):
    monkeypatch.setenv("REFIT_REQUEST_SECONDS", "3")
    monkeypatch.setattr(module, "IN_FLIGHT_SECONDS", 1)

    async def answered() -> bytes:
        begun = asyncio.Event()

        async def slow(_scope, _receive, send) -> None:
            begun.set()
            await asyncio.sleep(2.5)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

        boss = FakeBoss()
        generation = Generation(slow, boss)
        ours, check = socket.socketpair()
        with ours, socket.create_server(("127.0.0.1", 0)) as listener:
            running = asyncio.create_task(generation.run(config_of(generation.application), check))
            while "checking" not in boss.said:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(0)
            boss.obey("serve", listener.dup())
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            await begun.wait()
            boss.obey("stop 0.1", None)
            answer = await reader.read()
            writer.close()
            await running
        return answer

    assert asyncio.run(answered()).startswith(b"HTTP/1.1 200 ")
