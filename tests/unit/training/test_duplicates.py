from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from refit.training.duplicates import distinct, near_across, unlike_note
from refit.training.maturity import ripe
from refit.training.split import split
from refit.training.train import train
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

CASE = usecase()
MATURED = ripe(book(1200), CASE, AS_OF)
DATELESS = usecase(
    event_time=None, label={"name": "bad", "column": "y", "bad": ["1"], "good": ["0"]}, split={"by": "random"}
)
CARS = Path(__file__).parents[4] / "shared" / "data" / "npl_car_loans.csv.gz"


def twice(frame):
    copies = frame.assign(_key=frame["_key"] + "b")
    return pd.concat([frame, copies], ignore_index=True).sort_values(["_event_time", "_key"], ignore_index=True)


def test_of_two_equal_records_the_first_to_arrive_is_kept_whatever_its_key():
    doubled = twice(MATURED)
    late = np.arange(len(doubled)) % 3 == 0
    doubled.loc[late, "_arrived_at"] += pd.Timedelta(days=3)
    kept, found = distinct(doubled, CASE)
    assert (found.n_pairs, found.n_left_out) == (len(MATURED), len(MATURED))
    assert kept["_key"].str.removesuffix("b").tolist() == MATURED["_key"].tolist()
    first = doubled.sort_values(["_arrived_at", "_key"]).drop_duplicates(["amount", "_event_time"])
    assert sorted(kept["_key"]) == sorted(first["_key"])
    assert kept["_key"].str.endswith("b").any()
    assert kept.index.tolist() == list(range(len(kept)))


def test_a_book_without_copies_is_left_as_it_is():
    kept, found = distinct(MATURED, CASE)
    assert kept is MATURED
    assert (found.n_pairs, found.n_left_out, found.note) == (0, 0, None)


@pytest.mark.parametrize(
    ("column", "value"),
    [("amount", 1.0), ("covered", 7.0), ("_label", None), ("_event_time", pd.Timedelta(days=1)), ("state", None)],
)
def test_records_that_differ_in_one_column_are_no_copies(column, value):
    doubled = twice(MATURED)
    second = doubled["_key"].str.endswith("b")
    if column == "_event_time":
        doubled.loc[second, column] += value
    elif column == "_label":
        doubled.loc[second, column] = 1 - doubled.loc[second, column]
    elif column == "state":
        doubled["state"] = doubled["state"].astype(object).where(~second, "XX").astype("category")
    else:
        doubled.loc[second, column] = value
    assert distinct(doubled, CASE)[1].n_pairs == 0


def test_four_equal_records_are_two_pairs_and_one_is_kept():
    four = pd.concat([MATURED, *(MATURED[:1].assign(_key=str(n)) for n in range(3))], ignore_index=True)
    kept, found = distinct(four, CASE)
    assert (len(kept), found.n_pairs, found.n_left_out) == (len(MATURED), 2, 3)


def coarse(n_combinations, seed, *, n=12_000, rate=0.05):
    """Return matured loans of which only the month, a grade and a term are known: equals come by chance."""
    random = np.random.default_rng(seed)
    month = np.sort(random.integers(0, 48, n))
    combination = random.integers(0, n_combinations, n)
    day = pd.Timestamp("2000-01-01", tz="UTC") + pd.to_timedelta(month * 30, unit="D")
    return pd.DataFrame(
        {
            "_key": [f"k{row:06}" for row in range(n)],
            "_arrived_at": day,
            "_event_time": day,
            "_label": (random.random(n) < rate * (0.4 + 0.3 * (combination % 5))).astype(float),
            "_ripe": True,
            "grade": pd.Categorical([f"g{value}" for value in combination // 40]),
            "term": (combination % 40).astype(float),
            "interest": 3 + month / 100,
        }
    )


COARSE = usecase(
    features={"grade": {"type": "category"}, "term": {"type": "number"}, "interest": {"type": "number"}},
    protected=[],
    gate={},
)
NO_RATE = usecase(features={"grade": {"type": "category"}, "term": {"type": "number"}}, protected=[], gate={})

DATELESS_GRADES = DATELESS.model_copy(update={"features": NO_RATE.features})


@pytest.mark.parametrize("case", [NO_RATE, COARSE], ids=["columns that do not know the day", "one that is the day's"])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5], ids=["seldom bad", "often", "as often as good"])
@pytest.mark.parametrize("n_combinations", [25, 400, 4000])
def test_coarse_records_that_are_equal_by_chance_all_stay(n_combinations, rate, case):
    matured = coarse(n_combinations, 1, rate=rate)
    kept, found = distinct(matured, case)
    assert kept is matured
    assert found.n_left_out == 0
    assert found.n_pairs > 0
    assert "can be chance" in found.note


def test_where_all_records_of_a_kind_end_alike_the_days_tell_chance_from_copies():
    matured = coarse(400, 1)
    matured["_label"] = (matured["term"] % 10 == 0).astype(float)
    assert distinct(matured, NO_RATE)[1].n_left_out == 0


@pytest.mark.parametrize("case", [NO_RATE, COARSE], ids=["columns that do not know the day", "one that is the day's"])
def test_a_coarse_book_of_few_equals_that_is_loaded_twice_still_loses_its_copies(case):
    matured = coarse(40_000, 1)
    kept, found = distinct(twice(matured), case)
    assert found.n_pairs >= len(matured)
    assert len(kept) <= len(matured)
    assert kept["_label"].mean() == pytest.approx(matured["_label"].mean(), rel=0.02)


def test_copies_are_told_from_chance_the_same_way_every_time():
    matured = coarse(4000, 2)
    assert distinct(matured, NO_RATE)[1] == distinct(matured, NO_RATE)[1]


@pytest.mark.parametrize("n_times", [2, 4, 25])
def test_without_a_date_copies_are_left_out_too_since_they_end_alike(n_times):
    copies = [MATURED.assign(_key=MATURED["_key"] + str(k)) for k in range(n_times)]
    kept, found = distinct(pd.concat(copies, ignore_index=True), DATELESS)
    assert found.n_left_out == (n_times - 1) * len(MATURED)
    assert kept["_key"].tolist() == (MATURED["_key"] + "0").tolist()


@pytest.mark.parametrize("rate", [0.05, 0.5])
@pytest.mark.parametrize("n_combinations", [25, 400, 4000])
def test_without_a_date_equals_that_end_otherwise_all_stay_and_the_card_is_told(n_combinations, rate):
    matured = coarse(n_combinations, 1, rate=rate)
    kept, found = distinct(matured, DATELESS_GRADES)
    assert kept is matured
    assert found.n_left_out == 0
    assert found.n_pairs > 0
    assert "all are kept" in found.note


def test_a_record_that_comes_again_another_day_or_ends_otherwise_is_a_near_duplicate():
    parts = split(MATURED, CASE)
    assert near_across(MATURED, CASE, parts.before_test, parts.test) == 0
    again = MATURED.copy()
    names = list(CASE.features)
    for tested, before in zip(parts.test[:7], parts.before_test[:7], strict=True):
        again.loc[tested, names] = again.loc[before, names].to_numpy()
        again.loc[tested, "amount"] *= 1 + 1e-9
    assert near_across(again, CASE, parts.before_test, parts.test) == 7


def test_near_means_four_digits():
    parts = split(MATURED, CASE)
    again = MATURED.copy()
    again.loc[parts.test[0], list(CASE.features)] = again.loc[parts.before_test[0], list(CASE.features)].to_numpy()
    again.loc[parts.test[0], "amount"] *= 1.01
    assert near_across(again, CASE, parts.before_test, parts.test) == 0


def instalments(n_borrowers, n_each=6):
    """Return the instalments of borrowers: all of one are alike in all that is known, but for the day and the end."""
    months = [MATURED[:n_borrowers].assign(_key=lambda frame, k=k: frame["_key"] + f"-{k}") for k in range(n_each)]
    day = [pd.Timestamp("2000-01-01", tz="UTC") + pd.DateOffset(months=3 * k) for k in range(n_each)]
    frame = pd.concat([month.assign(_event_time=at) for month, at in zip(months, day, strict=True)], ignore_index=True)
    return frame.assign(_label=(np.random.default_rng(1).random(len(frame)) < 0.3).astype(float))


def test_the_card_says_that_nothing_is_known_of_new_borrowers_where_all_tested_were_learnt_from():
    made = train(instalments(200), CASE, AS_OF, **MADE_WITH)
    [note] = [note for note in made.bundle.card["notes"] if "new borrowers" in note]
    assert f"{len(made.test):,} of {len(made.test):,} test records" in note


def test_it_says_no_such_thing_where_new_borrowers_were_tested_on_or_hardly_any_records_differ():
    parts = split(MATURED, CASE)
    assert unlike_note(MATURED, CASE, parts.before_test, parts.test) is None
    few = coarse(25, 1)
    parts = split(few, NO_RATE)
    assert near_across(few, NO_RATE, parts.before_test, parts.test) == len(parts.test)
    assert unlike_note(few, NO_RATE, parts.before_test, parts.test) is None


@pytest.mark.parametrize("alike", [True, False], ids=["each borrower ends one way", "each instalment as it may"])
def test_borrowers_are_no_coarse_columns_however_many_instalments_each_has(alike):
    frame = instalments(40, 40)
    if alike:
        frame["_label"] = frame["_label"].to_numpy()[np.arange(len(frame)) % 40]
    matured = frame.sort_values(["_event_time", "_key"], ignore_index=True)
    parts = split(matured, CASE)
    note = unlike_note(matured, CASE, parts.before_test, parts.test)
    assert f"{len(parts.test):,} of {len(parts.test):,} test records" in note


@pytest.mark.slow
def test_a_book_loaded_twice_gives_the_model_of_the_book_loaded_once():
    frame = book(1200)
    once = train(frame, CASE, AS_OF, **MADE_WITH)
    doubled = train(twice(frame), CASE, AS_OF, **MADE_WITH)
    assert doubled.probability.tolist() == once.probability.tolist()
    assert doubled.duplicates.n_pairs == doubled.duplicates.n_left_out == int(frame["_ripe"].sum())
    assert doubled.bundle.card["n_records"] == once.bundle.card["n_records"] == len(doubled.matured)
    assert any("copies are left out" in note for note in doubled.bundle.card["notes"])


@pytest.mark.skipif(not CARS.exists(), reason=f"{CARS} is absent")
@pytest.mark.slow
def test_the_car_loans_that_stand_twice_are_found_pair_by_pair():
    raw = pd.read_csv(CARS)
    due, paid = (pd.to_datetime(raw[name], utc=True) for name in ("due_date", "paid_date"))
    bad = paid.isna() | (raw["due_amount"] != "Rp0.0") | ((paid - due).dt.days > 90)
    texts = [
        "monthly_income",
        "housing_type",
        "num_of_dependent",
        "lama_bekerja",
        "otr",
        "status_pernikahan",
        "pekerjaan",
        "dp",
    ]
    case = usecase(
        label={"name": "npl", "column": "y", "bad": ["1"], "good": ["0"]},
        features={**{name: {"type": "category"} for name in texts}, "tenor": {"type": "number"}},
    )
    frame = raw[[*texts, "tenor"]].assign(
        _key=raw["app_id"].astype(str), _arrived_at=due, _event_time=due, _label=bad.astype(float), _ripe=True
    )
    matured = ripe(frame, case, pd.Timestamp("2030-01-01", tz="UTC").to_pydatetime())
    kept, found = distinct(matured, case)
    assert found.n_pairs == 4609
    assert len(kept) == len(matured) - found.n_left_out <= 4609
    assert np.isin(kept["_key"], matured["_key"]).all()
