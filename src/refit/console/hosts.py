"""The names that the console answers to: a foreign site that borrows a browser of this machine comes by another."""

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

ANY: Final = "*"
_HOST: Final = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_.-]+))(?::[0-9]*)?")
"""RFC 9110, section 7.2: a name or an address, one of IPv6 in brackets, and maybe a port."""


class KnownHosts:
    """Refuses a request that asks for any other host.

    Not Starlette's own: its older ones cut an IPv6 address at the first colon, and know none of them.
    """

    def __init__(self, app: ASGIApp, known: Sequence[str]) -> None:
        self._app = app
        self._known = frozenset(known)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and not self._answers_to(Headers(scope=scope).get("host", "")):
            refusal = PlainTextResponse("This console does not answer to that host name.\n", 400)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _answers_to(self, header: str) -> bool:
        return ANY in self._known or asked_host(header) in self._known


def asked_host(header: str) -> str | None:
    """Return the host that a `Host` header names, without its port; None where it is malformed.

    >>> asked_host("[::1]:8080"), asked_host("LocalHost"), asked_host("[127.0.0.1]"), asked_host("::1")
    ('::1', 'localhost', None, None)
    """
    found = _HOST.fullmatch(header)
    if found is None:
        return None
    if found["address"] is None:
        return found["name"].lower()
    try:
        return str(IPv6Address(found["address"]))
    except AddressValueError:
        return None
