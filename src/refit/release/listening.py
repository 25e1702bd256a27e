"""The public socket and the signals: what the supervisor takes from the system."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from refit.errors import OutageError

BACKLOG: Final = 2048
SECONDS: Final = 1.5
"""How long a port is waited for: a killed predecessor's generation needs a moment to let go of it."""


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host`; port 0 takes a free one.

    Raises:
        OutageError: The port is taken, or not ours to take.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return _bound(host, port)
        except OSError as error:
            if time.monotonic() > deadline or isinstance(error, socket.gaierror | PermissionError):
                raise OutageError(
                    f"cannot listen on {host}:{port}: {error.strerror}; "
                    "stop what holds it, or set REFIT_SERVICE_PORT to another port"
                ) from None
            time.sleep(0.05)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
        bound.settimeout(0)
    except OSError:
        bound.close()
        raise
    return bound


@contextmanager
def ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Have SIGTERM and SIGINT call `stop`, where Python lets us hear them: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
