import pytest
from pydantic import ValidationError

from refit.usecase.model import UseCase
from tests.unit.usecase.declared import content, usecase

RULE = {"name": "bad", "bad_when": "paid - due > 90", "columns": {"paid": {"type": "date"}, "due": {"type": "date"}}}
CLASS = {"name": "bad", "column": "status", "bad": ["late"], "good": ["paid"]}
MULTICLASS = {"name": "grade", "column": "grade", "classes": ["A", "B", "C"]}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"features.lost_on": {"type": "category"}}, "lost_on: known only after the decision"),
        ({"features.paid": {"type": "number"}}, "paid: known only after the decision"),
        ({"features.x": {"type": "number", "from": "paid / amount"}}, "paid: known only after the decision"),
        ({"features.sex": {"type": "category"}}, "sex: protected"),
        ({"features.x": {"type": "number", "from": "sex + 1"}}, "sex: protected"),
        ({"features.id": {"type": "category"}}, "id: the key identifies a record"),
        ({"features.x": {"type": "number", "from": "id * 2"}}, "id: the key identifies a record"),
        ({"features.changed_at": {"type": "category"}}, "changed_at: moves when the outcome comes in"),
        ({"features.lost_on": {"type": "number", "from": "amount / 2"}}, "lost_on: a column already"),
        ({"features.asked_on": {"type": "number", "from": "amount / 2"}}, "asked_on: a column already"),
        ({"features.x": {"type": "number", "from": "share * 2"}}, "share is derived itself"),
        ({"features.x": {"type": "number", "from": "x * 2"}}, "x is derived itself"),
        ({"features.x": {"type": "number", "from": "region * 2"}}, "region is a category"),
        ({"features._x": {"type": "number"}}, "_x: names that start with '_' belong to refit"),
        ({"features.x": {"type": "number", "from": "_key / 2"}}, "_key: names that start with '_' belong to refit"),
        ({"protected": ["_event_time"]}, "_event_time: names that start with '_' belong to refit"),
        ({"protected": ["lost_on"]}, "lost_on: the label is made from it"),
        ({"example": {"wage": 1}}, "wage: no input of the model; inputs are amount, income"),
        ({"example": {"share": 1}}, "share: no input of the model"),
        ({"source.key": "changed_at"}, "cannot be both 'key' and 'arrived_at'"),
        ({"source.table": "loans"}, "source.table"),
        ({"source.table": 'source.loans"; DROP'}, "source.table"),
        ({"source.table": "source.a.b"}, "source.table"),
        ({"name": "Loans"}, "name"),
        ({"name": "../loans"}, "name"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_no_feature_reads_what_it_must_not(changes, why):
    with pytest.raises(ValidationError) as error:
        usecase(changes)
    assert why in str(error.value)


@pytest.mark.parametrize(
    "feature",
    [
        {"type": "category", "min": 0},
        {"type": "number", "choices": ["a"]},
        {"type": "number", "min": 5, "max": 1},
        {"type": "number", "min": float("nan")},
        {"type": "number", "max": float("inf")},
        {"type": "number", "parse": "prefix:2"},
        {"type": "category", "parse": "money"},
        {"type": "category", "parse": "date"},
        {"type": "category", "from": "amount / income"},
        {"type": "number", "from": "amount.real"},
        {"type": "number", "from": "1 + 1"},
        {"type": "number", "from": "(" * 10_000 + "amount" + ")" * 10_000},
    ],
    ids=str,
)
def test_a_feature_that_contradicts_itself_is_refused(feature):
    with pytest.raises(ValidationError, match=r"features\.x"):
        usecase({"features.x": feature})


@pytest.mark.parametrize(
    ("label", "task"),
    [
        ({"name": "bad", "happened_on": {"column": "d"}}, "binary"),
        ({"name": "bad", "happened_on": {"column": "d"}, "within_months": 0}, "binary"),
        ({"name": "bad", "happened_on": {"column": "d"}, "within_months": 10_000}, "binary"),
        ({"name": "bad", "happened_on": {"column": "d", "parse": "money"}, "within_months": 6}, "binary"),
        ({"name": "bad", "column": "c", "bad": [], "good": ["a"]}, "binary"),
        ({"name": "bad", "column": "c", "bad": ["a", "b"], "good": ["b"]}, "binary"),
        ({**CLASS, "known_on": {"column": "status"}}, "binary"),
        ({**CLASS, "known_on": {"column": "d", "after_days": -1}}, "binary"),
        ({**CLASS, "known_on": {"column": "d", "parse": "number"}}, "binary"),
        ({**RULE, "bad_when": "paid - asked > 90"}, "binary"),
        ({**RULE, "bad_when": "paid.day > 90"}, "binary"),
        ({**RULE, "columns": {"paid": {"type": "date", "parse": "money"}, "due": {"type": "date"}}}, "binary"),
        ({**RULE, "columns": {"paid": {"type": "text"}, "due": {"type": "date"}}}, "binary"),
        ({**MULTICLASS, "classes": ["A", "B"]}, "multiclass"),
        ({**MULTICLASS, "classes": ["A", "B", "A"]}, "multiclass"),
        (MULTICLASS, "binary"),
        (CLASS, "multiclass"),
    ],
    ids=str,
)
def test_a_label_that_says_nothing_sound_is_refused(label, task):
    with pytest.raises(ValidationError):
        usecase({"label": label, "task": task})


@pytest.mark.parametrize(
    ("label", "task", "columns"),
    [
        (
            {"name": "bad", "happened_on": {"column": "d", "parse": "date:%d-%b-%y"}, "within_months": 6},
            "binary",
            {"d": "date"},
        ),
        (CLASS, "binary", {"status": "text"}),
        ({**CLASS, "known_on": {"column": "due_on", "after_days": 90}}, "binary", {"status": "text", "due_on": "date"}),
        (RULE, "binary", {"paid": "date", "due": "date"}),
        ({**RULE, "known_on": {"column": "due"}}, "binary", {"paid": "date", "due": "date"}),
        (MULTICLASS, "multiclass", {"grade": "text"}),
    ],
    ids=["outcome date", "class", "class known later", "rule", "rule known on its own column", "multiclass"],
)
def test_a_label_tells_the_columns_it_is_made_from(label, task, columns):
    made = usecase({"label": label, "task": task, "known_later": ["written_off"]})
    assert {name: rule.kind for name, rule in made.label_columns.items()} == columns


@pytest.mark.parametrize(
    "changes",
    [
        {"objective.decide": {}},
        {"objective.decide": {"maximise": "f1", "recall_at_least": 0.9}},
        {"objective.decide": {"minimise": "cost"}},
        {"objective.decide": {"maximise": "f1", "cost": {"false_negative": 1, "false_positive": 1}}},
        {"objective.decide": {"minimise": "cost", "cost": {"false_negative": 0, "false_positive": 1}}},
        {"objective.decide": {"recall_at_least": 1.1}},
        {"drift": {"warn": 0.25, "act": 0.25}},
        {"drift": {"warn": float("nan")}},
        {"split": {"test_months": 0}},
        {"gate": {"calibration_error_max": 0}},
        {"learners": []},
        {"features": {}},
        {"seed": -1},
        {"seed": 2**32},
        {"schedule": "every night"},
        {"schedule": ""},
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_followed_is_refused(changes):
    with pytest.raises(ValidationError):
        usecase(changes)


def test_the_inputs_are_the_source_columns_the_features_read():
    inputs = usecase({"features.ratio": {"type": "number", "from": "amount / debts"}}).inputs
    assert list(inputs) == ["amount", "income", "region", "purpose", "debts"]
    assert {name: (column.type, column.rule) for name, column in inputs.items()} == {
        "amount": ("number", "number"),
        "income": ("number", "money"),
        "region": ("category", "text"),
        "purpose": ("category", "text"),
        "debts": ("number", "number"),
    }
    assert inputs["amount"].required
    assert inputs["region"].unknown == ("n/a",)


def test_a_column_only_an_expression_reads_is_parsed_as_its_neighbours():
    features = {"a": {"type": "number", "parse": "money"}, "x": {"type": "number", "from": "b / a"}}
    assert usecase({"features": features}).inputs["b"].rule == "money"
    features["x"] = {"type": "number", "from": "b / a", "parse": "percent"}
    assert usecase({"features": features}).inputs["b"].rule == "percent"


def test_a_historical_file_may_order_by_the_event_itself():
    made = usecase({"source.arrived_at": "asked_on", "features.asked_on": {"type": "category", "parse": "prefix:4"}})
    assert "asked_on" in made.inputs


def test_a_use_case_reads_back_what_it_writes():
    made = usecase()
    assert UseCase.model_validate_json(made.model_dump_json(by_alias=True)) == made
    assert UseCase.model_validate(content()) == made


def test_a_use_case_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        usecase().name = "other"


DATELESS = {"event_time": None, "label": CLASS, "split": {"by": "random"}}


def test_a_use_case_without_an_event_dates_from_the_arrival():
    assert usecase(DATELESS).event_column == "changed_at"
    assert usecase().event_column == "asked_on"


def test_a_file_without_key_and_date_goes_by_the_loaders_own():
    made = usecase({**DATELESS, "source.key": None, "source.arrived_at": None})
    assert (made.source.key, made.source.arrived_at, made.event_column) == ("record_id", "loaded_at", "loaded_at")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"event_time": None, "split": {"by": "random"}}, "label.within_months counts from the event"),
        ({"event_time": None, "label": CLASS}, "split.by time needs 'event_time'"),
        ({**DATELESS, "maturity": {"unripe": "hazard"}}, "maturity.unripe hazard needs a label with 'happened_on'"),
        ({**DATELESS, "source.key": None, "features.record_id": {"type": "category"}}, "record_id: the key identifies"),
    ],
    ids=["months from no event", "time split of no event", "hazard of no date", "the added key"],
)
def test_what_needs_a_date_is_refused_without_one(changes, why):
    with pytest.raises(ValidationError) as error:
        usecase(changes)
    assert why in str(error.value)


def test_classes_are_those_of_a_multiclass_label_in_order():
    assert usecase({"label": MULTICLASS, "task": "multiclass"}).classes == ("A", "B", "C")
    assert usecase().classes is None


def test_a_feature_may_read_a_column_of_another_name():
    zipped = {"type": "category", "column": "address", "parse": "suffix:5"}
    inputs = usecase({"features.zip": zipped}).inputs
    assert (inputs["zip"].name, inputs["zip"].column, inputs["zip"].rule) == ("zip", "address", "suffix:5")
    assert inputs["amount"].column == "amount"
    assert "address" not in inputs


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("paid", "paid: known only after the decision"),
        ("sex", "sex: protected"),
        ("id", "id: the key identifies a record"),
        ("lost_on", "lost_on: known only after the decision"),
        ("changed_at", "changed_at: moves when the outcome comes in"),
        ("_key", "_key: names that start with '_' belong to refit"),
    ],
)
def test_another_name_hides_no_column_a_feature_must_not_read(column, why):
    with pytest.raises(ValidationError) as error:
        usecase({"features.x": {"type": "category", "column": column}})
    assert why in str(error.value)


def test_a_derived_feature_names_its_columns_in_the_expression():
    with pytest.raises(ValidationError, match="leave 'column' out"):
        usecase({"features.x": {"type": "number", "from": "amount * 2", "column": "amount"}})


def test_a_label_known_so_long_after_the_event_bars_no_feature_of_the_events_own_day():
    label = {**CLASS, "known_on": {"column": "asked_on", "after_days": 365}}
    age = {"type": "number", "from": "asked_on - born_on", "parse": "year"}
    made = usecase({"label": label, "features.age": age})
    assert list(made.label_columns) == ["status"]
    assert {"asked_on", "born_on"} <= set(made.inputs)
