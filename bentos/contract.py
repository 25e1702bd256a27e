"""What the service says of itself: the input schema and the OpenAPI document, made from the use case's contract."""

from collections.abc import Mapping
from typing import Any, Final

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


def openapi(usecase: UseCase, version: str) -> Schema:
    """Return the OpenAPI 3.1 document of the service, with the contract's own example."""
    answer = {"$ref": "#/components/schemas/Prediction"}
    record = {"$ref": "#/components/schemas/Record"}
    batch = {"type": "array", "items": record, "maxItems": MAX_BATCH}
    answers = _object({"predictions": {"type": "array", "items": answer}})
    example = dict(usecase.example)
    post = {
        "/predict": _post("Score one record", record, example, answer),
        "/predict/batch": _post(f"Score up to {MAX_BATCH:,} records", batch, [example], answers),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": usecase.title, "version": version},
        "paths": post
        | {"/model": _get("The live model and its contract", {"type": "object"})}
        | {f"/{name}": _get(title, _object({"status": {"type": "string"}})) for name, title in _PROBES.items()}
        | {"/metrics": {"get": {"summary": "Prometheus metrics", "responses": {"200": {"description": "Metrics"}}}}},
        "components": {
            "schemas": {"Record": input_schema(usecase), "Prediction": _prediction(usecase, version), "Error": _ERROR}
        },
    }


_PROBES: Final = {"healthz": "Is it up?", "livez": "Is it alive?", "readyz": "Can it answer?"}


def _post(summary: str, body: Schema, example: object, answer: Schema) -> Schema:
    refusals = {
        "400": "A field is wrong; every one is named, no value is repeated",
        "413": "The body is too large",
        "500": "A fault of the service",
        "503": "It cannot answer yet",
    }
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {JSON: {"schema": body, "example": example}}},
            "responses": {"200": _response("Scored", answer)}
            | {status: _response(why, {"$ref": "#/components/schemas/Error"}) for status, why in refusals.items()},
        }
    }


def _get(summary: str, answer: Schema) -> Schema:
    return {"get": {"summary": summary, "responses": {"200": _response(summary, answer)}}}


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def _prediction(usecase: UseCase, version: str) -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return _object(
        {
            "id": {"type": "string", "format": "uuid"},
            "probability": share,
            "decision": {"type": "string", "enum": ["approve", "decline"]},
            "threshold": share,
            "model_version": {"type": "string", "examples": [version]},
            "usecase": {"type": "string", "const": usecase.name},
        }
    )


_ERROR: Final = _object(
    {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "fields": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "why"],
                        "properties": {
                            "field": {"type": "string"},
                            "why": {"type": "string"},
                            "record": {"type": "integer", "description": "its place in a batch, from 0"},
                        },
                    },
                },
            },
        }
    }
)
