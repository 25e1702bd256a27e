"""The credit analyst's desk: one applicant or a file of them, scored with what is live, and kept in the log."""

import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from refit.errors import DataError
from refit.loop.release import bundle_folder
from refit.loop.wiring import World, now
from refit.scoring import bundle as bundles
from refit.scoring.bundle import Bundle
from refit.scoring.explain import Explanation, explain
from refit.scoring.points import band, points
from refit.scoring.request import Checker, Inputs, Problem
from refit.store.rows import PredictionRow
from refit.usecase.model import InputColumn, UseCase
from refit.usecase.parsing import ParseRule, parse_rule

if TYPE_CHECKING:
    from refit.scoring.encoder import Cell

MOST_ROWS: Final = 10_000
CENTURY: Final = 100.0
ASKED_BY: Final = "console"


@dataclass(frozen=True, slots=True)
class Scored:
    """One applicant's answer: what the model says, what follows, and why."""

    id: UUID
    version: str
    threshold: float
    decision: str
    explanation: Explanation
    probabilities: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """A scored CSV, and how many of its rows were scored and refused."""

    text: str
    scored: int
    refused: int


class Scorer:
    """Scores with the live model of each use case; a model is read once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._read: dict[str, Bundle] = {}

    def bundle(self, usecase: str) -> Bundle | None:
        """Return the live model, None where there is none."""
        live = self._world.ledger.live(usecase)
        if live is None:
            return None
        kept = self._read.get(usecase)
        if kept is None or kept.version != live.version:
            kept = self._read[usecase] = bundles.load(bundle_folder(self._world, live.version))
        return kept

    def one(self, bundle: Bundle, inputs: Inputs, now: datetime) -> Scored:
        """Score one applicant with its reasons, and keep the answer."""
        started = time.perf_counter()
        said = explain(bundle, inputs)
        probabilities = None
        if bundle.usecase.classes is not None:
            row = bundle.predict([inputs])[0].tolist()
            probabilities = dict(zip(bundle.usecase.classes, row, strict=True))
        decision = said.chosen if said.chosen is not None else bundle.decision(said.probability)
        scored = Scored(uuid4(), bundle.version, bundle.threshold, decision, said, probabilities)
        spent = (time.perf_counter() - started) * 1000
        self._world.ledger.keep_predictions([_row(bundle, inputs, scored, now, spent)])
        return scored

    def file(self, bundle: Bundle, content: bytes, now: datetime) -> ScoredFile:
        """Score a CSV of applicants: its own columns, then the answer, or why a row was refused.

        Raises:
            DataError: It is no CSV in UTF-8, lacks a required column, or has too many rows.
        """
        header, rows = _table(content, bundle.usecase)
        checker = Checker(bundle.usecase)
        read = [form_inputs(bundle.usecase, dict(zip(header, row, strict=False)), checker) for row in rows]
        good = [place for place, (_, problems) in enumerate(read) if not problems]
        answers = dict(zip(good, self._answered(bundle, [read[place][0] for place in good], now), strict=True))
        names = _answer_names(bundle.usecase)
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow([*header, *names, "refused_because"])
        for place, row in enumerate(rows):
            problems = "; ".join(f"{problem.field}: {problem.why}" for problem in read[place][1])
            out.writerow([*row, *answers.get(place, [""] * len(names)), problems])
        return ScoredFile(text.getvalue(), len(good), len(rows) - len(good))

    def _answered(self, bundle: Bundle, inputs: Sequence[Inputs], now: datetime) -> Iterator[list[object]]:
        """Score records, keep every answer, and only then yield each as the cells of its row."""
        if not inputs:
            return
        started = time.perf_counter()
        found = bundle.predict(inputs).tolist()
        spent = (time.perf_counter() - started) * 1000 / len(inputs)
        kept, cells = [], []
        for record, said in zip(inputs, found, strict=True):
            row, cell = _plain_answer(bundle, record, said, now, spent)
            kept.append(row)
            cells.append(cell)
        self._world.ledger.keep_predictions(kept)
        yield from cells


def form_inputs(usecase: UseCase, texts: Mapping[str, str], checker: Checker) -> tuple[Inputs, list[Problem]]:
    """Return the typed inputs of a form or a row of a file, and every problem: numbers are read by the parse rules.

    Args:
        texts: What was written, by input; an empty one is not known.
    """
    record: dict[str, Cell] = {}
    problems = []
    for column in usecase.inputs.values():
        text = texts.get(column.name, "").strip()
        if not text:
            continue
        if column.type == "category":
            record[column.name] = text
            continue
        try:
            record[column.name] = _number(text, column)
        except ValueError as error:
            problems.append(Problem(column.name, str(error)))
    inputs, found = checker.check(record)
    named = {problem.field for problem in problems}
    return inputs, [*problems, *(problem for problem in found if problem.field not in named)]


def _number(text: str, column: InputColumn) -> float | None:
    """Read a number by its rule; where that reads dates a plain year will do, which is what a request sends."""
    rule = parse_rule(column.rule)
    try:
        value = rule.read(text, column.unknown)
    except ValueError:
        if rule.of_date is None:
            raise
        return _year(text, rule, column)
    if isinstance(value, float) and rule.short_year and int(value) > now().year:
        return value - CENTURY  # as the intake does: never after the record's own event
    return value if value is None or isinstance(value, float) else float(str(value))


def _year(text: str, rule: ParseRule, column: InputColumn) -> float | None:
    try:
        value = parse_rule("number").read(text)
    except ValueError:
        value = rule.read(text, column.unknown)  # the rule's own words
    return value if value is None or isinstance(value, float) else float(str(value))


def _table(content: bytes, usecase: UseCase) -> tuple[list[str], list[list[str]]]:
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError:
        raise DataError("the file is not UTF-8 text") from None
    except csv.Error as error:
        raise DataError(f"the file is no CSV: {error}") from None
    rows = [line for line in lines[1:] if line]
    if not rows:
        raise DataError("the file holds no applicant: a first line of column names and a line each are needed")
    header = lines[0]
    if len(rows) > MOST_ROWS:
        raise DataError(f"the file holds {len(rows):,} applicants; {MOST_ROWS:,} at most")
    if missing := [column.name for column in usecase.inputs.values() if column.required and column.name not in header]:
        raise DataError(f"the file lacks {', '.join(missing)}; the inputs are {', '.join(usecase.inputs)}")
    if not set(header) & set(usecase.inputs):
        raise DataError(f"the file has none of the inputs: {', '.join(usecase.inputs)}")
    return header, rows


def _answer_names(usecase: UseCase) -> list[str]:
    if usecase.classes is not None:
        return ["class", *(f"probability_{name}" for name in usecase.classes), "model_version"]
    return ["probability", "points", "band", "decision", "threshold", "model_version"]


def _plain_answer(
    bundle: Bundle, inputs: Inputs, said: float | list[float], now: datetime, spent: float
) -> tuple[PredictionRow, list[object]]:
    common: dict[str, Any] = {
        "id": uuid4(),
        "usecase": bundle.usecase.name,
        "version": bundle.version,
        "at": now,
        "request_id": ASKED_BY,
        "inputs": inputs,
        "latency_ms": spent,
    }
    if isinstance(said, list):
        classes = bundle.usecase.classes or ()
        chosen = classes[max(range(len(said)), key=said.__getitem__)]
        shares = dict(zip(classes, said, strict=True))
        row = PredictionRow(**common, probability=None, probabilities=shares, threshold=None, decision=chosen)
        return row, [chosen, *said, bundle.version]
    score, decision = bundle.usecase.score, bundle.decision(said)
    scored = points(said, score)
    row = PredictionRow(**common, probability=said, threshold=bundle.threshold, decision=decision)
    return row, [said, round(scored), band(scored, score) or "", decision, bundle.threshold, bundle.version]


def _row(bundle: Bundle, inputs: Inputs, scored: Scored, now: datetime, spent: float) -> PredictionRow:
    is_binary = scored.probabilities is None
    return PredictionRow(
        id=scored.id,
        usecase=bundle.usecase.name,
        version=scored.version,
        at=now,
        request_id=ASKED_BY,
        inputs=inputs,
        probability=scored.explanation.probability if is_binary else None,
        probabilities=scored.probabilities,
        threshold=scored.threshold if is_binary else None,
        decision=scored.decision,
        reasons=scored.explanation.reasons(),
        latency_ms=spent,
    )
