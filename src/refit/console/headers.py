"""What every answer of the console tells the browser: what the page may load, run, and be shown in."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FRAMED_BY: Final = "'self' http://127.0.0.1:* http://localhost:*"
"""The Prefect UI shows a report inside a run; it stands on another port of this machine."""

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; "
    "form-action 'self'; "
    f"frame-ancestors {FRAMED_BY}"
)
REPORT_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)
"""A report carries its scripts and styles in itself, and may reach nothing: no network, no cookie, no other page.

It says nothing of who may frame it: inside the Prefect UI it stands in a sandboxed frame without an origin, which no
`frame-ancestors` but an absent one admits (tried with Chromium 156). The sandbox leaves a framing page nothing to gain.
"""


class SecurityHeaders:
    """Adds the headers that every answer has, and the pages' policy where an answer brings none of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", PAGE_POLICY)
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
