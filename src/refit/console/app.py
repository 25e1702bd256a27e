"""The console: pages that show what the ledger and the reports hold, and change nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from refit.console import overview
from refit.console.headers import PAGE_POLICY, REPORT_POLICY, SecurityHeaders
from refit.errors import ContractError, DataError, OutageError
from refit.store.ledger import Ledger
from refit.store.reports import Reports
from refit.store.rows import ReportRow
from refit.usecase.model import UseCase

HERE: Final = Path(__file__).parent
SHOWN_REPORTS: Final = 200


def create_app(
    ledger: Ledger,
    reports: Reports,
    usecases: Sequence[UseCase],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    allowed_hosts: Sequence[str] = ("*",),
) -> Starlette:
    """Return the console over what it is given to read.

    Args:
        allowed_hosts: The `Host` names it answers to; anything else is refused, so that no foreign site can borrow
            a browser to read it by another name.
    """
    pages = _Pages(ledger, reports, {usecase.name: usecase for usecase in usecases}, now, _templates())
    return Starlette(
        routes=[
            Route("/", pages.overview, name="overview"),
            Route("/reports", pages.reports_list, name="reports"),
            Route("/reports/{report_id}", pages.report, name="report"),
            Route("/reports/{report_id}/html", pages.report_html, name="report_html"),
            Route("/reports/{report_id}/json", pages.report_json, name="report_json"),
            Route("/healthz", _healthz),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts), www_redirect=False),
        ],
        exception_handlers={
            HTTPException: pages.http_error,
            DataError: pages.gone,
            ContractError: pages.gone,
            OutageError: pages.outage,
            Exception: pages.fault,
        },
    )


@dataclass(frozen=True, slots=True)
class _Pages:
    ledger: Ledger
    reports: Reports
    usecases: dict[str, UseCase]
    now: Callable[[], datetime]
    templates: jinja2.Environment

    def overview(self, _request: Request) -> Response:
        now = self.now()
        standings = [
            overview.standing(
                usecase,
                now,
                live=self.ledger.live(name),
                runs=self.ledger.runs(name, limit=overview.SHOWN_NIGHTS),
                decisions=self.ledger.decisions(name, limit=overview.SHOWN_NIGHTS),
                wanted=self.ledger.open_decisions(name),
                reports=self.ledger.reports(name, limit=overview.SHOWN_NIGHTS),
            )
            for name, usecase in self.usecases.items()
        ]
        return self._page("overview.html", title="Overview", standings=standings, now=now)

    def reports_list(self, request: Request) -> Response:
        chosen = request.query_params.get("usecase")
        if chosen is not None and chosen not in self.usecases:
            raise HTTPException(404, "There is no use case of that name.")
        found = self.ledger.reports(chosen, limit=SHOWN_REPORTS)
        return self._page("reports.html", title="Reports", reports=found, chosen=chosen, usecases=self.usecases)

    def report(self, request: Request) -> Response:
        found = self._found(request)
        return self._page("report.html", title=found.title, report=found, usecase=self.usecases.get(found.usecase))

    def report_html(self, request: Request) -> Response:
        content = self.reports.read(self._found(request).path_html)
        return HTMLResponse(content, headers={"content-security-policy": REPORT_POLICY})

    def report_json(self, request: Request) -> Response:
        found = self._found(request)
        if found.path_json is None:
            raise HTTPException(404, "This report was kept without its JSON.")
        return Response(self.reports.read(found.path_json), media_type="application/json")

    def http_error(self, _request: Request, error: Exception) -> Response:
        code = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        text = _WORDS.get(code) if not isinstance(error, HTTPException) or error.detail in _PLAIN else error.detail
        return self._page("error.html", code, headers, title=f"{code}", text=text or "That did not work.")

    def gone(self, _request: Request, _error: Exception) -> Response:
        return self._page(
            "error.html", 404, title="404", text="This report is no longer there: it may have been swept."
        )

    def outage(self, _request: Request, _error: Exception) -> Response:
        text = "The ledger does not answer just now. Try again in a moment."
        return self._page("error.html", 503, title="503", text=text)

    def fault(self, _request: Request, _error: Exception) -> Response:
        return self._page(
            "error.html", 500, title="500", text="The console met a fault of its own; its log says where."
        )

    def _found(self, request: Request) -> ReportRow:
        try:
            report_id = UUID(request.path_params["report_id"])
        except ValueError:
            raise HTTPException(404, "There is no report of that name.") from None
        found = self.ledger.report(report_id)
        if found is None:
            raise HTTPException(404, "There is no report of that name.")
        return found

    def _page(
        self, template: str, status_code: int = 200, headers: Any = None, /, *, title: str, **values: Any
    ) -> Response:
        text = self.templates.get_template(template).render(title=title, **values)
        return HTMLResponse(text, status_code, {"content-security-policy": PAGE_POLICY, **(headers or {})})


_PLAIN: Final = {"Not Found", "Method Not Allowed"}
_WORDS: Final = {404: "There is nothing at this address.", 405: "The console only shows; it takes nothing in."}


def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["day"] = lambda moment: f"{moment:%Y-%m-%d}"
    templates.filters["moment"] = lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC"
    return templates
