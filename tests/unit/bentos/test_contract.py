import dataclasses

from bentos.contract import input_schema
from bentos.openapi import openapi
from refit.usecase.catalogue import find, names
from tests.unit.bentos import conftest as toy


def test_the_input_schema_is_the_contract(browser):
    schema = browser.ask("GET", "/model").json()["input_schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["amount"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 1000,
        "title": "Amount",
        "description": "in USD",
    }
    assert schema["properties"]["covered"]["type"] == ["number", "null"]
    assert schema["properties"]["owner"]["enum"] == ["yes", "no", None]
    assert set(schema["properties"]) == {"amount", "covered", "owner", "state"}
    assert "covered / amount must be at least 0 and at most 1." in schema["description"]


def test_the_openapi_document_names_every_path_and_gives_the_contracts_example(browser):
    document = browser.ask("GET", "/openapi.json").json()
    assert document == browser.ask("GET", "/docs.json").json()
    for path, methods in document["paths"].items():
        method = next(iter(methods))
        body = methods[method].get("requestBody")
        example = body and body["content"]["application/json"]["example"]
        assert browser.ask(method.upper(), path, json=example).status_code == 200, path
    assert document["info"]["version"] == "toy-20030630-0123456789ab"


def test_every_built_in_use_case_has_a_document_whose_references_lead_somewhere():
    for name in names():
        usecase = find(name)
        document = openapi(dataclasses.replace(toy.bundle(), usecase=usecase))
        assert document["components"]["schemas"]["Record"] == input_schema(usecase)
        for reference in _references(document):
            assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


def _references(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _references(part)
