"""Records in, answers out, with what the decision log keeps of each; knows nothing of HTTP."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bentos.answers import invalid, invalid_batch
from bentos.contract import MAX_BATCH
from refit.scoring.bundle import Bundle
from refit.scoring.explain import explain
from refit.scoring.points import band, points
from refit.scoring.request import Checker, Inputs, Problem


@dataclass(slots=True)
class Answered:
    """One record's answer, what the log keeps of it besides, and its score: P(bad), or that of the class chosen."""

    content: dict[str, Any]
    inputs: Inputs
    score: float

    @property
    def entry(self) -> dict[str, Any]:
        """What is kept: the decision, and all it takes to come to it again."""
        content = self.content
        entry: dict[str, Any] = {name: content[name] for name in _KEPT if name in content}
        entry["version"] = content["model_version"]
        entry["inputs"] = self.inputs
        entry["decision"] = content["decision"] if "decision" in content else content["class"]
        return entry


_KEPT: Final = ("id", "usecase", "probability", "probabilities", "threshold", "reasons")
_EXPLAINED: Final = ("baseline", "baseline_points", "against", "contributions", "reasons")


class Predictor:
    """Scores records with one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._checker = Checker(bundle.usecase)
        self._classes = bundle.usecase.classes
        self._score = bundle.usecase.score
        self._common = {"model_version": bundle.version, "usecase": bundle.usecase.name}

    def warm_up(self) -> None:
        """Build what is built once, so that the first client does not wait for it."""
        self._bundle.predict([record.inputs for record in self._bundle.golden[:1]] or [{}])

    def predict(self, record: object) -> Answered:
        """Score one record.

        Raises:
            RefusalError: A field is wrong; names every one.
        """
        inputs = self._checked(record)
        return self._answered(inputs, self._bundle.predict([inputs]).tolist()[0])

    def predict_batch(self, records: object) -> list[Answered]:
        """Score many records, in order.

        Raises:
            RefusalError: It is no list, too long, or a field of a record is wrong.
        """
        if not isinstance(records, list):
            raise invalid([Problem("body", "not a JSON array of records")])
        if len(records) > MAX_BATCH:
            raise invalid([Problem("body", f"more than {MAX_BATCH} records")])
        inputs, found = self._checker.check_batch(records)
        if found:
            raise invalid_batch(found)
        rows = self._bundle.predict(inputs).tolist() if inputs else []
        return [self._answered(*pair) for pair in zip(inputs, rows, strict=True)]

    def explain(self, record: object) -> Answered:
        """Score one record and say what moved it.

        Raises:
            RefusalError: A field is wrong; names every one.
        """
        inputs = self._checked(record)
        answered = self._answered(inputs, self._bundle.predict([inputs]).tolist()[0])
        explanation = explain(self._bundle, inputs).to_json()
        answered.content |= {name: explanation[name] for name in _EXPLAINED}
        return answered

    def _checked(self, record: object) -> Inputs:
        inputs, problems = self._checker.check(record)
        if problems:
            raise invalid(problems)
        return inputs

    def _answered(self, inputs: Inputs, row: float | list[float]) -> Answered:
        name = new_id()
        if isinstance(row, list):
            return self._of_classes(name, inputs, row)
        scored = points(row, self._score)
        content = {
            "id": name,
            "probability": row,
            "decision": self._bundle.decision(row),
            "threshold": self._bundle.threshold,
            "points": scored,
            "band": band(scored, self._score),
            **self._common,
        }
        return Answered(content, inputs, row)

    def _of_classes(self, name: str, inputs: Inputs, row: list[float]) -> Answered:
        probabilities = dict(zip(self._classes or (), row, strict=True))
        chosen = max(probabilities, key=lambda each: probabilities[each])  # of equals the first, as `choice` has it
        content = {"id": name, "class": chosen, "probabilities": probabilities, **self._common}
        return Answered(content, inputs, probabilities[chosen])


def new_id() -> str:
    """Return a random UUID, version 4, as text; `uuid.uuid4` takes several times as long."""
    digits = os.urandom(16).hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
    )


def kept(answers: list[Answered], common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the log keeps of answers that belong to one request."""
    return [{**answered.entry, **common} for answered in answers]
