"""Who may read the console: with a token only those who have it, by header, by cookie, or by a report's own key."""

import hashlib
import hmac
from typing import Final

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from refit.loop.report_key import report_key

COOKIE: Final = "refit_console"
OPEN: Final = ("/healthz", "/login", "/static/")
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Lets through who has the token; sends a browser to the page that asks for it, and refuses everybody else.

    A request that changes something must come from a page of this console.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            request = Request(scope)
            if request.method not in SAFE and not _from_here(request.headers):
                refusal = PlainTextResponse("This request did not come from a page of this console.\n", 403)
                await refusal(scope, receive, send)
                return
            if not self._may(request):
                browser = "text/html" in request.headers.get("accept", "")
                answer = (
                    RedirectResponse("/login", 303)
                    if browser
                    else PlainTextResponse("A token is needed.\n", 401, {"www-authenticate": "Bearer"})
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _may(self, request: Request) -> bool:
        path = request.scope["path"]  # not the URL, which is made with a header that the client sends
        if self._token is None or path == OPEN[0] or path == OPEN[1] or path.startswith(OPEN[2]):
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same(given.strip(), self._token):
            return True
        if same(request.cookies.get(COOKIE, ""), cookie(self._token)):
            return True
        return _by_key(path, request.query_params, self._token)


def cookie(token: str) -> str:
    """Return what a browser keeps in the token's place."""
    return hmac.new(token.encode(), b"refit console", hashlib.sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def _by_key(path: str, query: QueryParams, token: str) -> bool:
    parts = path.strip("/").split("/")
    if parts[:1] != ["reports"] or parts[2:] != ["html"]:
        return False
    return same(query.get("key", ""), report_key(token, parts[1]))


def _from_here(headers: Headers) -> bool:
    """Tell whether a browser sent this from one of our own pages; what is no browser says nothing of it."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")
