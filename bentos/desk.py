"""HTTP in, HTTP out: the ASGI application that answers for one bundle."""

import asyncio
import logging
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bentos.answers import Answer, RefusalError, answer, invalid, invalid_batch
from bentos.contract import MAX_BATCH, input_schema, openapi
from bentos.decoding import NotJsonError, decode
from bentos.metrics import Metrics
from refit.scoring.bundle import Bundle
from refit.scoring.request import Checker, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY: Final = 1 << 20
MAX_BATCH_BODY: Final = 16 << 20
PATIENCE: Final = 64 << 20
"""How much of a body that is too large is read and dropped, so that its sender hears why; beyond it is cut off."""

_CLIENTS_FAULT: Final = frozenset({"invalid_argument", "too_large", "method_not_allowed"})

log = logging.getLogger("refit.serving")
access = logging.getLogger("refit.access")


class Desk:
    """Answers requests with one bundle.

    Its methods hold the event loop for a record (a fraction of a millisecond); a batch goes to a thread.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._checker = Checker(bundle.usecase)
        self._metrics = Metrics(bundle.usecase.name, bundle.version)
        self._bench = ThreadPoolExecutor(1, "batch")
        shown = {"model_version": bundle.version, "usecase": bundle.usecase.name, "threshold": bundle.threshold}
        self._common = shown
        self._pages = {
            "/model": answer(_card(bundle)),
            **dict.fromkeys(["/openapi.json", "/docs.json"], answer(openapi(bundle.usecase, bundle.version))),
            **dict.fromkeys(["/healthz", "/livez", "/readyz"], answer({"status": "ok"})),
            "/metrics": None,
        }
        self._forms: dict[str, tuple[int, Callable[[bytearray, str], Awaitable[Answer]]]] = {
            "/predict": (MAX_BODY, self._predict),
            "/predict/batch": (MAX_BATCH_BODY, self._predict_batch),
        }
        self._bundle.predict([record.inputs for record in bundle.golden[:1]] or [{}])  # builds what is built once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started = time.perf_counter()
        request_id = str(uuid.uuid4())
        path, method = scope["path"], scope["method"]
        try:
            given = await self._answer(method, path, scope, receive, request_id)
        except RefusalError as refusal:
            given = refusal.answer
            if path in self._forms:
                self._metrics.count("invalid_argument" if refusal.code in _CLIENTS_FAULT else "refused")
            elif given.status == 404:  # noqa: PLR2004 - not found
                self._metrics.count("not_found")
        except DisconnectedError:
            return
        except Exception as error:  # noqa: BLE001 - the entrance: a fault becomes a clean answer and a trace without values
            log.error("fault id=%s %s", request_id, _trace(error))  # noqa: TRY400 - an error's message may hold values
            given = RefusalError(500, "error", "a fault of the service; its log has the trace").answer
            self._metrics.count("error")
        await _send(send, given, request_id)
        if access.isEnabledFor(logging.INFO):
            known = path if path in self._forms or path in self._pages else "unknown path"
            spent = (time.perf_counter() - started) * 1000
            access.info("%s %s status=%d ms=%.2f id=%s", method, known, given.status, spent, request_id)

    async def _answer(self, method: str, path: str, scope: Scope, receive: Receive, request_id: str) -> Answer:
        form = self._forms.get(path)
        if form is not None:
            if method != "POST":
                raise _not_allowed("POST")
            limit, respond = form
            return await respond(await _body(scope, receive, limit), request_id)
        if path not in self._pages:
            known = ", ".join([*(f"POST {form}" for form in self._forms), *(f"GET {page}" for page in self._pages)])
            raise RefusalError(404, "not_found", f"no such path; there are {known}")
        if method not in {"GET", "HEAD"}:
            raise _not_allowed("GET, HEAD")
        return self._pages[path] or Answer(200, self._metrics.text(), Metrics.content_type)

    async def _predict(self, body: bytearray, request_id: str) -> Answer:
        started = time.perf_counter()
        inputs, problems = self._checker.check(_decoded(body))
        if problems:
            raise invalid(problems)
        probability = float(self._bundle.predict([inputs])[0])
        given = answer(self._prediction(request_id, probability))
        self._metrics.scored([probability], time.perf_counter() - started)
        return given

    async def _predict_batch(self, body: bytearray, request_id: str) -> Answer:
        started = time.perf_counter()
        probabilities, given = await asyncio.get_running_loop().run_in_executor(self._bench, self._batch, body)
        log.debug("batch id=%s n=%d", request_id, len(probabilities))
        self._metrics.scored(probabilities, time.perf_counter() - started)
        return given

    def _batch(self, body: bytearray) -> tuple[list[float], Answer]:
        records = _decoded(body)
        if not isinstance(records, list):
            raise invalid([Problem("body", "not a JSON array of records")])
        if len(records) > MAX_BATCH:
            raise invalid([Problem("body", f"more than {MAX_BATCH} records")])
        inputs, found = self._checker.check_batch(records)
        if found:
            raise invalid_batch(found)
        probabilities = self._bundle.predict(inputs).tolist() if inputs else []
        return probabilities, answer({"predictions": [self._prediction(str(uuid.uuid4()), p) for p in probabilities]})

    def _prediction(self, prediction_id: str, probability: float) -> dict[str, object]:
        decision = self._bundle.decision(probability)
        return {"id": prediction_id, "probability": probability, "decision": decision, **self._common}


class DisconnectedError(Exception):
    """The client went away before its request was whole."""


def _card(bundle: Bundle) -> dict[str, object]:
    return {
        "version": bundle.version,
        "usecase": bundle.usecase.name,
        "title": bundle.usecase.title,
        "as_of": bundle.as_of.isoformat(),
        "learner": bundle.learner,
        "threshold": bundle.threshold,
        "input_schema": input_schema(bundle.usecase),
        "example": dict(bundle.usecase.example),
    }


def _decoded(body: bytearray) -> object:
    try:
        return decode(body)
    except NotJsonError as error:
        raise invalid([Problem("body", str(error))]) from None


def _not_allowed(methods: str) -> RefusalError:
    return RefusalError(405, "method_not_allowed", f"use {methods}", allow=methods)


async def _body(scope: Scope, receive: Receive, limit: int) -> bytearray:
    """Return the whole body.

    Raises:
        RefusalError: It is larger than `limit`.
        DisconnectedError: The client left.
    """
    headers = dict(scope["headers"])
    told = headers.get(b"content-length", b"")
    length = int(told) if told.isdigit() else 0
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
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return " | ".join([type(error).__name__, *places])
