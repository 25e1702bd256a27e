"""What a client may send and what the model is, made from the use case's contract."""

from typing import Any, Final

from refit.scoring.bundle import Bundle
from refit.scoring.request import LARGEST, MAX_TEXT
from refit.usecase.model import InputColumn, UseCase

MAX_BATCH: Final = 10_000
JSON: Final = "application/json"

Schema = dict[str, Any]


def input_schema(usecase: UseCase) -> Schema:
    """Return the JSON Schema of one record of inputs."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [column.name for column in usecase.inputs.values() if column.required],
        "properties": {column.name: _input(column) for column in usecase.inputs.values()},
        "description": _ranges(usecase),
    }


def _input(column: InputColumn) -> Schema:
    schema = _number(column) if column.type == "number" else _text(column)
    if not column.required:
        schema["type"] = [schema["type"], "null"]
    if column.title is not None:
        schema["title"] = column.title
    if column.unit is not None:
        schema["description"] = f"in {column.unit}"
    return schema


def _number(column: InputColumn) -> Schema:
    return {
        "type": "number",
        "minimum": -LARGEST if column.min is None else column.min,
        "maximum": LARGEST if column.max is None else column.max,
    }


def _text(column: InputColumn) -> Schema:
    schema: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": r"^[^\u0000]*\S[^\u0000]*$"}
    if column.choices is not None and column.rule == "text":
        schema["enum"] = [*column.choices, *([] if column.required else [*column.unknown, None])]
    return schema


def _ranges(usecase: UseCase) -> str:
    """Say what no schema can: the ranges of what is computed from several inputs."""
    limits = []
    for name, expression in usecase.expressions.items():
        feature = usecase.features[name]
        low = "" if feature.min is None else f"at least {feature.min:g}"
        high = "" if feature.max is None else f"at most {feature.max:g}"
        if low or high:
            limits.append(f"{expression.text} must be {' and '.join(filter(None, [low, high]))}.")
    return " ".join([f"Inputs of {usecase.title}. What is not known is null or left out.", *limits])


def card(bundle: Bundle) -> Schema:
    """Return what `GET /model` shows: which model this is, what it reads, and how its answers are to be read."""
    usecase = bundle.usecase
    shown: Schema = {
        "version": bundle.version,
        "usecase": usecase.name,
        "title": usecase.title,
        "task": usecase.task,
        "as_of": bundle.as_of.isoformat(),
        "learner": bundle.learner,
        "input_schema": input_schema(usecase),
        "example": dict(usecase.example),
    }
    if usecase.classes is not None:
        return shown | {"classes": list(usecase.classes)}
    score = usecase.score
    return shown | {"threshold": bundle.threshold, "bands": dict(score.bands)}
