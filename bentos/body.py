"""A request's body, read whole and no further than it may go."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from bentos.answers import RefusalError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY: Final = 1 << 20
MAX_BATCH_BODY: Final = 16 << 20
PATIENCE: Final = 64 << 20
"""How much of a body that is too large is read and dropped, so that its sender hears why; beyond it is cut off."""


class DisconnectedError(Exception):
    """The client went away before its request was whole."""


async def read(headers: dict[bytes, bytes], receive: Receive, limit: int) -> bytearray:
    """Return the whole body.

    Raises:
        RefusalError: It is larger than `limit`.
        DisconnectedError: The client left.
    """
    told = headers.get(b"content-length", b"")
    length = int(told) if told.isdigit() and len(told) < 20 else 0  # noqa: PLR2004 - as many digits as any length has
    if length > PATIENCE or (length > limit and b"expect" in headers):
        raise _too_large(limit)
    body = bytearray()
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            body += part
        else:
            body.clear()
        if size > PATIENCE or not message.get("more_body", False):
            break
    if size > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> RefusalError:
    return RefusalError(413, "too_large", f"the body may hold {limit} bytes", connection="close")
