import re
from datetime import date

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import ContractError
from refit.scoring.request import check
from refit.usecase.catalogue import BUILT_IN, find, names, read, read_named
from tests.unit.usecase.declared import content, usecase

BUILT_IN_NAMES = sorted(path.stem for path in BUILT_IN.glob("*.yaml"))


@pytest.fixture
def file(tmp_path):
    def written(text: str | bytes | dict, name: str = "loans"):
        path = tmp_path / f"{name}.yaml"
        if isinstance(text, dict):
            text = yaml.safe_dump(text, allow_unicode=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def refusal(path) -> str:
    with pytest.raises(ContractError) as error:
        read(path)
    assert all(
        line.startswith((f"{path}: ", " ", "expected", "found", "but found")) for line in str(error.value).splitlines()
    )
    return str(error.value)


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_every_built_in_file_is_sound(name):
    assert find(name).name == name


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_the_example_of_every_built_in_use_case_answers(name):
    usecase = find(name)
    assert usecase.example
    _, problems = check(dict(usecase.example), usecase)
    assert problems == []


def test_seven_use_cases_come_with_refit():
    assert names() == [
        *("customer_segmentation", "demo", "loan_approval", "loantap", "npl", "retail_churn", "sba"),
    ]


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_every_feature_of_a_built_in_use_case_has_a_title(name):
    assert [feature for feature, said in find(name).features.items() if said.title is None] == []


def test_no_two_nights_begin_at_once():
    schedules = [find(name).schedule for name in names()]
    assert len(set(schedules)) == len(schedules)


def test_a_file_of_yours_goes_before_a_built_in_one(file, tmp_path):
    file(content({"name": "demo", "title": "Ours"}), "demo")
    assert find("demo", tmp_path).title == "Ours"
    assert names(tmp_path) == names()


def test_a_file_of_yours_is_found_by_its_name(file, tmp_path):
    file(content())
    assert find("loans", tmp_path).title == "Loans"
    assert "loans" in names(tmp_path)


def test_an_unknown_use_case_names_those_there_are():
    with pytest.raises(ContractError, match=r"unknown use case 'nope'; choose from customer_segmentation, demo, .*sba"):
        find("nope")


@pytest.mark.parametrize("name", ["../demo", "demo.yaml", "", "DEMO", "demo/../sba", "demo\0"], ids=repr)
def test_a_name_is_never_a_path(name):
    with pytest.raises(ContractError, match="unknown use case"):
        find(name)


def test_a_file_must_bear_its_own_name(file, tmp_path):
    file(content(), "cards")
    with pytest.raises(ContractError, match="name is 'loans'; it must be the file's own, 'cards'"):
        find("cards", tmp_path)


def test_a_folder_that_is_not_there_holds_no_use_case(tmp_path):
    assert names(tmp_path / "none") == names()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is a mapping of keys"),
        ("# nothing but a comment", "is a mapping of keys"),
        ("- a\n- b", "is a mapping of keys"),
        ("just words", "is a mapping of keys"),
        ("&a [*a]", "is a mapping of keys"),
        ("a: [1", "not YAML"),
        ("a:\n\tb", "not YAML"),
        ("a: *b", "not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("? [1]\n: 2", "not YAML"),
        ("a: !!python/object/apply:os.system [ls]", "not YAML: could not determine a constructor"),
        ("a: \0", "not YAML"),
        (b"a: \xff\xfe", "cannot be read"),
        ("[" * 2_000, "nests too deep"),
        ("{a: " * 3_000 + "1" + "}" * 3_000, "nests too deep"),
        ("name: a\ntitle: b\nname: c", "key 'name' stands twice"),
        ("gate: {min_gain: 0, min_gain: 1}", "key 'min_gain' stands twice"),
    ],
    ids=lambda part: repr(part[:24]),
)
def test_a_file_that_is_no_mapping_of_keys_is_refused(file, text, why):
    assert why in refusal(file(text))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert refusal(tmp_path / "none.yaml").endswith("none.yaml: no such file")


def test_a_folder_is_no_file(tmp_path):
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"gaet": {}},
            "gaet: unknown key; choose from balancing, drift, event_time, example, features, gate",
        ),
        ({"gate.min_gian": 1}, "gate.min_gian: unknown key; choose from bundle_mb_max, calibration_error_max, floor"),
        (
            {"features.amount.mini": 1},
            "features.amount.mini: unknown key; choose from choices, column, from, max, min",
        ),
        ({"objective": {"decide": {"max": "f1"}}}, "objective.decide.max: unknown key; choose from approval_rate"),
        ({"label.bad": ["x"]}, "label.bad: unknown key; choose from happened_on, name, within_months"),
        ({"label.happened_on.day": 1}, "label.happened_on.day: unknown key; choose from column, parse"),
        ({"title": None}, "title: missing"),
        ({"label": None}, "label: missing"),
        ({"label.name": None}, "label.name: missing"),
        ({"features.amount.type": None}, "features.amount.type: missing"),
        ({"task": "regression"}, "task: Input should be 'binary' or 'multiclass'"),
        ({"learners": ["lightgbm"]}, "learners.0: Input should be 'logistic_regression', 'decision_tree'"),
        ({"objective.metric": "auc"}, "objective.metric: Input should be 'roc_auc', 'average_precision'"),
        ({"gate.floor": {"auc": 0.5}}, "gate.floor.auc.[key]: Input should be 'roc_auc'"),
        (
            {"features.income.parse": "mony"},
            "features.income.parse: unknown parse rule 'mony'; choose from number, money",
        ),
        ({"features.amount.type": "date"}, "features.amount.type: Input should be 'number' or 'category'"),
        (
            {"label": {"name": "bad", "column": "x"}},
            "label: give one of happened_on (with within_months), bad and good",
        ),
        ({"label": ["bad"]}, "label: give one of happened_on"),
        (
            {"label": {"name": "bad", "bad_when": "late", "columns": {"late": {"type": "number"}}}},
            "label: bad_when: 'late': 'late' gives a number, not yes or no; compare it, like 'late > 0'",
        ),
        (
            {"label": {"name": "b", "bad_when": "x - y", "columns": {n: {"type": "number"} for n in "xy"}}},
            "label: bad_when: 'x - y': 'x - y' gives a number, not yes or no; compare it, like 'x - y > 0'",
        ),
        ({"label": "lost_on"}, "label: give one of happened_on"),
        ({"split.by": "place"}, "split.by: Input should be 'time' or 'random'"),
        ({"learners": "xgboost"}, "learners: must be a list, like [xgboost]"),
        ({"known_later": "balance"}, "known_later: must be a list, like [balance]"),
        ({"known_later": 7}, "known_later: must be a list, like [a, b]"),
        ({"features.region.unknown": 0}, "features.region.unknown.0: must be a text; put it in quotes"),
        ({"features.purpose.choices": [True, False]}, "features.purpose.choices.0: must be a text; put it in quotes"),
        ({"features.purpose.choices": [["a"]]}, "features.purpose.choices.0: must be a text\n"),
        ({"title": 2024}, "title: must be a text; put it in quotes"),
        ({"features": ["income"]}, "features: must be a mapping of keys"),
        (
            {"features.income": "number"},
            "features.income: must be a mapping of keys; choose from choices, column, from",
        ),
        ({"features": {True: {"type": "number"}}}, "features: the name True is no text to YAML; put it in quotes"),
        ({"event_time": "day"}, "event_time: must be a mapping of keys; choose from column, parse"),
        ({"label.happened_on": "day"}, "label.happened_on: must be a mapping of keys; choose from column, parse"),
        ({"features.Search": {"type": "number", "mim": 3}}, "features.Search.mim: unknown key; choose from choices"),
        ({"features.OutcomeDate": {"type": "money"}}, "features.OutcomeDate.type: Input should be 'number'"),
        ({"example": {"income": True}}, "example.income: true or false, where a number or a text belongs"),
        ({"example": {"income": date(2020, 1, 1)}}, "example.income: must be a number, a text or null"),
        ({"example": {"income": float("nan")}}, "example.income: not a finite number"),
        ({"gate.floor": {"roc_auc": 65}}, "gate.floor: roc_auc lies from 0 to 1, and 65 does not"),
        ({"gate.floor": {"brier": -0.1}}, "gate.floor: brier lies from 0 to 1, and -0.1 does not"),
        ({"gate.floor": {"log_loss": -1}}, "gate.floor: log_loss is never below 0"),
        ({"features": {"": {"type": "number"}}}, "features: a name is empty"),
        (
            {"task": "multiclass", "label": {"name": "g", "column": "g", "classes": ["a", "b", "c"]}}
            | {"learners": ["xgboost", "scorecard"]},
            "learners: scorecard tells good from bad only",
        ),
    ],
    ids=lambda part: part[:50] if isinstance(part, str) else "",
)
def test_a_fault_names_file_key_and_choices(file, changes, why):
    assert f"loans.yaml: {why}" in refusal(file(content(changes))) + "\n"


def test_a_list_whose_values_are_refused_is_not_called_too_short_as_well(file):
    label = {"name": "bad", "column": "status", "bad": [1], "good": []}
    said = refusal(file(content({"label": label, "learners": ["lightgbm"]}))).splitlines()
    assert [line.partition("loans.yaml: ")[2][:30].partition(": ")[0] for line in said] == [
        *("label.bad.0", "label.good", "learners.0"),
    ]


def test_a_log_loss_may_be_above_one():
    assert usecase({"gate.floor": {"log_loss": 1.5, "roc_auc": 1}}).gate.floor["log_loss"] == 1.5


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cards.yaml", "cards.yaml: name is 'loans'; it must be the file's own, 'cards'"),
        ("loans.yml", "loans.yml: only files that end in .yaml are found; call it loans.yaml"),
    ],
)
def test_a_file_that_would_not_be_found_is_refused_by_its_name(tmp_path, name, why):
    path = tmp_path / name
    path.write_text(yaml.safe_dump(content()), encoding="utf-8")
    assert read(path).name == "loans"
    with pytest.raises(ContractError) as error:
        read_named(path)
    assert why in str(error.value)


def test_every_fault_of_a_file_is_named_at_once(file):
    found = refusal(file(content({"gaet": 1, "title": None, "learners": [], "drift.warn": "much"})))
    assert [re.sub(r":.*", "", line.removeprefix("/").partition(": ")[2]) for line in found.splitlines()] == [
        "title",
        "drift.warn",
        "learners",
        "gaet",
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["label", "features", "source", "features.amount", "objective", "example", "protected", "seed"]),
)
def test_whatever_stands_under_a_key_is_sound_or_explained(tmp_path_factory, value, key):
    path = tmp_path_factory.getbasetemp() / "drawn.yaml"
    path.write_text(yaml.safe_dump(content({key: value if value is not None else {}})), encoding="utf-8")
    try:
        read(path)
    except ContractError as error:
        assert str(path) in str(error)  # noqa: PT017 - sound files raise nothing
