"""The public socket and the signals: what the supervisor takes from the system."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

from refit.errors import ContractError, OutageError

BACKLOG: Final = 2048
SECONDS: Final = 1.5
"""How long a port is waited for: a killed predecessor's generation needs a moment to let go of it."""


def listening(host: str, port: int, *, open_to_all: bool = False) -> socket.socket:
    """Return a socket that listens on `host`; port 0 takes a free one.

    Args:
        open_to_all: Whether addresses that other machines reach may be listened on.

    Raises:
        ContractError: Other machines would reach it, and may not.
        OutageError: The port is taken, or not ours to take.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return _bound(host, port, open_to_all=open_to_all)
        except OSError as error:
            if time.monotonic() > deadline or isinstance(error, socket.gaierror | PermissionError):
                raise OutageError(
                    f"cannot listen on {host}:{port}: {error.strerror}; "
                    "stop what holds it, or set REFIT_SERVICE_PORT to another port"
                ) from None
            time.sleep(0.05)


def _bound(host: str, port: int, *, open_to_all: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    if not open_to_all and not ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise ContractError(
            f"{host} can be reached from other machines, and no keys are set: anybody could ask. "
            "Set REFIT_API_KEYS (one key or several, separated by commas), or listen on 127.0.0.1"
        )
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
