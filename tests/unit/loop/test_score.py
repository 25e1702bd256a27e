import pytest

from refit.loop.score import form_inputs
from refit.scoring.request import Checker
from refit.usecase.catalogue import find, names


@pytest.mark.parametrize("name", names())
def test_the_example_of_every_use_case_can_be_written_into_its_form(name):
    usecase = find(name)
    texts = {field: "" if value is None else str(value) for field, value in usecase.example.items()}
    inputs, problems = form_inputs(usecase, texts, Checker(usecase))
    assert problems == []
    assert {field: value for field, value in inputs.items() if value is not None} == {
        field: value for field, value in usecase.example.items() if value is not None
    }


def test_a_date_may_be_written_where_a_year_is_read_and_never_lies_in_the_future():
    usecase = find("loantap")
    texts = {field: str(value) for field, value in usecase.example.items()} | {"earliest_cr_line": "Jun-65"}
    inputs, problems = form_inputs(usecase, texts, Checker(usecase))
    assert problems == []
    assert int(inputs["earliest_cr_line"]) == 1965
