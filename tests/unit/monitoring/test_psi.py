import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refit.monitoring.profile import number_profile, profile
from refit.monitoring.psi import Drift, drift, psi
from refit.usecase.model import UseCase

COUNTS = hnp.arrays(np.int64, 11, elements=st.integers(0, 10_000))


def of(result: Drift, name: str):
    return next(column for column in result.columns if column.column == name)


@given(COUNTS)
def test_psi_of_a_distribution_with_itself_is_zero(counts):
    assume(counts.sum() > 0)

    assert psi(counts, counts) == 0


@given(COUNTS, COUNTS)
def test_psi_is_never_negative_and_the_same_both_ways(one, other):
    assume(one.sum() > 0)
    assume(other.sum() > 0)

    assert psi(one, other) >= 0
    assert psi(one, other) == pytest.approx(psi(other, one))


@given(COUNTS, st.integers(2, 50))
def test_psi_looks_at_shares_not_at_sizes(counts, times):
    assume(counts.sum() > 0)

    assert psi(counts, counts * times) == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 99), st.integers(0, 99))
def test_the_more_values_go_missing_the_higher_the_psi(less, more):
    assume(less <= more)

    assert psi([100, 0], [100 - less, less]) <= psi([100, 0], [100 - more, more])


def test_an_empty_bin_counts_as_the_floor():
    assert psi([1.0, 0.0], [0.5, 0.5]) == pytest.approx(0.5 * np.log(2) + (0.5 - 1e-4) * np.log(0.5 / 1e-4))


def test_psi_of_nothing_is_undefined():
    assert np.isnan(psi([0, 0], [1, 2]))


def test_bins_that_differ_are_refused():
    with pytest.raises(ValueError, match="the same bins"):
        psi([1, 2], [1, 2, 3])


def test_a_frame_has_not_drifted_from_itself(usecase, make_loans):
    frame = make_loans(1000)

    found = drift(profile(frame, usecase), frame, usecase)

    assert {column.psi for column in found.columns} == {0.0}
    assert {column.status for column in found.columns} == {"stable"}


def test_order_of_records_does_not_matter(usecase, make_loans):
    reference, current = profile(make_loans(1000), usecase), make_loans(700, seed=1)

    shuffled = current.sample(frac=1, random_state=3)

    assert drift(reference, shuffled, usecase) == drift(reference, current, usecase)


def test_every_column_of_the_contract_appears_exactly_once_in_its_order(usecase, make_loans):
    frame = make_loans(1000)

    found = drift(profile(frame, usecase), frame[["amount"]], usecase, importance={"amount": 0.7})

    assert [column.column for column in found.columns] == ["amount", "share", "region", "purpose", "price", "sex"]
    assert [column.importance for column in found.columns] == [0.7, None, None, None, None, None]
    assert {column.status for column in found.columns[1:]} == {"not checked"}
    assert {column.why for column in found.columns[1:]} == {"the current records have no such column"}
    assert {column.missing_current for column in found.columns[1:]} == {1.0}


def test_drift_survives_its_json(usecase, make_loans):
    frame = make_loans(1000)
    frame["_score"] = 0.5
    found = drift(profile(frame, usecase, frame["_score"].to_numpy()), frame, usecase, score=np.full(1000, 0.9))

    assert Drift.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


@pytest.mark.parametrize(
    ("factor", "status"), [(1.0, "stable"), (1.4, "warn"), (2.5, "act")], ids=["the same", "a third more", "far more"]
)
def test_numbers_that_move_are_told(usecase, make_loans, factor, status):
    current = make_loans(5000, seed=1)
    current["amount"] *= factor

    found = of(drift(profile(make_loans(5000), usecase), current, usecase), "amount")

    assert found.status == status
    assert found.psi == pytest.approx(float(found.why.split()[1].rstrip(",")), abs=1e-3)


def test_one_huge_outlier_does_not_hide_a_shift(usecase, make_loans):
    current = make_loans(5000, seed=1)
    current["amount"] *= 2.5
    plain = of(drift(profile(make_loans(5000), usecase), current, usecase), "amount").psi
    current.loc[0, "amount"] = 5e15

    assert of(drift(profile(make_loans(5000), usecase), current, usecase), "amount").psi == pytest.approx(
        plain, abs=0.01
    )


def test_the_reason_names_what_moved_most(usecase, make_loans):
    current = make_loans(1000, seed=1)
    current["region"] = current["region"].where(current["region"] != "south", "west")

    found = of(drift(profile(make_loans(1000), usecase), current, usecase), "region")

    assert found.status == "act"
    assert "most of it from 'south': 30.7% before, 0.0% now" in found.why


@pytest.mark.parametrize(("before", "now", "verb"), [(0.0, 0.06, "rose"), (0.06, 0.0, "fell")])
def test_a_missing_share_that_moves_acts_either_way(usecase, make_loans, before, now, verb):
    reference, current = make_loans(1000), make_loans(1000, seed=1)
    reference.loc[: 1000 * before - 1, "price"] = np.nan
    current.loc[: 1000 * now - 1, "price"] = np.nan

    found = of(drift(profile(reference, usecase), current, usecase), "price")

    assert found.status == "act"
    assert f"missing values {verb} from {before:.1%} to {now:.1%} of records" in found.why


def test_a_missing_share_that_moves_a_little_does_not_act(usecase, make_loans):
    current = make_loans(1000, seed=1)
    current.loc[:14, "price"] = np.nan

    found = of(drift(profile(make_loans(1000), usecase), current, usecase), "price")

    assert found.missing_current == 0.015
    assert found.status == "stable"


def test_new_values_are_told_and_act(usecase, make_loans):
    current = make_loans(1000, seed=1)
    current["region"] = current["region"].cat.rename_categories({"west": "West"})

    found = of(drift(profile(make_loans(1000), usecase), current, usecase), "region")

    assert found.unseen_share == pytest.approx(0.2, abs=0.03)
    assert found.unseen_expected == 0
    assert found.status == "act"


def test_the_share_of_new_values_is_of_the_values_present(usecase, make_loans):
    current = make_loans(1000)
    current["region"] = pd.Categorical(["elsewhere", None, None, None] * 250)

    found = of(drift(profile(make_loans(1000), usecase), current, usecase), "region")

    assert (found.unseen_share, found.missing_current) == (1.0, 0.75)


def test_rare_values_are_not_drift_by_chance(usecase):
    rng = np.random.default_rng(5)
    banks = np.array([f"bank {i}" for i in range(3000)])
    shares = 1 / np.arange(1, 3001)
    shares /= shares.sum()

    def books(n: int) -> pd.DataFrame:
        return pd.DataFrame({"region": pd.Categorical(rng.choice(banks, n, p=shares))})

    for n_reference, n_current in ((2000, 500), (2000, 20_000), (20_000, 500), (20_000, 20_000)):
        found = of(drift(profile(books(n_reference), usecase), books(n_current), usecase), "region")
        assert found.status == "stable", (n_reference, n_current, found.why)


def test_many_even_values_are_not_drift_by_chance(usecase):
    rng = np.random.default_rng(6)
    values = np.array([f"v{i}" for i in range(150)])
    frames = [pd.DataFrame({"region": pd.Categorical(rng.choice(values, 500))}) for _ in range(2)]

    assert of(drift(profile(frames[0], usecase), frames[1], usecase), "region").status == "stable"


def test_drift_in_records_that_are_too_few_is_not_checked(usecase, make_loans):
    found = drift(profile(make_loans(1000), usecase), make_loans(99, seed=1), usecase)

    assert {column.why for column in found.columns} == {"99 current records; 100 are needed to tell drift from chance"}
    assert of(found, "region").unseen_share == 0
    assert of(found, "amount").missing_current is not None


def test_drift_from_a_reference_that_is_too_small_is_not_checked(usecase, make_loans):
    found = drift(profile(make_loans(99), usecase), make_loans(1000, seed=1), usecase)

    assert {column.status for column in found.columns} == {"not checked"}
    assert "99 reference records" in of(found, "amount").why


def test_nothing_current_is_not_checked(usecase, make_loans):
    found = drift(profile(make_loans(1000), usecase), make_loans(0), usecase, score=np.array([]))

    assert {column.status for column in found.columns} == {"not checked"}
    assert {column.missing_current for column in found.columns} == {None}


@pytest.mark.parametrize("column", ["amount", "region"])
def test_a_column_all_missing_on_a_side_is_not_checked_and_says_which(usecase, make_loans, column):
    full, empty = make_loans(1000), make_loans(1000)
    empty[column] = empty[column].mask(np.ones(1000, dtype=bool))

    before = of(drift(profile(empty, usecase), full, usecase), column)
    now = of(drift(profile(full, usecase), empty, usecase), column)

    assert (before.status, before.why) == ("not checked", "every value is missing in the reference")
    assert now.status == "not checked"
    assert now.why.startswith("every value is missing now; ")
    assert now.missing_current == 1


def test_a_column_without_reference_is_not_checked(usecase, make_loans):
    found = of(drift(profile(make_loans(1000).drop(columns="region"), usecase), make_loans(1000), usecase), "region")

    assert (found.status, found.why) == ("not checked", "the reference has no such column")


def test_a_column_that_changed_its_kind_is_not_checked(usecase, make_loans):
    declared = usecase.model_dump(by_alias=True)
    declared["features"]["purpose"] = {"type": "number"}
    frame = make_loans(1000)
    frame["purpose"] = 1.0

    found = of(drift(profile(make_loans(1000), usecase), frame, UseCase.model_validate(declared)), "purpose")

    assert (found.status, found.why) == ("not checked", "a number by contract, but not in the reference")


def test_a_column_of_the_wrong_type_is_not_checked(usecase, make_loans):
    frame = make_loans(1000)
    frame["amount"] = frame["amount"].astype(str)

    found = of(drift(profile(make_loans(1000), usecase), frame, usecase), "amount")

    assert (found.status, found.why) == ("not checked", "a number by contract, but held as str")


def test_the_score_is_checked_like_a_column(usecase, make_loans):
    frame = make_loans(1000)
    reference = profile(frame, usecase, np.linspace(0, 0.2, 1000))

    same = drift(reference, frame, usecase, score=np.linspace(0, 0.2, 1000)).score
    worse = drift(reference, frame, usecase, score=np.linspace(0.1, 0.3, 1000)).score

    assert same is not None
    assert (same.role, same.status, same.psi) == ("score", "stable", 0)
    assert worse is not None
    assert worse.status == "act"


def test_without_a_score_there_is_none_and_without_its_reference_it_is_not_checked(usecase, make_loans):
    frame = make_loans(1000)
    reference = profile(frame, usecase)

    scored = drift(reference, frame, usecase, score=np.zeros(1000)).score

    assert drift(reference, frame, usecase).score is None
    assert scored is not None
    assert scored.status == "not checked"


def test_the_reference_score_may_be_of_fewer_records_than_the_columns(usecase, make_loans):
    frame = make_loans(1000)
    reference = profile(frame, usecase, np.linspace(0, 0.2, 200))

    found = drift(reference, frame, usecase, score=np.append(np.linspace(0, 0.2, 950), [np.nan] * 50)).score

    assert found is not None
    assert (found.missing_reference, found.missing_current) == (0, 0.05)
    assert found.status == "act"
    assert "missing values rose from 0.0% to 5.0% of records" in found.why


def test_a_score_of_other_records_is_refused(usecase, make_loans):
    frame = make_loans(1000)

    with pytest.raises(ValueError, match="one score a record"):
        drift(profile(frame, usecase), frame, usecase, score=np.zeros(999))


def test_nothing_new_is_not_drift_in_many_tries(usecase):
    rng = np.random.default_rng(7)
    reference = number_profile(rng.normal(size=100_000))

    seen = [psi(reference.binned(), reference.binned_current(rng.normal(size=500))) for _ in range(200)]

    assert max(seen) < usecase.drift.warn
