"""Which records a model has not seen, by the day of the record or by that of its first arrival."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pandas as pd

from refit.loop.performance import performance
from refit.training.train import train
from refit.training.unseen import unseen
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

MADE = SimpleNamespace(as_of=datetime(2003, 1, 31, tzinfo=UTC), card={"window": {"end": "2002-01-15T00:00:00+00:00"}})
UNDATED = usecase(
    event_time=None,
    label={"name": "l", "column": "l", "bad": ["x"], "good": ["y"]},
    split={"by": "random"},
    learners=["logistic_regression"],
)


def days(*texts):
    return pd.Series(pd.to_datetime(list(texts), utc=True))


def test_a_dated_record_is_unseen_after_the_newest_a_model_was_made_from_however_early_it_arrived():
    event = days("2002-01-15", "2002-01-16", "2003-03-01")
    frame = pd.DataFrame({"_event_time": event, "_arrived_at": event, "_first_arrived_at": event})
    assert unseen(frame, MADE, usecase()).tolist() == [False, True, True]
    assert unseen(frame, MADE, usecase(split={"by": "random"})).tolist() == [False, True, True]


def test_without_a_date_what_arrived_once_is_seen_whatever_comes_of_it_later():
    late = days("2003-05-01", "2003-05-01", "2003-05-01")
    first = days("2002-12-01", "2003-01-31", "2003-02-01")
    frame = pd.DataFrame({"_event_time": late, "_arrived_at": late, "_first_arrived_at": first})
    assert unseen(frame, MADE, UNDATED).tolist() == [False, False, True]


def test_a_file_without_dates_that_is_corrected_tells_nothing_new_of_its_champion():
    loaded, corrected = (pd.Timestamp(day, tz="UTC").as_unit("us") for day in ("2003-01-01", "2003-03-01"))
    ripe = book(1500, signal=3.0)
    ripe = ripe[ripe["_ripe"]].assign(_event_time=loaded, _arrived_at=loaded, _first_arrived_at=loaded)
    champion = train(ripe, UNDATED, MADE.as_of, **MADE_WITH).bundle
    assert len(ripe) > UNDATED.drift.min_records
    again = ripe.assign(_event_time=corrected, _arrived_at=corrected)
    assert performance(champion, again, UNDATED) is None
    new = again.assign(_key="new-" + again["_key"], _first_arrived_at=corrected)
    assert performance(champion, pd.concat([again, new], ignore_index=True), UNDATED).n == len(new)
    assert corrected <= pd.Timestamp(AS_OF)
