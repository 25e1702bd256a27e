"""Until a first release is live, somebody must say so: 503 to whoever asks."""

import selectors
import socket
import threading
from typing import Final

BODY: Final = b'{"error":{"code":"not_ready","message":"no release is live yet"}}'
ANSWER: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 2\r\nconnection: close\r\n"
    b"content-length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY
)
PATIENCE: Final = 0.5
LINE: Final = 4096
MAX_REQUEST: Final = 1 << 16


class Placeholder:
    """Takes connections from the listening socket and answers each with 503, until it is closed."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._ours, self._bell = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="placeholder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Return once no more connection will be taken."""
        self._bell.close()
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._ours:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._ours, selectors.EVENT_READ)
            while all(key.fileobj is not self._ours for key, _ in selector.select()):
                try:
                    connection, _ = self._listener.accept()
                except OSError:
                    continue
                with connection:
                    _answer(connection)


def _answer(connection: socket.socket) -> None:
    """Hear the request, answer, and let the client read: a socket closed with bytes unread takes the answer along."""
    connection.settimeout(PATIENCE)
    try:
        heard = b""
        while b"\r\n\r\n" not in heard and len(heard) < MAX_REQUEST:
            part = connection.recv(LINE)
            if not part:
                return
            heard += part
        connection.sendall(ANSWER)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(MAX_REQUEST):
            pass
    except OSError:
        return
