"""`reason` in a use-case file: a text, or of a number the words for either side."""

import re

import pytest
import yaml

from refit.errors import ContractError
from refit.usecase.catalogue import find, names, read
from refit.usecase.model import UseCase
from refit.usecase.reason import SidedReason
from tests.unit.usecase.declared import content, usecase

ISSUED = "Income is low for the amount asked"
DIRECTION = re.compile(r"\b(low|high|short|long|few|many|much|often|frequent|more|less)\b", re.IGNORECASE)


@pytest.mark.parametrize(
    ("value", "told"),
    [(9.0, "few"), (11.0, "many"), (10.0, None), (float("nan"), None)],
    ids=["below", "above", "equal", "not known"],
)
def test_each_side_has_its_own_words(value, told):
    reason = SidedReason(low="few", high="many")
    assert reason.of(value, 10.0) == told
    assert reason.of(value, float("nan")) is None


def test_a_side_without_words_has_none_of_the_others():
    assert SidedReason(low="few").of(11.0, 10.0) is None
    assert SidedReason(high="many").of(9.0, 10.0) is None


@pytest.mark.parametrize(
    "reason",
    [ISSUED, "", None, {"low": "few"}, {"high": "many"}, {"low": "few", "high": "many"}, {"low": None, "high": "many"}],
    ids=str,
)
def test_a_number_takes_a_text_or_words_by_side_and_a_bundle_keeps_them(reason):
    made = usecase({"features.share": {"type": "number", "from": "amount / income", "reason": reason}})
    said = SidedReason(**reason) if isinstance(reason, dict) else reason
    assert made.features["share"].reason == said
    assert UseCase.model_validate_json(made.model_dump_json(by_alias=True)) == made


@pytest.mark.parametrize(
    ("feature", "reason", "why"),
    [
        ("income", {"low": "few", "hihg": "many"}, "features.income.reason.hihg: unknown key; choose from high, low"),
        ("income", {}, "features.income.reason: give what an applicant is told of a low value"),
        ("income", {"low": None}, "features.income.reason: give what an applicant is told of a low value"),
        ("income", {"low": "few", "high": " "}, "features.income.reason: high: empty; say what an applicant is told"),
        ("income", {"low": 5}, "features.income.reason.low: must be a text; put it in quotes"),
        ("income", ["few"], "features.income.reason: must be a text, in quotes if need be; for a number also {low"),
        ("income", 5, "features.income.reason: must be a text, in quotes if need be"),
        ("region", {"low": "few"}, "features.region: reason: 'low' and 'high' belong to a number; a category takes"),
    ],
    ids=str,
)
def test_a_fault_in_a_reason_is_named_once_with_its_key(tmp_path, feature, reason, why):
    path = tmp_path / "loans.yaml"
    path.write_text(yaml.safe_dump(content({f"features.{feature}.reason": reason})), encoding="utf-8")
    with pytest.raises(ContractError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: {why}")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", names())
def test_a_text_that_is_told_of_any_value_names_no_direction(name):
    told = {key: feature.reason for key, feature in find(name).features.items() if isinstance(feature.reason, str)}
    assert {key: text for key, text in told.items() if DIRECTION.search(text)} == {}
