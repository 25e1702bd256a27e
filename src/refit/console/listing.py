"""Long lists, a page at a time: where each page begins is a number of the ledger's, so what is added moves nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request

SHOWN: Final = 200
LARGEST: Final = (1 << 63) - 1
"""The ledger counts in 64 bits."""


class Numbered(Protocol):
    """A row with its place in the ledger."""

    @property
    def number(self) -> int | None:
        """Grows from row to row."""


Row = TypeVar("Row", bound=Numbered)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """One page of a list, newest first.

    `kept` is what the list is narrowed to, for the links; `older` is the number before which the next page begins, None
    on the last.
    """

    rows: tuple[Row, ...]
    path: str
    kept: Mapping[str, object]
    is_newest: bool
    older: int | None

    @property
    def older_page(self) -> str | None:
        """Where the next page lies, None on the last."""
        return None if self.older is None else address(self.path, self.kept, before=self.older)

    @property
    def newest_page(self) -> str | None:
        """Where the first page lies, None on itself."""
        return None if self.is_newest else address(self.path, self.kept)


def listing(request: Request, found: Sequence[Row], kept: Mapping[str, object], most: int = SHOWN) -> Listing[Row]:
    """Return the page that a request asks for.

    Args:
        found: Newest first, one row more than `most` where there is one: it is not shown, and says that there are more.
        kept: What the list is narrowed to; None is not.
    """
    rows = tuple(found[:most])
    older = rows[-1].number if len(found) > most else None
    return Listing(rows, request.scope["path"], kept, "before" not in request.query_params, older)


def begins_before(request: Request) -> int | None:
    """Return the number before which the page begins, None for the newest.

    Raises:
        HTTPException: 400, it is no number of the ledger's.
    """
    text = request.query_params.get("before")
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST)) and 0 < int(text) <= LARGEST:
        return int(text)
    raise HTTPException(400, "A page of a list begins before a whole number from 1 up, as its own links name it.")


def chosen_day(request: Request) -> date | None:
    """Return the day that a list is narrowed to, None for all; a form sends an empty one.

    Raises:
        HTTPException: 400, it is no day.
    """
    text = request.query_params.get("day")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise HTTPException(400, "A day is written like 2026-03-14.") from None


def address(path: str, kept: Mapping[str, object], **more: object) -> str:
    """Return the address of a page with what it is asked for; None asks for nothing.

    >>> address("/reports", {"usecase": "demo"}, day=None), address("/reports", {"usecase": "demo"}, usecase=None)
    ('/reports?usecase=demo', '/reports')
    """
    asked = {name: value for name, value in {**kept, **more}.items() if value is not None}
    return f"{path}?{urlencode(asked)}" if asked else path
