"""Taking connections from a listening socket that has its moods."""

import asyncio
import errno
import os
import socket

import pytest

from refit.release.generation import Acceptor


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
