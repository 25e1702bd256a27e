"""What the lake's columns tell of how they were read: all that gives a value its meaning, and nothing else."""

import pytest

from refit.intake.validate import lake_schema
from tests.unit.usecase.declared import usecase


def told(changes: dict | None = None) -> dict[str, dict]:
    return {field.name: field.metadata for field in lake_schema(usecase(changes))}


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({"source.key": "loan"}, ["_key"]),
        ({"source.arrived_at": "seen_at"}, ["_arrived_at"]),
        ({"event_time.column": "signed_on"}, ["_event_time"]),
        ({"event_time.parse": "date:%d-%b-%y"}, ["_event_time"]),
        ({"features.region.parse": "prefix:3"}, ["region"]),
        ({"features.region.column": "area"}, ["region"]),
        ({"features.region.unknown": ["n/a", "?"]}, ["region"]),
        ({"features.income.parse": "number"}, ["income"]),
        ({"label.happened_on.parse": "date:%d-%b-%y"}, ["lost_on"]),
    ],
    ids=str,
)
def test_a_field_tells_how_it_is_read(changes, columns):
    before, now = told(), told(changes)
    assert list(before) == list(now)
    assert [name for name in now if now[name] != before[name]] == columns


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other loans", "drift.act": 0.5, "features.region.title": "Where", "features.region.reason": "Far"},
        {"features.amount.min": 5, "features.amount.required": False, "features.purpose.choices": ["car"]},
        {"label.within_months": 6, "label.name": "worse", "known_later": []},
        {"features.region.unknown": ["n/a", "n/a"], "features.income.unit": "USD", "features.region.parse": "text"},
        {"event_time.parse": "date"},
    ],
    ids=["words", "what is refused", "the label's own terms", "said otherwise", "a default"],
)
def test_what_does_not_change_how_it_is_read_leaves_the_lake_as_it_was(changes):
    assert told(changes) == told()


def test_a_record_dated_by_its_arrival_is_read_the_same_whether_or_not_the_file_says_so():
    label = {"name": "bad", "column": "status", "bad": ["1"], "good": ["0"]}
    said = {"label": label, "event_time.column": "changed_at"}
    assert told(said) == told({"label": label, "event_time": None, "split": {"by": "random"}})
