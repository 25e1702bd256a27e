from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.intake.labels import add_months, known
from tests.unit.usecase.declared import usecase

EVENT = "2003-01-31"
CLASS = {"name": "bad", "column": "status", "bad": ["late", "lost"], "good": ["paid"]}
RULE = {
    "name": "bad",
    "bad_when": "paid_on - due_on > 90 or owed > 0",
    "columns": {"paid_on": {"type": "date"}, "due_on": {"type": "date"}, "owed": {"type": "number"}},
}
GRADES = {"name": "grade", "column": "grade", "classes": ["A", "B", "C"]}


def moments(*texts: str | None) -> pd.Series:
    return pd.Series(pd.to_datetime(list(texts), utc=True, format="ISO8601")).astype("datetime64[us, UTC]")


def as_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return moment if "T" in text else moment + timedelta(days=1, microseconds=-1)


def label(months: int, event: str, happened_on: str | None, day: str) -> tuple[bool, float | None, bool]:
    made = usecase({"label.within_months": months})
    found = known(pd.DataFrame({"_event_time": moments(event), "lost_on": moments(happened_on)}), made, as_of(day))
    value = found.label[0]
    return bool(found.happened[0]), None if np.isnan(value) else float(value), bool(found.ripe[0])


@pytest.mark.parametrize(
    ("happened_on", "day", "expected"),
    [
        (None, "2003-02-01", (False, None, False)),
        (None, "2003-02-27", (False, None, False)),
        (None, "2003-02-28", (False, 0.0, True)),
        ("2003-02-10", "2003-02-09", (False, None, False)),
        ("2003-02-10", "2003-02-10", (True, 1.0, False)),
        ("2003-02-10", "2003-02-28", (True, 1.0, True)),
        ("2003-02-28", "2003-02-27", (False, None, False)),
        ("2003-02-28", "2003-02-28", (True, 1.0, True)),
        ("2003-03-01", "2003-02-28", (False, 0.0, True)),
        ("2003-03-01", "2003-03-01", (True, 0.0, True)),
        ("2003-01-31", "2003-01-31", (True, 1.0, False)),
    ],
    ids=[
        "nothing yet",
        "the day before the deadline",
        "the deadline is over",
        "the day before it happened",
        "the day it happened",
        "happened, and ripe since",
        "on the deadline, the day before",
        "exactly on the deadline",
        "the day after the deadline, not seen yet",
        "the day after the deadline: on record, and good",
        "on the day of the event",
    ],
)
def test_an_outcome_counts_within_its_months_and_not_before_it_is_known(happened_on, day, expected):
    assert label(1, EVENT, happened_on, day) == expected


def test_the_deadlines_day_counts_as_a_whole():
    assert label(1, EVENT, "2003-02-28T17:00", "2003-02-28T12:00") == (False, None, False)
    assert label(1, EVENT, "2003-02-28T17:00", "2003-02-28T17:00") == (True, 1.0, False)
    assert label(1, "2003-01-31T23:59:59", "2003-02-28T17:00", "2003-03-01T00:00") == (True, 1.0, True)
    assert label(1, "2003-01-31T23:59:59", None, "2003-03-01T00:00") == (False, 0.0, True)


@pytest.mark.parametrize(
    ("event", "months", "deadline"),
    [
        ("2003-01-31", 1, "2003-02-28"),
        ("2004-01-31", 1, "2004-02-29"),
        ("2003-01-29", 1, "2003-02-28"),
        ("2003-08-31", 6, "2004-02-29"),
        ("2004-02-29", 12, "2005-02-28"),
        ("2004-02-29", 48, "2008-02-29"),
        ("2003-03-31", 36, "2006-03-31"),
        ("2003-11-30", 3, "2004-02-29"),
        ("2003-12-31", 1, "2004-01-31"),
        ("1999-12-31", 2, "2000-02-29"),
    ],
    ids=str,
)
def test_months_end_on_the_last_day_of_a_shorter_month(event, months, deadline):
    assert add_months(moments(event), months).tolist() == moments(deadline).tolist()
    assert label(months, event, deadline, deadline) == (True, 1.0, True)
    after = (datetime.fromisoformat(deadline) + timedelta(days=1)).date().isoformat()
    assert label(months, event, after, after) == (True, 0.0, True)


def by_class(rows: dict[str, list], day: str, **known_on) -> list[float | None]:
    made = usecase({"label": CLASS | ({"known_on": known_on} if known_on else {})})
    return listed(known(pd.DataFrame(rows), made, as_of(day)))


def listed(found) -> list[float | None]:
    assert (found.ripe == ~np.isnan(found.label)).all()
    assert (found.happened == found.ripe).all()
    return [None if np.isnan(value) else float(value) for value in found.label]


def test_a_class_is_bad_good_or_not_known_yet():
    assert by_class({"status": ["late", "lost", "paid", "current", None, "Paid"]}, "2003-06-30") == [
        1,
        1,
        0,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(("day", "expected"), [("2003-06-28", None), ("2003-06-29", 1), ("2004-01-01", 1)], ids=str)
def test_a_class_is_known_only_so_many_days_after_its_date(day, expected):
    rows = {"status": ["late", "late"], "due_on": moments("2003-03-31", None)}
    assert by_class(rows, day, column="due_on", after_days=90) == [expected, None]


def by_rule(day: str, *, known_on: dict | None = None, **rows) -> list[float | None]:
    made = usecase({"label": RULE | ({"known_on": known_on} if known_on else {})})
    return listed(known(pd.DataFrame(rows), made, as_of(day)))


@pytest.mark.parametrize(
    ("paid_on", "owed", "expected"),
    [
        ("2003-06-29", 0, 0),
        ("2003-06-30", 0, 1),
        ("2003-01-01", 0, 0),
        ("2003-01-01", 0.01, 1),
        (None, 0, 0),
        (None, 5, 1),
        ("2003-01-01", None, 0),
    ],
    ids=["90 days late", "91 days late", "early", "still owed", "no date", "no date and owed", "no amount"],
)
def test_a_rule_counts_dates_in_days(paid_on, owed, expected):
    rows = {"paid_on": moments(paid_on), "due_on": moments("2003-03-31"), "owed": [owed]}
    assert by_rule("2003-12-31", **rows) == [expected]


def test_a_rule_says_nothing_of_a_record_without_any_of_its_columns():
    rows = {"paid_on": moments(None, None), "due_on": moments(None, "2003-03-31"), "owed": [None, None]}
    assert by_rule("2003-12-31", **rows) == [None, 0]
    ahead = {"paid_on": moments("2003-07-15"), "due_on": moments("2003-07-16"), "owed": [None]}
    assert by_rule("2003-07-14", **ahead) == [None]
    assert by_rule("2003-07-15", **ahead) == [0]


@pytest.mark.parametrize(
    ("rule", "kind", "expected"),
    [
        ("happened > 0", "date", [0, 1]),
        ("not (0 < happened)", "date", [1, 0]),
        ("happened > 0 and paid >= 0", "date", [0, 1]),
        ("happened - paid > 90", "date", [None, 1]),
        ("happened > paid", "date", [None, 1]),
        ("happened > 0", "number", [None, 1]),
        ("not (happened <= 90 or paid <= 0)", "number", [None, 0]),
    ],
    ids=str,
)
def test_only_whether_a_date_came_is_answered_by_its_absence(rule, kind, expected):
    columns = {"happened": {"type": kind}, "paid": {"type": "number"}}
    made = usecase({"label": {"name": "bad", "bad_when": rule, "columns": columns}})
    happened = moments(None, "2003-03-31") if kind == "date" else [None, 5.0]
    rows = pd.DataFrame({"happened": happened, "paid": [None, 0.0]})
    assert listed(known(rows, made, as_of("2003-12-31"))) == expected


def test_a_date_of_a_rule_that_lies_ahead_is_missing():
    rows = {"paid_on": moments("2003-07-15"), "due_on": moments("2003-03-31"), "owed": [0.0]}
    assert by_rule("2003-07-14", **rows) == [0]
    assert by_rule("2003-07-15", **rows) == [1]


def test_a_rule_is_known_only_so_many_days_after_its_date():
    rows = {"paid_on": moments("2003-07-15"), "due_on": moments("2003-03-31"), "owed": [0.0]}
    known_on = {"column": "due_on", "after_days": 120}
    assert by_rule("2003-07-28", known_on=known_on, **rows) == [None]
    assert by_rule("2003-07-29", known_on=known_on, **rows) == [1]


def test_one_of_several_classes_is_known_by_its_place():
    made = usecase({"label": GRADES, "task": "multiclass"})
    found = known(pd.DataFrame({"grade": ["C", "A", None, "D", "B"]}), made, as_of("2003-06-30"))
    assert listed(found) == [2, 0, None, None, 1]


@pytest.mark.parametrize("form", [CLASS, RULE, GRADES, None], ids=["class", "rule", "multiclass", "date"])
def test_no_record_has_no_label(form):
    task = "multiclass" if form is GRADES else "binary"
    made = usecase({"label": form, "task": task} if form else {})
    columns = {name: moments() for name in ("_event_time", "lost_on", "paid_on", "due_on")}
    records = pd.DataFrame(columns | {"owed": [], "status": [], "grade": []}).astype({"owed": float})
    found = known(records, made, as_of("2003-06-30"))
    assert len(found.label) == len(found.ripe) == len(found.happened) == 0


DAYS = st.integers(0, 1500).map(lambda days: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=days))
MOMENTS = st.integers(0, 1500 * 24).map(lambda hours: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(hours=hours))


@pytest.mark.slow
@given(
    loans=st.lists(st.tuples(MOMENTS, st.none() | MOMENTS), min_size=1, max_size=8),
    months=st.integers(1, 14),
    now=MOMENTS,
    later=MOMENTS,
)
def test_a_final_label_stays_and_rests_on_nothing_later(loans, months, now, later):
    now, later = sorted((now, later))
    made = usecase({"label.within_months": months})
    records = pd.DataFrame(
        {
            "_event_time": moments(*[a.isoformat() for a, _ in loans]),
            "lost_on": moments(*[None if b is None else max(a, b).isoformat() for a, b in loans]),
        }
    )
    then, afterwards = known(records, made, now), known(records, made, later)
    final = ~np.isnan(then.label)
    np.testing.assert_array_equal(then.label[final], afterwards.label[final])
    assert (afterwards.ripe | ~then.ripe).all()
    assert (afterwards.happened | ~then.happened).all()
    blind = records.assign(lost_on=records["lost_on"].where(records["lost_on"] <= pd.Timestamp(now)))
    for field in ("happened", "label", "ripe"):
        np.testing.assert_array_equal(getattr(known(blind, made, now), field), getattr(then, field))
    assert (~np.isnan(then.label[then.ripe])).all()
