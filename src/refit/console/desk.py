"""The credit analyst's pages: one applicant in a form, many in a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from refit.console.pages import Pages
from refit.errors import DataError
from refit.loop.score import Scored, Scorer, form_inputs
from refit.scoring.bundle import Bundle
from refit.scoring.request import Checker, Problem
from refit.usecase.model import InputColumn, UseCase

LARGEST_FILE: Final = 16 << 20
MOST_OFFERED: Final = 60


@dataclass(frozen=True, slots=True)
class Desk:
    """The pages that score."""

    pages: Pages
    scorer: Scorer
    now: Callable[[], datetime]

    def start(self, request: Request) -> Response:
        """Show the form, empty or with the use case's example."""
        usecase = self.pages.usecase(request.path_params["usecase"])
        bundle = self.scorer.bundle(usecase.name)
        example = {name: _shown(value) for name, value in usecase.example.items()}
        given = example if "example" in request.query_params else {}
        return self._form(usecase, bundle, given)

    async def score(self, request: Request) -> Response:
        """Score what the form holds."""
        usecase = self.pages.usecase(request.path_params["usecase"])
        async with request.form(max_files=0) as form:
            texts = {name: value for name, value in form.items() if isinstance(value, str)}
        return await run_in_threadpool(self._scored, usecase, texts)

    async def score_file(self, request: Request) -> Response:
        """Score a CSV of applicants, and send it back with the answers."""
        usecase = self.pages.usecase(request.path_params["usecase"])
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST_FILE:
            raise HTTPException(413, f"A file may hold {LARGEST_FILE >> 20} MB.")
        async with request.form(max_files=1, max_fields=1) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise HTTPException(400, "Choose a file first.")
            content = await file.read()
        return await run_in_threadpool(self._scored_file, usecase, content)

    def _scored(self, usecase: UseCase, texts: Mapping[str, str]) -> Response:
        bundle = self._live(usecase)
        inputs, problems = form_inputs(bundle.usecase, texts, Checker(bundle.usecase))
        if problems:
            return self._form(usecase, bundle, texts, problems=problems, status=400)
        return self._form(usecase, bundle, texts, scored=self.scorer.one(bundle, inputs, self.now()))

    def _scored_file(self, usecase: UseCase, content: bytes) -> Response:
        bundle = self._live(usecase)
        try:
            done = self.scorer.file(bundle, content, self.now())
        except DataError as error:
            return self._form(usecase, bundle, {}, trouble=str(error), status=400)
        name = f"{usecase.name}-scored.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"', "x-refit-refused": str(done.refused)}
        return Response(done.text.encode(), media_type="text/csv; charset=utf-8", headers=headers)

    def _live(self, usecase: UseCase) -> Bundle:
        bundle = self.scorer.bundle(usecase.name)
        if bundle is None:
            raise HTTPException(409, "No model of this use case is live yet, so nobody can be scored.")
        return bundle

    def _form(
        self,
        usecase: UseCase,
        bundle: Bundle | None,
        given: Mapping[str, str],
        *,
        problems: list[Problem] | None = None,
        scored: Scored | None = None,
        trouble: str | None = None,
        status: int = 200,
    ) -> Response:
        wrong = {problem.field: problem.why for problem in problems or []}
        contract = usecase if bundle is None else bundle.usecase
        return self.pages.page(
            "score.html",
            status,
            title="Score an applicant",
            usecase=usecase,
            usecases=self.pages.usecases,
            bundle=bundle,
            fields=[_field(column, bundle, given, wrong) for column in contract.inputs.values()],
            other=[f"{name}: {why}" for name, why in wrong.items() if name not in contract.inputs],
            scored=scored,
            bars=[] if scored is None else _bars(scored),
            trouble=trouble,
        )


def _field(
    column: InputColumn, bundle: Bundle | None, given: Mapping[str, str], wrong: Mapping[str, str]
) -> dict[str, Any]:
    known = () if bundle is None else bundle.encoder.vocabularies.get(column.name, ())
    return {
        "column": column,
        "value": given.get(column.name, ""),
        "wrong": wrong.get(column.name),
        "offered": known[:MOST_OFFERED] if column.type == "category" and column.choices is None else (),
        "hint": _hint(column),
    }


def _hint(column: InputColumn) -> str:
    """Say the unit and the range of a number."""
    parts = [] if column.unit is None else [column.unit]
    if column.min is not None and column.max is not None:
        parts.append(f"{column.min:g} to {column.max:g}")
    elif column.min is not None:
        parts.append(f"{column.min:g} or more")
    elif column.max is not None:
        parts.append(f"at most {column.max:g}")
    return ", ".join(parts)


def _bars(scored: Scored) -> list[dict[str, Any]]:
    """Return each feature's part with the length of its bar, the longest 100."""
    parts = scored.explanation.contributions
    longest = max((abs(part.contribution) for part in parts), default=0.0) or 1.0
    return [{"part": part, "length": round(100 * abs(part.contribution) / longest, 1)} for part in parts]


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)
