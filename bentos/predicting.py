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
        entry = {
            "id": content["id"],
            "usecase": content["usecase"],
            "version": content["model_version"],
            "inputs": self.inputs,
        }
        if "class" in content:
            entry |= {"probabilities": content["probabilities"], "decision": content["class"]}
        else:
            for name in _DECIDED:
                entry[name] = content[name]
        if "reasons" in content:
            entry["reasons"] = content["reasons"]
        return entry


_DECIDED: Final = ("probability", "threshold", "decision")
_VARIANTS: Final = {digit: "89ab"[place % 4] for place, digit in enumerate("0123456789abcdef")}
_EXPLAINED: Final = ("baseline", "baseline_points", "against", "contributions", "reasons")


class Predictor:
    """Scores records with one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._checker = Checker(bundle.usecase)
        self._classes = bundle.usecase.classes
        self._score = bundle.usecase.score
        self._threshold = bundle.threshold
        self._version, self._usecase = bundle.version, bundle.usecase.name

    def warm_up(self) -> None:
        """Build what is built once, so that the first client does not wait for it."""
        self._bundle.predict([record.inputs for record in self._bundle.golden[:1]] or [{}])

    def predict(self, record: object) -> Answered:
        """Score one record.

        Raises:
            RefusalError: A field is wrong; names every one.
        """
        inputs = self._checked(record)
        return self._answered(new_id(), inputs, self._bundle.predict([inputs]).tolist()[0])

    def predict_batch(self, records: object) -> list[Answered]:
        """Score many records, in order.

        Raises:
            RefusalError: It is no list, too long, or a field of a record is wrong.
        """
        if not isinstance(records, list):
            raise invalid([Problem("body", "not a JSON array of records")])
        if len(records) > MAX_BATCH:
            raise invalid([Problem("body", f"more than {MAX_BATCH} records")])
        inputs, rows = self._scored(records) if records else ([], [])
        return [self._answered(*each) for each in zip(new_ids(len(inputs)), inputs, rows, strict=True)]

    def _scored(self, records: list[Any]) -> tuple[list[Inputs], list[Any]]:
        """Return the inputs of each record and what the model answers, for sound ones by column."""
        columns = self._checker.sound(records)
        if columns is not None:
            bundle = self._bundle
            matrix = bundle.encoder.encode_inputs(columns, len(records))
            return records, bundle.calibrator.apply(bundle.model.probability(matrix)).tolist()
        inputs, found = self._checker.check_batch(records)
        if found:
            raise invalid_batch(found)
        return inputs, self._bundle.predict(inputs).tolist()

    def explain(self, record: object) -> Answered:
        """Score one record and say what moved it.

        Raises:
            RefusalError: A field is wrong; names every one.
        """
        inputs = self._checked(record)
        answered = self._answered(new_id(), inputs, self._bundle.predict([inputs]).tolist()[0])
        explanation = explain(self._bundle, inputs).to_json()
        answered.content |= {name: explanation[name] for name in _EXPLAINED}
        return answered

    def _checked(self, record: object) -> Inputs:
        inputs, problems = self._checker.check(record)
        if problems:
            raise invalid(problems)
        return inputs

    def _answered(self, name: str, inputs: Inputs, row: float | list[float]) -> Answered:
        if isinstance(row, list):
            return self._of_classes(name, inputs, row)
        scored = points(row, self._score)
        content = {
            "id": name,
            "probability": row,
            "decision": self._bundle.decision(row),
            "threshold": self._threshold,
            "points": scored,
            "band": band(scored, self._score),
            "model_version": self._version,
            "usecase": self._usecase,
        }
        return Answered(content, inputs, row)

    def _of_classes(self, name: str, inputs: Inputs, row: list[float]) -> Answered:
        probabilities = dict(zip(self._classes or (), row, strict=True))
        chosen = max(probabilities, key=lambda each: probabilities[each])  # of equals the first, as `choice` has it
        content = {
            "id": name,
            "class": chosen,
            "probabilities": probabilities,
            "model_version": self._version,
            "usecase": self._usecase,
        }
        return Answered(content, inputs, probabilities[chosen])


def new_id() -> str:
    """Return a random UUID, version 4, as text; `uuid.uuid4` takes several times as long."""
    return _written(os.urandom(16).hex())


def new_ids(n: int) -> list[str]:
    """Return `n` of them, for one call of the system."""
    digits = os.urandom(16 * n).hex()
    return [_written(digits[at : at + 32]) for at in range(0, 32 * n, 32)]


def _written(digits: str) -> str:
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def kept(answers: list[Answered], common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the log keeps of answers that belong to one request."""
    shared = dict(common)
    return [answered.entry | shared for answered in answers]
