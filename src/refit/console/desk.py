"""The credit analyst's pages: one applicant in a form, many in a file."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from refit.console.answer import Answer, answer
from refit.console.form import fields, troubles, written
from refit.console.pages import Pages, require_length
from refit.console.sheet import ENCODINGS, read
from refit.errors import DataError
from refit.loop.score import Scorer, form_inputs
from refit.scoring.bundle import Bundle
from refit.scoring.request import Checker, Problem
from refit.usecase.model import UseCase

LARGEST_FILE: Final = 16 << 20
LARGEST_FORM: Final = 1 << 20


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
        contract = usecase if bundle is None else bundle.usecase
        example = {name: written(value) for name, value in contract.example.items()}
        given = example if "example" in request.query_params else {}
        return self._form(usecase, bundle, given)

    async def score(self, request: Request) -> Response:
        """Score what the form holds."""
        usecase = self.pages.usecase(request.path_params["usecase"])
        require_length(request, LARGEST_FORM)
        async with request.form(max_files=0) as form:
            texts = {name: value for name, value in form.items() if isinstance(value, str)}
        return await run_in_threadpool(self._scored, usecase, texts)

    async def score_file(self, request: Request) -> Response:
        """Score a CSV of applicants, and send it back with the answers."""
        usecase = self.pages.usecase(request.path_params["usecase"])
        require_length(request, LARGEST_FILE)
        async with request.form(max_files=1, max_fields=1) as form:
            file, encoding = form.get("file"), form.get("encoding", "utf-8")
            content = await file.read() if isinstance(file, UploadFile) else b""
        return await run_in_threadpool(self._scored_file, usecase, content, str(encoding))

    def blank(self, request: Request) -> Response:
        """Give a CSV to begin with: the first line of column names, and the example."""
        usecase = self.pages.usecase(request.path_params["usecase"])
        bundle = self.scorer.bundle(usecase.name)
        contract = usecase if bundle is None else bundle.usecase
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(contract.inputs)
        out.writerow(written(contract.example.get(name)) for name in contract.inputs)
        headers = {"content-disposition": f'attachment; filename="{usecase.name}-applicants.csv"'}
        return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    def _scored(self, usecase: UseCase, texts: Mapping[str, str]) -> Response:
        bundle = self._live(usecase)
        inputs, problems = form_inputs(bundle.usecase, texts, Checker(bundle.usecase))
        if problems:
            return self._form(usecase, bundle, texts, problems=problems, status=400)
        at = self.now()
        given = answer(self.scorer.one(bundle, inputs, at), bundle.usecase, at)
        return self._form(usecase, bundle, texts, given=given)

    def _scored_file(self, usecase: UseCase, content: bytes, encoding: str) -> Response:
        bundle = self._live(usecase)
        try:
            sheet = read(content, list(bundle.usecase.inputs), encoding)
            done = self.scorer.file(bundle, sheet.plain(), self.now())
        except DataError as error:
            return self._form(usecase, bundle, {}, trouble=str(error), status=400)
        headers = {
            "content-disposition": f'attachment; filename="{usecase.name}-scored.csv"',
            "x-refit-refused": str(done.refused + len(sheet.faults)),
        }
        return Response(sheet.answered(done.text), media_type="text/csv; charset=utf-8", headers=headers)

    def _live(self, usecase: UseCase) -> Bundle:
        bundle = self.scorer.bundle(usecase.name)
        if bundle is None:
            raise HTTPException(409, "No model of this use case is live yet, so nobody can be scored.")
        return bundle

    def _form(
        self,
        usecase: UseCase,
        bundle: Bundle | None,
        texts: Mapping[str, str],
        *,
        problems: Sequence[Problem] = (),
        given: Answer | None = None,
        trouble: str | None = None,
        status: int = 200,
    ) -> Response:
        contract = usecase if bundle is None else bundle.usecase
        shown = fields(contract, bundle, texts, problems)
        return self.pages.page(
            "score.html",
            status,
            title="Score an applicant",
            usecase=usecase,
            usecases=self.pages.usecases,
            bundle=bundle,
            fields=shown,
            troubles=troubles(contract, shown, problems),
            answer=given,
            trouble=trouble,
            encodings=ENCODINGS,
        )
