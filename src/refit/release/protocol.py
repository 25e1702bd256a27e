"""HTTP/1.1 as a generation speaks it: uvicorn's, but no offer of another protocol costs a body, and heads are bounded.

Like `generation`, which loads it as a file, this imports nothing of `refit`.
"""

from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD: Final = 1 << 16
"""How many bytes a request line with its headers may hold; and what comes between two parts of a body, or after it."""
LONG_HEAD: Final = b'{"error":{"code":"too_large","message":"the head of a request may hold %d bytes"}}\n' % MAX_HEAD
TOO_LONG: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(LONG_HEAD), LONG_HEAD)
)
INVALID: Final = "Invalid HTTP request received."


class HeadTooLongError(Exception):
    """More came as one head than may."""


class Protocol(HttpToolsProtocol):
    """One connection.

    Java's HTTP clients offer h2c with each request: `Connection: Upgrade` and `Upgrade: h2c`. The parser then ends the
    request at its headers and takes its body for the other protocol. A server may ignore the offer (RFC 9110, 7.8), so
    the same head is read again without it, by a parser of its own: what a body is, is still the parser's to say.
    """

    _owed = 0
    """How many bytes came since the last head was whole and since the last part of a body."""

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._unset_keepalive_if_required()
        self._owed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(memoryview(data)[offer.args[0] :])
        except httptools.HttpParserError:
            self._not_understood()
        if self._owed > MAX_HEAD:
            self._refuse()

    def _decline(self, rest: memoryview) -> None:
        """Read the head that offered something again, then what came after it, which may hold more of the kind."""
        try:
            while True:
                self._read_again()
                try:
                    self.parser.feed_data(rest)
                except httptools.HttpParserUpgrade as offer:
                    rest = rest[offer.args[0] :]
                else:
                    return
        except httptools.HttpParserError:
            self._not_understood()

    def _read_again(self) -> None:
        """Have the last head read again, as if it held no offer.

        Every other header stays as it was and where it was, so that nothing but the offer can change its meaning.

        Raises:
            HttpParserError: It was no offer but CONNECT, which leaves nothing else to do.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserError(INVALID)
        lines = [b"%s: %s\r\n" % header for header in self.scope["headers"] if header[0] != b"upgrade"]
        head = b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version.encode(), b"".join(lines))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.parser.feed_data(head)

    def _should_upgrade(self) -> bool:
        """Have uvicorn leave a request alone that offers something; asked of no other."""
        return True

    def on_headers_complete(self) -> None:
        """Begin to answer.

        Raises:
            HeadTooLongError: It came in one piece, and is longer than it may be.
        """
        if self._owed > MAX_HEAD and self._length() > MAX_HEAD:
            raise HeadTooLongError
        self._owed = 0
        if self.timeout_keep_alive_task is not None:  # the end of a request before it, in the same piece, set it
            self._unset_keepalive_if_required()
        HttpToolsProtocol.on_headers_complete(self)
        self.headers = []  # trailers would join the headers that the application is looking at

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, which has bounds elsewhere."""
        self._owed = 0
        HttpToolsProtocol.on_body(self, body)  # a call by name: super() costs every request a little

    def on_message_complete(self) -> None:
        """End a request; wait for the next one where it was answered already.

        Its body came late then, and took the timer away that the answer had set.
        """
        HttpToolsProtocol.on_message_complete(self)
        if self.cycle is not None and self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _length(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _not_understood(self) -> None:
        if self._owed <= MAX_HEAD:
            self.logger.warning(INVALID)
            self.send_400_response(INVALID)

    def _refuse(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # else it would stand in the answer to another request
            self.transport.write(TOO_LONG)
        self.transport.close()
