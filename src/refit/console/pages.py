"""What every page of the console has in common: how it is drawn, and what is said where something went wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jinja2
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from refit.console.headers import PAGE_POLICY
from refit.console.listing import address
from refit.errors import ContractError, DataError, ReleaseError
from refit.store.reports import Reports
from refit.usecase.model import UseCase

HERE: Final = Path(__file__).parent
SWEPT: Final = "This is no longer there: reports are swept once they are old."
_PLAIN: Final = {"Not Found", "Method Not Allowed"}
_WORDS: Final = {404: "There is nothing at this address.", 405: "Nothing can be sent to this address."}
_BROKEN: Final = {
    ContractError: "A setting, a use case's file or an entry of the ledger is wrong, and trying again cannot help.",
    DataError: "What was stored for this page is absent or altered, so it is not shown.",
    ReleaseError: "The ledger does not know the model that should be live.",
}
_WHAT_TO_DO: Final = "Run `refit doctor` on the machine of the console: it says which part is wrong, and what to do."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pages:
    """Draws pages from the templates."""

    usecases: dict[str, UseCase]
    templates: jinja2.Environment

    def page(
        self, template: str, status_code: int = 200, headers: Any = None, /, *, title: str, **values: Any
    ) -> Response:
        """Return a page."""
        text = self.templates.get_template(template).render(title=title, **values)
        return HTMLResponse(text, status_code, {"content-security-policy": PAGE_POLICY, **(headers or {})})

    def usecase(self, name: str) -> UseCase:
        """Return the use case of that name.

        Raises:
            HTTPException: 404, there is none.
        """
        if name not in self.usecases:
            raise HTTPException(404, "There is no use case of that name.")
        return self.usecases[name]

    def chosen(self, request: Request) -> UseCase | None:
        """Return the use case that a list is narrowed to, None for all."""
        name = request.query_params.get("usecase")
        return None if name is None else self.usecase(name)

    def chosen_name(self, request: Request) -> str | None:
        """Return the name of the use case that a list is narrowed to, None for all."""
        usecase = self.chosen(request)
        return None if usecase is None else usecase.name

    def http_error(self, _request: Request, error: Exception) -> Response:
        """Say what an HTTP error means."""
        code = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        text = _WORDS.get(code) if not isinstance(error, HTTPException) or error.detail in _PLAIN else error.detail
        return self.page("error.html", code, headers, title=f"{code}", text=text or "That did not work.")

    def broken(self, request: Request, error: Exception) -> Response:
        """Say that something stored or set is not as it must be, and what to do. The details are for the log."""
        log.error("console.broken", path=request.url.path, kind=type(error).__name__, error=str(error))
        text = next((words for kind, words in _BROKEN.items() if isinstance(error, kind)), "That did not work.")
        return self.page("error.html", 500, title="500", text=text, hint=_WHAT_TO_DO)

    def outage(self, request: Request, error: Exception) -> Response:
        """Say that the ledger or the disk is down."""
        log.error("console.outage", path=request.url.path, error=str(error))
        text = "The ledger or the disk does not answer just now. Try again in a moment."
        return self.page("error.html", 503, {"retry-after": "10"}, title="503", text=text)

    def fault(self) -> Response:
        """Say that the fault is ours."""
        text = "The console met a fault of its own; its log says where."
        return self.page("error.html", 500, title="500", text=text)


def require_length(request: Request, most: int) -> None:
    """Refuse a body that is too large before it is read.

    Args:
        most: In bytes.

    Raises:
        HTTPException: 413, it is larger, or does not say how large it is.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > most:
        unit, size = ("MB", most >> 20) if most >> 20 else ("kB", most >> 10)
        raise HTTPException(413, f"What is sent here may hold {size} {unit}.")


def kept(reports: Reports, path: str) -> bytes:
    """Return a report's file.

    Raises:
        HTTPException: 404, it was swept.
        ContractError: The ledger's path leads out of the folder of reports.
        OutageError: The disk refuses.
    """
    try:
        return reports.read(path)
    except DataError:  # a file is there, or it is not: nothing else about one is data
        raise HTTPException(404, SWEPT) from None


def is_swept(reports: Reports, path: str) -> bool:
    """Tell whether a report's file is gone; a path that leads nowhere is no sweeping, and its own page says so."""
    try:
        return reports.size(path) is None
    except ContractError:
        return False


def templates() -> jinja2.Environment:
    """Return the templates with the filters they use."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["address"] = address
    found.filters["day"] = lambda moment: f"{_moment(moment):%Y-%m-%d}"
    found.filters["moment"] = lambda moment: f"{_moment(moment):%Y-%m-%d %H:%M} UTC"
    found.filters["figure"] = lambda value, digits=4: "-" if value is None else f"{value:,.{digits}g}"
    found.filters["share"] = lambda value, digits=1: "-" if value is None else f"{value:.{digits}%}"
    found.filters["words"] = lambda text: str(text).replace("_", " ")
    return found


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else value
