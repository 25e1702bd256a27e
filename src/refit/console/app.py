"""The console: pages that show what the ledger and the reports hold, and the desk where an applicant is scored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from refit.console import overview
from refit.console.desk import Desk
from refit.console.faults import Faults
from refit.console.guard import COOKIE, Guard, cookie, same
from refit.console.headers import REPORT_POLICY, SecurityHeaders
from refit.console.history import SHOWN_RUNS, history
from refit.console.hosts import ANY, KnownHosts
from refit.console.listing import SHOWN, begins_before, chosen_day, listing
from refit.console.live import live_model
from refit.console.metrics import CONTENT_TYPE, exposition
from refit.console.models import Models
from refit.console.pages import HERE, SWEPT, Pages, is_swept, kept, require_length, templates
from refit.errors import OutageError, RefitError
from refit.loop.score import Scorer
from refit.store.ledger import Ledger
from refit.store.reports import Reports
from refit.store.rows import ReportRow
from refit.usecase.model import UseCase

LARGEST_LOGIN: Final = 8 << 10
NO_USECASE: Final = "There is no use case."


def create_app(
    ledger: Ledger,
    reports: Reports,
    usecases: Sequence[UseCase],
    scorer: Scorer,
    *,
    token: str | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    allowed_hosts: Sequence[str] = (ANY,),
) -> Starlette:
    """Return the console over what it is given to read.

    Args:
        token: Who has it may read; None for everybody who reaches the port.
        allowed_hosts: The `Host` names it answers to; anything else is refused, so that no foreign site can borrow
            a browser to read it by another name.
    """
    pages = Pages({usecase.name: usecase for usecase in usecases}, templates())
    shown = _Shown(pages, ledger, reports, now, token)
    models, desk = Models(pages, ledger, reports), Desk(pages, scorer, now)
    return Starlette(
        routes=[
            Route("/", shown.overview, name="overview"),
            Route("/nights", shown.nights, name="nights"),
            Route("/login", shown.login, methods=["GET", "POST"], name="login"),
            Route("/reports", shown.reports_list, name="reports"),
            Route("/reports/{report_id}", shown.report, name="report"),
            Route("/reports/{report_id}/html", shown.report_html, name="report_html"),
            Route("/reports/{report_id}/json", shown.report_json, name="report_json"),
            Route("/drift", shown.drift, name="drift"),
            Route("/models", models.every, name="models"),
            Route("/models/{version}", models.one, name="model"),
            Route("/models/{version}/card", models.card, name="card"),
            Route("/models/{version}/card.json", models.card_json, name="card_json"),
            Route("/models/{version}/trade-off", models.trade_off, name="trade_off"),
            Route("/compare", models.compare, name="compare"),
            Route("/releases", models.releases, name="releases"),
            Route("/score", shown.first_desk, name="desks"),
            Route("/score/{usecase}", desk.start, name="desk"),
            Route("/score/{usecase}", desk.score, methods=["POST"]),
            Route("/score/{usecase}/file", desk.score_file, methods=["POST"]),
            Route("/score/{usecase}/applicants.csv", desk.blank),
            Route("/metrics", shown.metrics, name="metrics"),
            Route("/healthz", _healthz),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(Faults, page=pages.fault()),
            Middleware(KnownHosts, known=allowed_hosts),
            Middleware(Guard, token=token),
        ],
        exception_handlers={
            HTTPException: pages.http_error,
            OutageError: pages.outage,
            RefitError: pages.broken,
        },
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """The pages on nights and reports."""

    pages: Pages
    ledger: Ledger
    reports: Reports
    now: Callable[[], datetime]
    token: str | None

    def overview(self, _request: Request) -> Response:
        now, taken_in = self.now(), self.ledger.taken_in()
        standings = [
            overview.standing(
                usecase,
                now,
                live=live_model(self.ledger, name),
                runs=self.ledger.runs(name, limit=overview.SHOWN_NIGHTS + 1, kind="nightly"),
                decisions=self.ledger.decisions(name, limit=1),
                wanted=self.ledger.open_decisions(name),
                reports=self.ledger.reports(name, limit=1, kind="drift"),
                has_records=name in taken_in,
            )
            for name, usecase in self.pages.usecases.items()
        ]
        return self.pages.page("overview.html", title="Overview", standings=standings, now=now)

    def nights(self, request: Request) -> Response:
        chosen = self.pages.chosen_name(request)
        runs = self.ledger.runs(chosen, limit=SHOWN + 1, kind="nightly", before=begins_before(request))
        listed = listing(request, runs, {"usecase": chosen})
        nights = [overview.night(run) for run in listed.rows]
        return self.pages.page(
            "nights.html", title="Nights", listed=listed, nights=nights, usecases=self.pages.usecases
        )

    async def login(self, request: Request) -> Response:
        if self.token is None:
            return RedirectResponse("/", 303)
        if request.method == "GET":
            return self.pages.page("login.html", title="Sign in", wrong=False)
        require_length(request, LARGEST_LOGIN)
        async with request.form(max_files=0, max_fields=2) as form:
            given = str(form.get("token", ""))
        if not same(given, self.token):
            return self.pages.page("login.html", 401, title="Sign in", wrong=True)
        answer = RedirectResponse("/", 303)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, cookie(self.token), httponly=True, samesite="lax", secure=is_secure)
        return answer

    def reports_list(self, request: Request) -> Response:
        chosen = self.pages.chosen_name(request)
        day = chosen_day(request)
        found = self.ledger.reports(chosen, limit=SHOWN + 1, day=day, before=begins_before(request))
        listed = listing(request, found, {"usecase": chosen, "day": day})
        return self.pages.page(
            "reports.html",
            title="Reports",
            listed=listed,
            swept={row.id for row in listed.rows if is_swept(self.reports, row.path_html)},
            usecases=self.pages.usecases,
        )

    def report(self, request: Request) -> Response:
        found = self._found(request)
        if is_swept(self.reports, found.path_html):
            raise HTTPException(404, SWEPT)
        usecase = self.pages.usecases.get(found.usecase)
        return self.pages.page("report.html", title=found.title, report=found, usecase=usecase)

    def report_html(self, request: Request) -> Response:
        content = kept(self.reports, self._found(request).path_html)
        return HTMLResponse(content, headers={"content-security-policy": REPORT_POLICY})

    def report_json(self, request: Request) -> Response:
        found = self._found(request)
        if found.path_json is None:
            raise HTTPException(404, "This report was kept without its JSON.")
        return Response(kept(self.reports, found.path_json), media_type="application/json")

    def drift(self, request: Request) -> Response:
        name = self._first()
        usecase = self.pages.chosen(request) or (None if name is None else self.pages.usecases[name])
        if usecase is None:
            raise HTTPException(404, NO_USECASE)
        before = begins_before(request)
        decisions = self.ledger.decisions(usecase.name, limit=SHOWN_RUNS + 1, checked=True, before=before)
        listed = listing(request, decisions, {"usecase": usecase.name}, SHOWN_RUNS)
        return self.pages.page(
            "history.html",
            title="Drift",
            usecase=usecase,
            listed=listed,
            found=history(listed.rows, usecase.drift),
            usecases=self.pages.usecases,
        )

    def first_desk(self, _request: Request) -> Response:
        name = self._first()
        if name is None:
            raise HTTPException(404, NO_USECASE)
        return RedirectResponse(f"/score/{name}", 303)

    def metrics(self, _request: Request) -> Response:
        return Response(exposition(self.ledger, list(self.pages.usecases), self.now()), media_type=CONTENT_TYPE)

    def _first(self) -> str | None:
        """Return the first use case with a live model, or else the first."""
        served = (name for name in self.pages.usecases if self.ledger.live(name) is not None)
        return next(served, next(iter(self.pages.usecases), None))

    def _found(self, request: Request) -> ReportRow:
        try:
            report_id = UUID(request.path_params["report_id"])
        except ValueError:
            raise HTTPException(404, "There is no report of that name.") from None
        found = self.ledger.report(report_id)
        if found is None:
            raise HTTPException(404, "There is no report of that name.")
        return found


def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
