from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.intake.frame import frame, n_ahead
from refit.intake.validate import lake_schema
from tests.unit.usecase.declared import usecase

START = datetime(2003, 1, 1, tzinfo=UTC)
NEVER = START + timedelta(days=10_000)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def version(key: str, arrived: float, asked: float = 0, **values) -> dict:
    made = {"_key": key, "_arrived_at": day(arrived), "_event_time": day(asked), "amount": 10.0, "income": 100.0}
    return made | {"region": "north", "purpose": "car", "sex": "f", "lost_on": None} | values


def lake(*versions: dict, per_batch: int = 100) -> pa.Table:
    schema = lake_schema(usecase())
    parts = [
        pa.Table.from_pylist(list(versions[i : i + per_batch]), schema) for i in range(0, len(versions), per_batch)
    ]
    return pa.concat_tables([schema.empty_table(), *parts])


def seen(as_of: datetime, *versions: dict) -> pd.DataFrame:
    return frame(lake(*versions), usecase(), as_of)


def test_the_frame_holds_one_row_a_key_and_every_column_of_the_contract():
    found = seen(day(400), version("a", 1, lost_on=day(5)), version("b", 1, amount=None, region=None))
    assert list(found) == [
        *("_key", "_arrived_at", "_event_time", "_first_arrived_at"),
        *("amount", "income", "region", "purpose", "sex", "share", "_happened", "_label", "_ripe"),
    ]
    assert {
        name: str(found[name].dtype) for name in ("_arrived_at", "amount", "region", "share", "_label", "_ripe")
    } == {
        "_arrived_at": "datetime64[us, UTC]",
        "amount": "float64",
        "region": "category",
        "share": "float64",
        "_label": "float64",
        "_ripe": "bool",
    }
    assert found["_key"].tolist() == ["a", "b"]
    assert found["share"].tolist()[0] == pytest.approx(0.1)
    assert found["share"].isna().tolist() == [False, True]
    assert found["region"].isna().tolist() == [False, True]
    assert found["_label"].tolist() == [1.0, 0.0]


def test_the_labels_own_columns_are_left_behind():
    assert "lost_on" not in seen(day(400), version("a", 1, lost_on=day(5)))


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ((1, 5, 9), [None, 1, 1, 5, 5, 9, 9]),
        ((9, 5, 1), [None, 1, 1, 1, 1, 1, 1]),
        ((5, 9, 1), [None, 1, 1, 1, 1, 1, 1]),
        ((1, 9, 5), [None, 1, 1, 5, 5, 5, 5]),
    ],
    ids=["one after the other", "moved back twice", "moved back before all", "moved back between two"],
)
def test_of_a_key_the_version_taken_in_last_of_those_that_had_arrived_is_seen(arrivals, expected):
    versions = [version("a", arrived, amount=float(arrived)) for arrived in arrivals]
    found = [seen(day(at), *versions)["amount"].tolist() for at in (0.5, 1, 4, 5, 8, 9, 99)]
    assert found == [[] if amount is None else [amount] for amount in expected]


def test_of_two_versions_that_arrived_together_the_one_taken_in_last_is_seen():
    assert seen(day(5), version("a", 1, amount=1.0), version("b", 1), version("a", 1, amount=2.0))[
        "amount"
    ].tolist() == [10.0, 2.0]


def test_a_record_is_seen_from_the_moment_it_arrived():
    assert len(seen(day(5), version("a", 5))) == 1
    assert len(seen(day(5) - timedelta(microseconds=1), version("a", 5))) == 0


def test_an_event_that_lies_ahead_is_not_seen():
    assert seen(day(5), version("a", 1, asked=6), version("b", 1, asked=5))["_key"].tolist() == ["b"]


def test_a_version_that_moves_its_event_ahead_takes_the_older_one_away():
    assert len(seen(day(5), version("a", 1, asked=0), version("a", 2, asked=9))) == 0


@pytest.mark.parametrize("as_of", [START, day(400)], ids=["before all", "of no batch"])
def test_nothing_known_is_a_frame_without_rows(as_of):
    found = seen(as_of, *([version("a", 5)] if as_of == START else []))
    assert len(found) == 0
    assert "_label" in found
    assert str(found["region"].dtype) == "category"


def test_dates_at_the_ends_of_the_calendar_are_seen():
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
    made = version("a", 1) | {"_event_time": first, "lost_on": last}
    assert seen(day(5), made)["_label"].tolist() == [0.0]
    made = version("a", 1) | {"_event_time": first, "_arrived_at": first, "lost_on": last}
    assert seen(last, made, version("b", 1) | {"_event_time": last})["_label"].isna().tolist() == [False, True]


VERSIONS = st.lists(
    st.builds(
        lambda key, arrived, asked, amount, lost: version(
            key, arrived, asked, amount=float(amount), lost_on=None if lost is None else day(asked + lost)
        ),
        st.sampled_from("abcd"),
        st.integers(0, 30),
        st.integers(0, 30),
        st.integers(0, 9),
        st.none() | st.integers(0, 500),
    ),
    max_size=12,
)
AS_OF = st.integers(-1, 900).map(lambda half_days: day(half_days / 2))


@given(versions=VERSIONS, as_of=AS_OF, per_batch=st.integers(1, 5))
@pytest.mark.slow
def test_an_as_of_read_agrees_with_a_reading_by_hand(versions, as_of, per_batch):
    newest: dict[str, dict] = {}
    for one in versions:
        if one["_arrived_at"] <= as_of:
            newest[one["_key"]] = one
    expected = {key: one for key, one in newest.items() if one["_event_time"] <= as_of}
    found = frame(lake(*versions, per_batch=per_batch), usecase(), as_of)
    assert sorted(found["_key"]) == sorted(expected)
    for row in found.to_dict("records"):
        assert row["amount"] == expected[row["_key"]]["amount"]
        lost_on = expected[row["_key"]]["lost_on"]
        assert row["_happened"] == (lost_on is not None and lost_on <= as_of)


@given(versions=VERSIONS, as_of=AS_OF)
@pytest.mark.slow
def test_an_as_of_read_never_shows_what_came_later(versions, as_of):
    """Take away all that was not known on the day: what is seen stays the same, cell for cell."""
    past = [
        one | {"lost_on": one["lost_on"] if one["lost_on"] is not None and one["lost_on"] <= as_of else None}
        for one in versions
        if one["_arrived_at"] <= as_of
    ]
    pd.testing.assert_frame_equal(seen(as_of, *versions), seen(as_of, *past), check_categorical=False, check_exact=True)
    tampered = [
        one | {"lost_on": NEVER if one["lost_on"] is None or one["lost_on"] > as_of else one["lost_on"]}
        for one in versions
    ]
    pd.testing.assert_frame_equal(seen(as_of, *versions), seen(as_of, *tampered), check_exact=True)


def test_a_record_keeps_the_moment_its_first_version_arrived():
    found = seen(day(400), version("a", 9), version("b", 2), version("a", 1), version("a", 5))
    assert found.set_index("_key")["_first_arrived_at"].to_dict() == {"a": day(1), "b": day(2)}
    assert seen(day(4), version("a", 9), version("a", 3))["_first_arrived_at"].tolist() == [day(3)]


def test_records_dated_ahead_are_in_no_frame_and_counted():
    book = lake(
        version("a", 1, asked=0),
        version("b", 1, asked=9000),  # 65 read as 2065
        version("c", 1, asked=9000),
        version("c", 2, asked=0),  # put right
        version("d", 500, asked=9000),  # not here yet
    )
    assert list(frame(book, usecase(), day(400))["_key"]) == ["a", "c"]
    assert n_ahead(book, day(400)) == 1
    assert n_ahead(lake(version("a", 1)), day(400)) == 0
