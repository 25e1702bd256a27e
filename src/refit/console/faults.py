"""The one place where a fault of ours ends: a clean page, and in the log where it was, never what it was asked for."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from refit.trace import places

log = structlog.get_logger()


class Faults:
    """Answers in an application's place where it broke.

    Left to the server, the trace would end with the error's own text, and a library puts the value it choked on there.
    """

    def __init__(self, app: ASGIApp, page: ASGIApp) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the entrance
            kind = type(error).__name__
            log.error("console.fault", path=scope["path"], kind=kind, places=places(error))  # noqa: TRY400
            if has_begun:
                raise ConnectionAbortedError("an answer broke off half-way") from None
            await self._page(scope, receive, send)
