"""The OpenAPI document of the service, made from the use case's contract, with the contract's own example."""

from collections.abc import Mapping, Sequence
from typing import Final

from bentos.contract import JSON, MAX_BATCH, Schema, input_schema
from refit.scoring.bundle import Bundle
from refit.usecase.model import UseCase

_PROBES: Final = {"healthz": "Is it up?", "livez": "Is it alive?", "readyz": "Can it answer?"}
_REFUSALS: Final = {
    "400": "A field is wrong; every one is named, no value is repeated",
    "401": "No valid key",
    "405": "Another method than this path has",
    "413": "The body is too large, or a batch that the decision log could never hold",
    "500": "A fault of the service; its log has the trace",
    "503": "It cannot answer now: too many requests at once, or a decision log that is full",
    "504": "Not answered in time",
}
_ASKED: Final = ("400", "401", "413", "500", "503", "504")
_KEYS: Final[list[Schema]] = [{"bearer": []}, {"header": []}]
_SHOWN: Final = ("401", "405", "500", "504")


def openapi(bundle: Bundle) -> Schema:
    """Return the OpenAPI 3.1 document."""
    usecase = bundle.usecase
    record, prediction = _named("Record"), _named("Prediction")
    batch = {"type": "array", "items": record, "maxItems": MAX_BATCH}
    answers = _object({"predictions": {"type": "array", "items": prediction}})
    example = dict(usecase.example)
    return {
        "openapi": "3.1.0",
        "info": {"title": usecase.title, "version": bundle.version},
        "security": _KEYS,
        "paths": {
            "/predict": _post("Score one record", record, example, prediction),
            "/predict/batch": _post(f"Score up to {MAX_BATCH:,} records", batch, [example], answers),
            "/explain": _post("Score one record, and say what moved it", record, example, _named("Explanation")),
            "/model": _get("The live model and its contract", _named("Model")),
        }
        | {f"/{name}": _probe(summary) for name, summary in _PROBES.items()}
        | {"/metrics": _metrics()},
        "components": {
            "schemas": {
                "Record": input_schema(usecase),
                "Prediction": _prediction(bundle),
                "Explanation": _explanation(bundle),
                "Model": _model(usecase),
                "Error": _ERROR,
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _post(summary: str, body: Schema, example: object, given: Schema) -> Schema:
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {JSON: {"schema": body, "example": example}}},
            "responses": {"200": _response("Scored", given)} | _refusals(_ASKED),
        }
    }


def _get(summary: str, given: Schema) -> Schema:
    return {"get": {"summary": summary, "responses": {"200": _response(summary, given)} | _refusals(_SHOWN)}}


def _probe(summary: str) -> Schema:
    responses = {"200": _response(summary, _object({"status": {"type": "string"}}))} | _refusals(["503"])
    return {"get": {"summary": summary, "security": [], "responses": responses}}


def _metrics() -> Schema:
    content = {"text/plain": {"schema": {"type": "string"}}}
    responses = {"200": {"description": "Metrics", "content": content}} | _refusals(_SHOWN)
    summary = "Prometheus metrics; this machine itself needs no key"
    return {"get": {"summary": summary, "security": [{}, *_KEYS], "responses": responses}}


def _refusals(statuses: Sequence[str]) -> Schema:
    return {status: _response(_REFUSALS[status], _named("Error")) for status in statuses}


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _named(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


_SHARE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 1}
_NUMBER: Final[Schema] = {"type": "number"}


def _prediction(bundle: Bundle) -> Schema:
    usecase = bundle.usecase
    if usecase.classes is not None:
        shares = _object(dict.fromkeys(usecase.classes, _SHARE))
        given: Schema = {"class": {"type": "string", "enum": list(usecase.classes)}, "probabilities": shares}
    else:
        given = {
            "probability": _SHARE,
            "decision": {"type": "string", "enum": ["approve", "decline"]},
            "threshold": _SHARE,
            "points": _NUMBER,
            "band": {"enum": [*usecase.score.bands, None]},
        }
    version: Schema = {"type": "string", "examples": [bundle.version]}
    of = {"model_version": version, "usecase": {"type": "string", "const": usecase.name}}
    return _object({"id": {"type": "string", "format": "uuid"}} | given | of)


def _explanation(bundle: Bundle) -> Schema:
    maybe: Schema = {"type": ["number", "null"]}
    contribution = _object(
        {
            "feature": {"type": "string"},
            "title": {"type": ["string", "null"]},
            "value": {"type": ["number", "string", "null"]},
            "contribution": _NUMBER | {"description": "in log odds; above 0 towards bad"},
            "points": maybe | {"description": "below 0 costs points"},
            "reason": {"type": ["string", "null"]},
        }
    )
    added: Schema = {
        "baseline": _NUMBER | {"description": "log odds of the record all contributions start from"},
        "baseline_points": maybe,
        "against": {"type": "string", "description": "what that record is"},
        "contributions": {"type": "array", "items": contribution},
        "reasons": {"type": "array", "items": {"type": "string"}},
    }
    prediction = _prediction(bundle)
    return _object(prediction["properties"] | added)


def _model(usecase: UseCase) -> Schema:
    text = {"type": "string"}
    shown: Schema = dict.fromkeys(["version", "usecase", "title", "task", "as_of", "learner"], text)
    shown |= {"input_schema": {"type": "object"}, "example": {"type": "object"}}
    if usecase.classes is not None:
        return _object(shown | {"classes": {"type": "array", "items": text}})
    return _object(shown | {"threshold": _SHARE, "bands": {"type": "object", "additionalProperties": _NUMBER}})


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
