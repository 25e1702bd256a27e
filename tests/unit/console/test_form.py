"""The applicant form as markup: every field can be found, named and mended, whatever the inputs are called."""

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from refit.console.app import create_app
from refit.usecase.catalogue import find, names
from refit.usecase.model import UseCase
from tests.unit.bentos.conftest import USECASE, ShareOfThousand, bundle
from tests.unit.console.browser import Browser
from tests.unit.console.fakes import FakeLedger, FakeReports, FakeScorer

NOW = datetime(2026, 3, 17, 8, tzinfo=UTC)
ODD = ['Net income (USD) "2024"', "it's [so] <b>", "state"]


def odd_usecase() -> UseCase:
    content = USECASE.model_dump(by_alias=True, exclude={"example"}) | {
        "name": "odd",
        "features": {
            ODD[0]: {"type": "number", "min": 0, "max": 1000, "required": True},
            ODD[1]: {"type": "category", "choices": ["yes", 'a "b"']},
            ODD[2]: {"type": "category"},
        },
    }
    return UseCase.model_validate(content)


@pytest.fixture
def client() -> Browser:
    odd = odd_usecase()
    scorer = FakeScorer(toy=bundle(), odd=bundle(ShareOfThousand(), odd))
    return Browser(create_app(FakeLedger(), FakeReports(), [USECASE, odd], scorer, now=lambda: NOW))


class Markup(HTMLParser):
    """The elements of a page, each with its attributes, in order."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def sound(page):
    """Check what holds of every form, and return its fields by name."""
    markup = Markup(page)
    assert len(markup.ids) == len(set(markup.ids))
    assert all(one.isascii() and one.replace("-", "").replace("_", "").isalnum() for one in markup.ids)
    labelled = {label["for"] for label in markup.all("label")}
    fields = [one for one in markup.all("input", "select") if one.get("type") != "hidden"]
    assert {one["id"] for one in fields} == labelled
    for one in markup.all("input", "select", "section"):
        refers = f"{one.get('aria-describedby', '')} {one.get('aria-labelledby', '')} {one.get('list', '')}".split()
        assert set(refers) <= set(markup.ids)
    for link in markup.all("a"):
        if link["href"].startswith("#"):
            assert link["href"][1:] in markup.ids
    return markup, {one["name"]: one for one in fields}


@pytest.mark.parametrize("usecase", ["toy", "odd"])
def test_every_field_has_a_label_and_an_id_of_its_own(client, usecase):
    sound(client.get(f"/score/{usecase}?example=1").text)


def test_inputs_of_any_name_are_asked_for_under_that_name_and_can_be_scored(client):
    _, fields = sound(client.get("/score/odd").text)
    assert list(fields)[:3] == ODD
    answer = client.post("/score/odd", data={ODD[0]: "250", ODD[1]: 'a "b"', ODD[2]: "TX"})
    assert answer.status_code == 200
    sound(answer.text)


def test_a_wrong_field_is_marked_and_its_error_bound_to_it(client):
    answer = client.post("/score/odd", data={ODD[0]: "lots", ODD[1]: "maybe"})
    markup, fields = sound(answer.text)
    for name in ODD[:2]:
        assert fields[name]["aria-invalid"] == "true"
        assert f"{fields[name]['id']}-error" in fields[name]["aria-describedby"].split()
    assert "aria-invalid" not in fields["state"]
    links = [link["href"] for link in markup.all("a") if link["href"].startswith("#field")]
    assert links == [f"#{fields[name]['id']}" for name in ODD[:2]]


def test_what_is_needed_says_so_to_a_screen_reader_too(client):
    _, fields = sound(client.get("/score/toy").text)
    assert "required" in fields["amount"]
    assert "required" not in fields["state"]


def test_a_computed_value_out_of_range_leads_to_what_it_is_computed_from(client):
    page = client.post("/score/toy", data={"amount": "250", "covered": "900"}).text
    _, fields = sound(page)
    assert f'<a href="#{fields["covered"]["id"]}">share</a>: covered / amount: above 1' in page


@pytest.mark.parametrize(("data", "focused"), [({"amount": "250"}, "answer"), ({"amount": "lots"}, "wrongs")])
def test_the_focus_stands_on_the_answer_or_on_what_is_wrong_without_any_script(client, data, focused):
    markup, _ = sound(client.post("/score/toy", data=data).text)
    (there,) = [one for _, one in markup.elements if "autofocus" in one]
    assert there["tabindex"] == "-1"
    assert focused in {there.get("id"), there.get("aria-labelledby")}


@pytest.mark.parametrize("name", names())
def test_the_form_of_every_use_case_is_sound(name):
    usecase = find(name)
    model = bundle(ShareOfThousand(), usecase)
    app = create_app(FakeLedger(), FakeReports(), [usecase], FakeScorer(**{name: model}), now=lambda: NOW)
    _, fields = sound(Browser(app).get(f"/score/{name}?example=1").text)
    assert set(usecase.inputs) <= set(fields)
