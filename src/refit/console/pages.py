"""What every page of the console has in common: how it is drawn, and what is said where something went wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from refit.console.headers import PAGE_POLICY
from refit.usecase.model import UseCase

HERE: Final = Path(__file__).parent
_PLAIN: Final = {"Not Found", "Method Not Allowed"}
_WORDS: Final = {404: "There is nothing at this address.", 405: "Nothing can be sent to this address."}


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

    def http_error(self, _request: Request, error: Exception) -> Response:
        """Say what an HTTP error means."""
        code = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        text = _WORDS.get(code) if not isinstance(error, HTTPException) or error.detail in _PLAIN else error.detail
        return self.page("error.html", code, headers, title=f"{code}", text=text or "That did not work.")

    def gone(self, _request: Request, _error: Exception) -> Response:
        """Say that a file is gone."""
        return self.page("error.html", 404, title="404", text="This is no longer there: it may have been swept.")

    def outage(self, _request: Request, _error: Exception) -> Response:
        """Say that the ledger is down."""
        text = "The ledger does not answer just now. Try again in a moment."
        return self.page("error.html", 503, title="503", text=text)

    def fault(self, _request: Request, _error: Exception) -> Response:
        """Say that the fault is ours."""
        text = "The console met a fault of its own; its log says where."
        return self.page("error.html", 500, title="500", text=text)


def templates() -> jinja2.Environment:
    """Return the templates with the filters they use."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["day"] = lambda moment: f"{_moment(moment):%Y-%m-%d}"
    found.filters["moment"] = lambda moment: f"{_moment(moment):%Y-%m-%d %H:%M} UTC"
    found.filters["figure"] = lambda value, digits=4: "-" if value is None else f"{value:,.{digits}g}"
    found.filters["share"] = lambda value, digits=1: "-" if value is None else f"{value:.{digits}%}"
    found.filters["words"] = lambda text: str(text).replace("_", " ")
    return found


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else value
