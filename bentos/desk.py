"""HTTP in, HTTP out: the ASGI application that answers for one bundle."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Final, Protocol

from bentos.answers import Answer, RefusalError, answer, invalid
from bentos.body import MAX_BATCH_BODY, MAX_BODY, DisconnectedError, Receive, Room, Scope, Send, read
from bentos.contract import card
from bentos.decoding import NotJsonError, decode
from bentos.door import Door, is_home, joined, well_formed
from bentos.metrics import Log, Metrics, Status
from bentos.openapi import openapi
from bentos.predicting import Answered, Predictor, kept, new_id
from bentos.shape import most_marks, too_many_marks, too_nested
from bentos.spool import SpoolFullError
from refit.scoring.bundle import Bundle
from refit.scoring.request import Problem
from refit.trace import places

PROBES: Final = ("/healthz", "/livez", "/readyz")
METRICS: Final = "/metrics"
NOT_FOUND: Final = 404
LAST_SECONDS: Final = 3.0
"""How long a client may take to begin to read that its time is up; a generation ends its connection before that."""
_COUNTED: Final[Mapping[str, Status]] = {
    "invalid_argument": "invalid_argument",
    "too_large": "invalid_argument",
    "method_not_allowed": "invalid_argument",
    "unauthorized": "unauthorized",
}

log = logging.getLogger("refit.serving")
access = logging.getLogger("refit.access")


class DecisionLog(Log, Protocol):
    """Where an answer is written down before it goes out."""

    def append(self, entries: Sequence[Mapping[str, object]]) -> None:
        """Keep the entries, or raise SpoolFullError; a RefusalError where it never could."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a request before its body.

    `private` is what comes over the supervisor's own line: it needs no key, and is neither counted nor written down.
    """

    id: str
    method: str
    path: str
    headers: dict[bytes, bytes]
    client: tuple[str, int] | None
    private: bool
    told: Mapping[str, float]
    started: float


Respond = Callable[[Request, bytearray], Awaitable[Answer]]
Work = Callable[[Request, bytearray], Answer]


class Desk:
    """Answers requests with one bundle.

    Its methods hold the event loop for a record (a fraction of a millisecond); a batch and an explanation each go to
    a thread.
    """

    def __init__(self, bundle: Bundle, door: Door | None = None, decisions: DecisionLog | None = None) -> None:
        self._door = door or Door()
        self._decisions = decisions
        self._predictor = Predictor(bundle)
        self._most_marks = most_marks(bundle.usecase.inputs)
        self._room = Room()
        self._own_room = Room(inf)
        self._metrics = Metrics(bundle.usecase.name, bundle.version, bundle.as_of, decisions)
        self._batches = ThreadPoolExecutor(1, "batch")
        self._explanations = ThreadPoolExecutor(1, "explain")
        self._pages = {
            "/model": answer(card(bundle)),
            **dict.fromkeys(["/openapi.json", "/docs.json"], answer(openapi(bundle))),
            **dict.fromkeys(PROBES, answer({"status": "ok"})),
            METRICS: None,
        }
        self._forms: dict[str, tuple[int, Respond]] = {
            "/predict": (MAX_BODY, self._predict),
            "/predict/batch": (MAX_BATCH_BODY, partial(self._aside, self._batches, self._predict_batch)),
            "/explain": (MAX_BODY, partial(self._aside, self._explanations, self._explain)),
        }
        self._predictor.warm_up()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = _request(scope)
        within = asyncio.timeout(self._door.request_seconds)
        begun = False
        self._metrics.in_flight += 1
        try:
            async with within:
                given = await self._given(request, receive)
                begun = True
                await _send(send, given, request.id)
        except DisconnectedError:
            return
        except TimeoutError:
            if begun:  # the client does not read: half an answer cannot be taken back
                return
            given = self._refused(request, _too_slow(self._door.request_seconds))
            with suppress(TimeoutError):  # who leaves the answer to an earlier request unread gets none to this one
                async with asyncio.timeout(LAST_SECONDS):
                    await _send(send, given, request.id)
        finally:
            self._metrics.in_flight -= 1
        if access.isEnabledFor(logging.INFO):
            known = request.path if request.path in self._forms or request.path in self._pages else "unknown path"
            spent = (time.perf_counter() - request.started) * 1000
            access.info("%s %s status=%d ms=%.2f id=%s", request.method, known, given.status, spent, request.id)

    async def _given(self, request: Request, receive: Receive) -> Answer:
        try:
            return await self._answer(request, receive)
        except RefusalError as refusal:
            return self._refused(request, refusal)
        except (DisconnectedError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - the entrance: a fault becomes a clean answer and a trace without values
            log.error("fault id=%s %s", request.id, _trace(error))  # noqa: TRY400 - an error's message may hold values
            self._count(request, "error")
            return RefusalError(500, "error", "a fault of the service; its log has the trace").answer

    async def _answer(self, request: Request, receive: Receive) -> Answer:
        self._let_in(request)
        path = request.path
        form = self._forms.get(path)
        if form is None:
            return self._page(request)
        if request.method != "POST":
            raise _not_allowed("POST")
        if self._metrics.in_flight > self._door.max_concurrent and not request.private:
            raise RefusalError(503, "refused", "as many requests as may be are being answered", retry_after="1")
        limit, respond = form
        with (self._own_room if request.private else self._room).share() as share:
            return await respond(request, await read(request.headers, receive, limit, share))

    def _let_in(self, request: Request) -> None:
        """Refuse who may not ask: anybody without a key, or, where no keys are set, other machines.

        Health may be asked by anybody, metrics by this machine.
        """
        path = request.path
        home = is_home(request.client)
        if request.private or path in PROBES or (home and (path == METRICS or not self._door.keys)):
            return
        if not self._door.keys:
            raise _stranger("no keys are set, so only this machine is answered; set REFIT_API_KEYS")
        if not self._door.admits(request.headers):
            raise _stranger("send a valid key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")

    def _page(self, request: Request) -> Answer:
        path = request.path
        if path not in self._pages:
            known = ", ".join([*(f"POST {form}" for form in self._forms), *(f"GET {page}" for page in self._pages)])
            raise RefusalError(NOT_FOUND, "not_found", f"no such path; there are {known}")
        if request.method not in {"GET", "HEAD"}:
            raise _not_allowed("GET, HEAD")
        if path == "/readyz" and self._decisions is not None and self._decisions.full:
            raise RefusalError(503, "refused", "the decision log takes no more, so nothing is decided", retry_after="5")
        return self._pages[path] or Answer(200, self._metrics.text(request.told), Metrics.content_type)

    async def _predict(self, request: Request, body: bytearray) -> Answer:
        read_at = time.perf_counter()
        answered = self._predictor.predict(self._record(body))
        return self._settled(request, [answered], answer(answered.content), read_at)

    def _record(self, body: bytearray) -> object:
        """Decode the body of one record, unless it cannot be one; a thread instead would not do: see `shape`."""
        if too_many_marks(body, self._most_marks):
            raise invalid([Problem("body", "more brackets, colons and commas than a record of these inputs can hold")])
        return _decoded(body)

    async def _aside(self, pool: Executor, work: Work, request: Request, body: bytearray) -> Answer:
        begun = pool.submit(work, request, body)
        try:
            return await asyncio.wrap_future(begun)
        except asyncio.CancelledError:
            if begun.cancelled():
                body.clear()  # the pool's queue still holds it, and nobody reads it
            raise

    def _explain(self, request: Request, body: bytearray) -> Answer:
        read_at = time.perf_counter()
        answered = self._predictor.explain(self._record(body))
        return self._settled(request, [answered], answer(answered.content), read_at)

    def _predict_batch(self, request: Request, body: bytearray) -> Answer:
        read_at = time.perf_counter()
        if too_nested(body):
            raise invalid([Problem("body", "more objects and lists than a batch of records can hold")])
        answers = self._predictor.predict_batch(_decoded(body))
        content = answer({"predictions": [answered.content for answered in answers]})
        return self._settled(request, answers, content, read_at)

    def _settled(self, request: Request, answers: list[Answered], content: Answer, read_at: float) -> Answer:
        """Write the answers down and count them; only then may they go out.

        Raises:
            RefusalError: They could not be written down.
        """
        if request.private:
            return content
        now = time.perf_counter()
        if now - request.started > self._door.request_seconds:  # its client was told so already
            raise _too_slow(self._door.request_seconds)
        spent = now - read_at
        if self._decisions is not None:
            common = {"at": datetime.now(UTC), "latency_ms": round(spent * 1000, 3), "request_id": request.id}
            try:
                self._decisions.append(kept(answers, common))
            except SpoolFullError as error:
                raise RefusalError(503, "refused", f"{error}, so nothing is decided", retry_after="5") from None
        self._metrics.scored([answered.score for answered in answers], spent)
        return content

    def _refused(self, request: Request, refusal: RefusalError) -> Answer:
        if request.path in self._forms or refusal.code == "unauthorized":
            self._count(request, _COUNTED.get(refusal.code, "refused"))
        elif refusal.answer.status == NOT_FOUND:
            self._count(request, "not_found")
        return refusal.answer

    def _count(self, request: Request, status: Status) -> None:
        if not request.private:
            self._metrics.count(status)


def _request(scope: Scope) -> Request:
    given = scope["headers"]
    headers = dict(given)
    if len(headers) != len(given):
        headers = joined(given)
    state = scope.get("state") or {}
    return Request(
        id=well_formed(headers.get(b"x-request-id")) or new_id(),
        method=scope["method"],
        path=scope["path"],
        headers=headers,
        client=scope.get("client"),
        private=state.get("refit_private", False),
        told=state.get("refit_told", {}),
        started=time.perf_counter(),
    )


def _decoded(body: bytearray) -> object:
    try:
        return decode(body)
    except NotJsonError as error:
        raise invalid([Problem("body", str(error))]) from None


def _not_allowed(methods: str) -> RefusalError:
    return RefusalError(405, "method_not_allowed", f"use {methods}", allow=methods)


def _stranger(why: str) -> RefusalError:
    return RefusalError(401, "unauthorized", why, www_authenticate='Bearer realm="refit"')


def _too_slow(seconds: float) -> RefusalError:
    return RefusalError(504, "timeout", f"not answered within {seconds:g} s", connection="close")


async def _send(send: Send, given: Answer, request_id: str) -> None:
    headers = [
        (b"content-type", given.content_type.encode()),
        (b"content-length", str(len(given.body)).encode()),
        (b"x-request-id", request_id.encode()),
        *given.headers,
    ]
    await send({"type": "http.response.start", "status": given.status, "headers": headers})
    await send({"type": "http.response.body", "body": given.body})


def _trace(error: BaseException) -> str:
    """Say what went wrong and where, without the error's message: that may hold a value."""
    return " | ".join([type(error).__name__, *places(error)])
