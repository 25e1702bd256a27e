import pandas as pd
import pytest

from refit.errors import DataError
from refit.training.maturity import MIN_RECORDS, age_note, first_ripe_on, ripe
from tests.unit.training.book import AS_OF, book, usecase

CASE = usecase()
FRAME = book(1000)


def refused(frame, case=CASE):
    with pytest.raises(DataError) as caught:
        ripe(frame, case, AS_OF)
    return str(caught.value)


def test_only_ripe_labelled_records_up_to_the_day_teach_oldest_first():
    frame = FRAME.copy()
    frame.loc[FRAME["_ripe"].idxmax(), "_label"] = float("nan")
    seen = ripe(frame, CASE, AS_OF)
    assert seen["_ripe"].all()
    assert seen["_label"].notna().all()
    assert len(seen) == int(frame["_ripe"].sum()) - 1
    assert seen[["_event_time", "_key"]].apply(tuple, axis=1).is_monotonic_increasing


def test_a_record_after_the_day_is_not_seen_even_if_it_says_it_is_ripe():
    frame = FRAME.copy()
    frame["_event_time"] += pd.DateOffset(years=2)
    assert ripe(frame, CASE, AS_OF)["_event_time"].max() <= pd.Timestamp(AS_OF)


def test_early_defaults_of_unripe_vintages_do_not_teach():
    frame = FRAME.copy()
    frame.loc[~frame["_ripe"], "_label"] = 1.0
    assert ripe(frame, CASE, AS_OF).equals(ripe(FRAME, CASE, AS_OF))


def test_nothing_ripe_is_refused_with_ages_and_the_first_day_that_ripens():
    young = FRAME[FRAME["_event_time"] >= "2003-01-15"].copy()
    young.loc[young.index[0], "_event_time"] = pd.Timestamp("2003-01-15", tz="UTC")
    text = refused(young)
    assert "the oldest is of 2003-01-15" in text
    assert "days old" in text
    assert "the first matures on 2004-01-15" in text


@pytest.mark.parametrize(
    ("label", "declared"),
    [
        ({"bad": ["TRUE"], "good": ["FALSE", "no"]}, "(failed: bad TRUE; good FALSE, no)"),
        ({"classes": ["A", "B", "C"]}, "(failed: A, B, C)"),
    ],
    ids=["bad and good", "several classes"],
)
def test_a_label_none_of_whose_values_occurs_is_not_called_young(label, declared):
    task = "multiclass" if "classes" in label else "binary"
    case = usecase(task=task, label={"name": "failed", "column": "failed"} | label)
    text = refused(FRAME.assign(_ripe=False, _label=float("nan")), case)
    assert f"at 2003-06-30 none of the 1,000 records holds a value that the label declares {declared}" in text
    assert "upper and lower case matter" in text
    assert "matured" not in text


def test_a_label_with_a_day_on_which_it_is_known_is_told_by_the_records_ages():
    label = {"name": "failed", "column": "failed", "bad": ["1"], "good": ["0"], "known_on": {"column": "seen"}}
    text = refused(FRAME.assign(_ripe=False, _label=float("nan")), usecase(label=label))
    assert "none of the 1,000 records has matured" in text


def test_a_frame_without_records_says_to_load_some():
    assert "load and ingest" in refused(FRAME[:0])


def test_too_few_records_says_how_many_there_are_and_how_many_it_takes():
    text = refused(FRAME[FRAME["_ripe"]][:30])
    assert "30 of 30 records" in text
    assert f"{MIN_RECORDS} are needed" in text


@pytest.mark.parametrize(("label", "word"), [(0.0, "all good"), (1.0, "all bad")])
def test_one_outcome_teaches_nothing(label, word):
    assert word in refused(FRAME.assign(_label=label))


def test_a_handful_of_bad_records_is_too_few():
    frame = FRAME[FRAME["_ripe"]].copy()
    frame["_label"] = 0.0
    frame.iloc[:3, frame.columns.get_loc("_label")] = 1.0
    assert "3 bad" in refused(frame)


def test_the_first_outcome_is_final_so_many_months_after_the_oldest_event():
    young = FRAME.assign(_event_time=pd.Timestamp("2003-01-15", tz="UTC"))
    assert first_ripe_on(young, CASE) == pd.Timestamp("2004-01-15", tz="UTC").to_pydatetime()
    assert first_ripe_on(FRAME[:0], CASE) is None
    assert first_ripe_on(FRAME, usecase(label={"name": "b", "column": "s", "bad": ["x"], "good": ["y"]})) is None


def test_a_training_on_records_older_than_allowed_is_noted_with_their_age():
    matured = ripe(FRAME, CASE, AS_OF)
    newest = matured["_event_time"].max()
    days = (pd.Timestamp(AS_OF) - newest).days
    note = age_note(matured, usecase(maturity={"max_age_months": 6}), AS_OF)
    assert f"{newest:%Y-%m-%d}, {days:,} days before" in note
    assert "6 months are allowed" in note
    assert age_note(matured, usecase(maturity={"max_age_months": 14}), AS_OF) is None
    assert age_note(matured, CASE, AS_OF) is None
