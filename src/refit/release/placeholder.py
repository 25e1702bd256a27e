"""Until a first release is live, somebody must say so: 503 to whoever asks, with the reason."""

import json
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

NOBODY: Final = "no release is live yet"
PATIENCE: Final = 5.0
"""How long one client may take for its request and for reading the answer, however busily it sends."""
LAST_SECONDS: Final = 0.5
"""The same once a release takes over."""
TICK: Final = 0.05
LINE: Final = 4096
MAX_HEAD: Final = 1 << 16
MOST: Final = 256
"""So many clients are listened to at once; beyond that the eldest has to go."""


class Placeholder:
    """Takes connections from the listening socket and answers each with 503 and `why()`, until it is closed."""

    def __init__(self, listener: socket.socket, why: Callable[[], str] = lambda: NOBODY) -> None:
        self._listener = listener
        self._why = why
        self._ours, self._bell = socket.socketpair()
        self._clients: dict[socket.socket, _Client] = {}
        self._thread = threading.Thread(target=self._run, name="placeholder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Return once no more connection will be taken, and who asked is answered."""
        self._bell.close()
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._ours:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._ours, selectors.EVENT_READ)
            ending = False
            while not ending or self._clients:
                ready: set[object] = {key.fileobj for key, _ in selector.select(TICK if self._clients else None)}
                if self._ours in ready:
                    ending = True
                    self._end(selector)
                elif self._listener in ready:
                    self._take(selector)
                self._hear(ready, selector)

    def _take(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            time.sleep(TICK)  # no room for another one; it waits
            return
        connection.settimeout(0)
        selector.register(connection, selectors.EVENT_READ)
        self._clients[connection] = _Client(connection)
        if len(self._clients) > MOST:
            self._let_go(next(iter(self._clients)), selector)

    def _hear(self, ready: set[object], selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        for connection, client in list(self._clients.items()):
            if now > client.deadline or (connection in ready and client.done(self._why)):
                self._let_go(connection, selector)

    def _end(self, selector: selectors.BaseSelector) -> None:
        selector.unregister(self._listener)
        selector.unregister(self._ours)
        for client in self._clients.values():
            client.deadline = min(client.deadline, time.monotonic() + LAST_SECONDS)

    def _let_go(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        selector.unregister(connection)
        del self._clients[connection]
        connection.close()


class _Client:
    """One connection: its head is heard, the answer sent, and then it is let read.

    A socket closed with bytes unread takes the answer along.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.deadline = time.monotonic() + PATIENCE
        self._connection = connection
        self._heard = b""
        self._answered = False

    def done(self, why: Callable[[], str]) -> bool:
        """Read what has come, and return whether there is nothing left to say or to hear."""
        try:
            part = self._connection.recv(LINE)
            if not self._answered and part:
                self._heard += part
                if b"\r\n\r\n" in self._heard or len(self._heard) > MAX_HEAD:
                    self._answered = True
                    self._connection.sendall(_refusal(why()))
                    self._connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not part


def _refusal(why: str) -> bytes:
    body = json.dumps({"error": {"code": "not_ready", "message": why}}, separators=(",", ":")).encode()
    return (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 2\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )
