"""What the service answers: bytes, and errors that name every bad field and no value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson

from bentos.contract import JSON
from refit.scoring.request import Problem

MAX_FIELDS: Final = 1_000

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[Header, ...] = ()


class RefusalError(Exception):
    """A request that is not answered as asked, and the answer it gets instead."""

    def __init__(
        self, status: int, code: str, message: str, *, fields: Sequence[dict[str, Any]] = (), **headers: str
    ) -> None:
        super().__init__(code)
        error: dict[str, Any] = {"code": code, "message": message}
        if fields:
            error["fields"] = fields
        self.code = code
        pairs = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        self.answer = Answer(status, orjson.dumps({"error": error}, option=orjson.OPT_APPEND_NEWLINE), headers=pairs)


def answer(content: object) -> Answer:
    """Return a 200 with `content` as JSON."""
    return Answer(200, orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE))


def invalid(problems: Iterable[Problem]) -> RefusalError:
    """Return the refusal of a record."""
    fields = [{"field": problem.field, "why": problem.why} for problem in problems]
    return _invalid(fields, len(fields))


def invalid_batch(found: dict[int, list[Problem]]) -> RefusalError:
    """Return the refusal of a batch, each problem with its record's place."""
    each = ((place, problem) for place, problems in found.items() for problem in problems)
    fields: list[dict[str, Any]] = [
        {"record": place, "field": problem.field, "why": problem.why} for place, problem in islice(each, MAX_FIELDS)
    ]
    total = sum(map(len, found.values()))
    if total > MAX_FIELDS:
        fields.append({"field": "body", "why": f"{total - MAX_FIELDS} more problems"})
    return _invalid(fields, total)


def _invalid(fields: list[dict[str, Any]], total: int) -> RefusalError:
    message = f"{total} field{'' if total == 1 else 's'} refused; GET /model shows the inputs"
    return RefusalError(400, "invalid_argument", message, fields=fields)
