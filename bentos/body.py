"""A request's body, read whole and no further than it may go."""

from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Self

from bentos.answers import RefusalError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY: Final = 1 << 20
MAX_BATCH_BODY: Final = 16 << 20
MAX_BODIES: Final = 128 << 20
FREE: Final = 64 << 10
"""So much of each body has room whatever the others hold: many large batches keep no single record out."""
PATIENCE: Final = 64 << 20
"""How much of a body that is too large is read and dropped, so that its sender hears why; beyond it is cut off."""


class DisconnectedError(Exception):
    """The client went away before its request was whole."""


class Room:
    """How many bytes the bodies of all requests may hold together, beyond the first `FREE` of each.

    For one event loop: no method is safe from another thread.
    """

    def __init__(self, limit: float = MAX_BODIES) -> None:
        self.limit = limit
        self.held = 0

    def share(self) -> "Share":
        """Return what one body takes of it; given back where its `with` ends."""
        return Share(self)


class Share:
    """What one body takes of the room."""

    __slots__ = ("_held", "_room")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    def grow(self, size: int) -> None:
        """Take what a body of `size` bytes needs.

        Raises:
            RefusalError: The other bodies leave no room for it.
        """
        more = size - FREE - self._held
        if more <= 0:
            return
        if self._room.held + more > self._room.limit:
            raise RefusalError(503, "refused", "the bodies of other requests take all the room", retry_after="1")
        self._room.held += more
        self._held += more

    def empty(self) -> None:
        """Give all of it back."""
        self._room.held -= self._held
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.empty()


async def read(headers: dict[bytes, bytes], receive: Receive, limit: int, share: Share) -> bytearray:
    """Return the whole body.

    Raises:
        RefusalError: It is larger than `limit`, or there is no room for it now.
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
            share.grow(size)
            body += part
        else:
            body.clear()
            share.empty()
        if size > PATIENCE or not message.get("more_body", False):
            break
    if size > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> RefusalError:
    return RefusalError(413, "too_large", f"the body may hold {limit} bytes", connection="close")
