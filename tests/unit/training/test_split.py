import numpy as np
import pandas as pd
import pytest

from refit.errors import DataError
from refit.training.maturity import ripe
from refit.training.split import matured_at, place, split
from tests.unit.training.book import AS_OF, book, usecase

MATURED = ripe(book(3000), usecase(), AS_OF)
EVENT = MATURED["_event_time"]


def disjoint(parts):
    rows = np.concatenate([parts.fit, parts.calibration, parts.test])
    return len(np.unique(rows)) == len(rows)


def test_by_time_the_newest_months_are_the_test_and_what_is_before_them_calibrates():
    parts = split(MATURED, usecase(split={"by": "time", "test_months": 6}))
    start = EVENT.max() - pd.DateOffset(months=6)
    assert disjoint(parts)
    assert len(parts.used) == len(MATURED)
    assert (EVENT.iloc[parts.test] > start).all()
    assert (EVENT.iloc[parts.before_test] <= start).all()
    assert EVENT.iloc[parts.fit].max() <= EVENT.iloc[parts.calibration].min()
    assert len(parts.calibration) == round(0.2 * len(parts.before_test))


def test_train_months_leave_older_records_out():
    parts = split(MATURED, usecase(split={"by": "time", "test_months": 6, "train_months": 12}))
    start = EVENT.max() - pd.DateOffset(months=6)
    assert (EVENT.iloc[parts.before_test] > start - pd.DateOffset(months=12)).all()
    assert len(parts.used) < len(MATURED)


def test_history_shorter_than_the_test_cannot_train():
    with pytest.raises(DataError, match="older ones are needed"):
        split(MATURED, usecase(split={"by": "time", "test_months": 600}))


def test_too_few_bad_in_a_part_is_refused_by_its_name():
    poor = MATURED.copy()
    poor.loc[EVENT < "2001-06-01", "_label"] = 0.0
    with pytest.raises(DataError, match="fit on"):
        split(poor, usecase())


def test_a_test_of_one_outcome_is_left_to_the_gate():
    start = EVENT.max() - pd.DateOffset(months=6)
    good_lately = MATURED.assign(_label=MATURED["_label"].where(start >= EVENT, 0.0))
    parts = split(good_lately, usecase())
    assert set(good_lately["_label"].to_numpy()[parts.test]) == {0.0}


def test_at_random_copies_never_stand_on_both_sides():
    doubled = pd.concat([MATURED, MATURED.assign(_key=MATURED["_key"] + "b")], ignore_index=True)
    case = usecase(split={"by": "random", "test_share": 0.3})
    parts = split(doubled, case)
    assert disjoint(parts)
    assert len(parts.used) == len(doubled)
    assert len(parts.test) == pytest.approx(0.3 * len(doubled), rel=0.15)
    assert len(parts.calibration) == pytest.approx(0.2 * 0.7 * len(doubled), rel=0.15)
    rows = doubled[list(case.features)].apply(lambda record: "|".join(map(str, record)), axis=1)
    sides = [set(rows.iloc[part]) for _, part in parts]
    assert sum(map(len, sides)) == len(set.union(*sides))


RANDOM = usecase(split={"by": "random"})


def with_bad_before_the_test(n, *, alike=False):
    """Return the records with n bad ones, all before the test; in every feature alike where that is asked."""
    before = np.flatnonzero(place(MATURED, RANDOM) >= RANDOM.split.test_share)
    bad = np.random.default_rng(4).choice(before, n, replace=False)
    few = MATURED.assign(_label=np.where(np.isin(np.arange(len(MATURED)), bad), 1.0, 0.0))
    if alike:
        few.loc[bad, list(RANDOM.features)] = few.loc[bad[0], list(RANDOM.features)].to_list()
    return few


@pytest.mark.parametrize("n", [5, 20])
def test_at_random_few_bad_before_the_test_are_enough_wherever_they_lie(n):
    few = with_bad_before_the_test(n)
    parts = split(few, RANDOM)
    assert few["_label"].to_numpy()[parts.before_test].sum() == n
    assert few["_label"].to_numpy()[parts.calibration].sum() < 5


@pytest.mark.parametrize(
    ("few", "said"),
    [
        (with_bad_before_the_test(4), "records that are not tested on hold 4 bad"),
        (with_bad_before_the_test(20, alike=True), "counted once where they are alike in every feature, hold 1 bad"),
    ],
    ids=["four", "twenty alike"],
)
def test_at_random_too_few_bad_before_the_test_are_refused_in_words_without_a_time(few, said):
    with pytest.raises(DataError, match=said) as error:
        split(few, RANDOM)
    assert not {"oldest", "newest", "calibrate"} & set(str(error.value).split())


def test_at_random_another_seed_gives_another_split_and_the_same_seed_the_same():
    case = usecase(split={"by": "random"})
    first, again = split(MATURED, case), split(MATURED, case)
    other = split(MATURED, usecase(split={"by": "random"}, seed=21))
    assert first.test.tolist() == again.test.tolist()
    assert first.test.tolist() != other.test.tolist()


def test_at_random_what_arrives_later_moves_no_record_and_a_copy_joins_its_original():
    case = usecase(split={"by": "random"})
    before = pd.Series(place(MATURED, case), index=MATURED["_key"])
    later = MATURED.iloc[::3].assign(_key="0" + MATURED["_key"].iloc[::3])
    later["_arrived_at"] += pd.DateOffset(years=9)
    new = book(500, seed=99).assign(_key=lambda frame: "n" + frame["_key"])
    more = pd.concat([later, new, MATURED], ignore_index=True)
    after = pd.Series(place(more, case), index=more["_key"])
    assert after[before.index].tolist() == before.tolist()
    assert after[later["_key"]].tolist() == before[MATURED["_key"].iloc[::3]].tolist()


def test_at_random_places_are_even():
    reached = place(book(5000), usecase())
    counts = np.histogram(reached, bins=10, range=(0, 1))[0]
    assert counts.min() > 420
    assert counts.max() < 580


def test_features_that_hardly_tell_records_apart_make_no_copies():
    features = {"state": {"type": "category"}}
    parts = split(MATURED, usecase(features=features, split={"by": "random"}))
    assert len(parts.test) == pytest.approx(0.2 * len(MATURED), rel=0.15)


@pytest.mark.parametrize("n_times", [3, 30])
def test_at_random_near_copies_and_instalments_never_stand_on_both_sides_however_many(n_times):
    few = MATURED[:300]
    wiggle = np.random.default_rng(1).normal(1, 1e-9, (n_times, len(few)))
    again = [few.assign(_key=few["_key"] + f"-{k}", amount=few["amount"] * wiggle[k]) for k in range(n_times)]
    reached = place(pd.concat(again, ignore_index=True), usecase(split={"by": "random"})).reshape(n_times, -1)
    torn = (reached != reached[0]).any(axis=0).sum()
    assert torn <= 3  # some lie where the fourth digit turns


def test_at_random_so_few_cases_that_none_is_tested_on_are_refused():
    few = MATURED.iloc[np.arange(600) % 12].assign(_key=np.arange(600).astype(str))
    few["_label"] = (np.arange(600) % 2).astype(float)
    case = next(
        case
        for case in (usecase(split={"by": "random"}, seed=seed) for seed in range(200))
        if (place(few, case) >= case.split.test_share).all()
    )
    with pytest.raises(DataError, match="600 matured records so few differ that none is left to test on"):
        split(few, case)


def test_one_number_that_is_fine_in_full_and_coarse_in_four_digits_still_makes_no_copies_apart():
    case = usecase(split={"by": "random"}, features={"amount": {"type": "number"}}, protected=[], gate={})
    random = np.random.default_rng(1)
    n = 4000
    fine = MATURED.iloc[np.arange(n) % len(MATURED)].assign(
        amount=10_000 + random.permutation(n) / n, _label=random.integers(0, 2, n), _key=np.arange(n).astype(str)
    )
    twins = pd.concat([fine, fine.assign(_key=fine["_key"] + "b")], ignore_index=True)
    reached = place(twins, case)
    assert reached[:n].tolist() == reached[n:].tolist()
    assert len(np.unique(reached)) == n


CLASSES = usecase(task="multiclass", label={"name": "segment", "column": "s", "classes": ["A", "B", "C"]})


@pytest.mark.parametrize(
    ("label", "said"),
    [([0, 1], "none of class C: 3 classes are declared"), ([1], "none of class A, C"), ([0, 1, 2], "only 3 of C")],
    ids=["one absent", "two absent", "too few of one"],
)
def test_classes_that_are_absent_or_too_few_are_named(label, said):
    classes = np.resize([value for value in label if value < 2], len(MATURED)).astype(float)
    if 2 in label:
        classes[:3] = 2.0
    with pytest.raises(DataError, match=said):
        matured_at(MATURED.assign(_label=classes), CLASSES, AS_OF)


def test_matured_records_keep_their_class():
    classes = np.resize([0.0, 1.0, 2.0], len(MATURED))
    seen = matured_at(MATURED.assign(_label=classes).sample(frac=1, random_state=1), CLASSES, AS_OF)
    assert seen["_label"].tolist() == classes.tolist()
    assert list(seen.columns) == list(MATURED.columns)


def test_a_later_version_of_a_record_moves_neither_it_nor_its_like():
    case = usecase(split={"by": "random"})
    twins = pd.concat([MATURED, MATURED.assign(_key=MATURED["_key"] + "b")], ignore_index=True)
    twins["_first_arrived_at"] = twins["_arrived_at"]
    updated = twins.copy()
    updated.loc[: len(MATURED) // 2, "_arrived_at"] += pd.Timedelta(days=900)
    assert place(updated, case).tolist() == place(twins, case).tolist()
