from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from db.simulator import LOST, NEW_REGION, simulate
from refit.errors import ContractError
from refit.usecase.catalogue import find

AS_OF = datetime(2026, 3, 17, 12, tzinfo=UTC)
LATER = AS_OF + timedelta(days=40)
AT_APPLICATION = [
    "applied_at",
    "income",
    "amount",
    "term_months",
    "debt_to_income",
    "employment_years",
    "credit_score",
    "home_ownership",
    "purpose",
    "region",
    "age_group",
]


@pytest.fixture(scope="module")
def book() -> pd.DataFrame:
    return simulate(AS_OF)


def test_the_same_seed_gives_the_same_book(book):
    pd.testing.assert_frame_equal(simulate(AS_OF), book)


def test_another_seed_gives_another_book(book):
    assert not simulate(AS_OF, seed=21)["income"].equals(book["income"])


def test_a_later_day_shows_the_same_loans_and_newer_ones(book):
    later = simulate(LATER, months=25).set_index("loan_id")
    before = book.set_index("loan_id")
    pd.testing.assert_frame_equal(later.loc[before.index, AT_APPLICATION], before[AT_APPLICATION])
    newer = later.drop(before.index)
    assert len(newer) > 1500
    assert (newer["applied_at"] > AS_OF).all()


def test_a_row_changes_exactly_when_its_last_change_says_so(book):
    before = book.set_index("loan_id")
    later = simulate(LATER, months=25).set_index("loan_id").loc[before.index]
    changed = later["updated_at"] != before["updated_at"]
    assert 0 < changed.sum() < len(before) / 10
    assert (later.loc[changed, "updated_at"] > AS_OF).all()
    assert (later.loc[~changed, "status"] == before.loc[~changed, "status"]).all()
    assert (before.loc[changed, "status"] == "current").all()


def test_nothing_in_the_book_is_later_than_the_day(book):
    moments = book[["applied_at", "updated_at", "defaulted_on"]]
    assert (moments.max() <= AS_OF).all()


def test_a_default_is_booked_days_after_it_happened_and_months_after_the_application(book):
    bad = book[book["status"] == "defaulted"]
    assert bad["defaulted_on"].notna().all()
    booked_after = bad["updated_at"] - bad["defaulted_on"]
    assert booked_after.min() >= timedelta(days=1)
    assert booked_after.max() <= timedelta(days=6)
    months = (bad["defaulted_on"] - bad["applied_at"]).dt.days / 30.44
    assert months.min() > 0.6
    assert (months <= 12).mean() > 0.9


def test_a_loan_without_outcome_keeps_the_moment_of_its_application(book):
    current = book[book["status"] == "current"]
    assert (current["updated_at"] == current["applied_at"]).all()
    assert (current["paid_total"] == 0).all()
    assert current["defaulted_on"].isna().all()


def test_a_loan_is_repaid_once_its_term_is_over(book):
    repaid = book[book["status"] == "repaid"]
    assert len(repaid) > 100
    assert ((repaid["updated_at"] - repaid["applied_at"]).dt.days / 30.44 >= repaid["term_months"] - 0.1).all()
    assert (repaid["paid_total"] > repaid["amount"]).all()


def test_fields_are_missing_as_often_as_the_book_says(book):
    for name in ("income", "employment_years", "credit_score"):
        assert book[name].isna().mean() == pytest.approx(LOST[name], abs=0.006)
    assert book[["loan_id", "amount", "region", "purpose", "age_group"]].notna().all().all()


def test_the_score_tells_good_from_bad_without_giving_the_outcome_away(book):
    old = book[book["applied_at"] < AS_OF - timedelta(days=370)]
    bad = (old["status"] == "defaulted").groupby(pd.qcut(old["credit_score"], 4)).mean()
    assert bad.is_monotonic_decreasing
    assert bad.iloc[0] > 2 * bad.iloc[-1] > 0


def test_the_drift_switch_changes_later_applications_only(book):
    day = date(2026, 2, 1)
    drifted = simulate(AS_OF, drift=True, drift_from=day)
    after = (book["applied_at"] >= pd.Timestamp(day, tz="UTC")).to_numpy()
    pd.testing.assert_frame_equal(drifted[~after], book[~after])
    assert drifted.loc[after, "income"].median() < 0.8 * book.loc[after, "income"].median()
    assert (drifted.loc[after, "region"] == NEW_REGION).mean() == pytest.approx(0.3, abs=0.04)
    assert drifted.loc[after, "employment_years"].isna().mean() == pytest.approx(0.4, abs=0.04)
    assert (drifted["loan_id"] == book["loan_id"]).all()


def test_drift_without_a_day_begins_a_month_before_the_end():
    drifted = simulate(AS_OF, drift=True)
    first = drifted.loc[drifted["region"] == NEW_REGION, "applied_at"].min()
    assert timedelta(days=29) < AS_OF - first < timedelta(days=31)


@pytest.mark.parametrize("per_month", [1, 10, 4000], ids=["one a month", "a village", "a bank"])
def test_the_size_switch_sets_how_many_apply_in_a_month(per_month):
    book = simulate(AS_OF, months=2, per_month=per_month)
    by_month = book["applied_at"].dt.strftime("%Y-%m").value_counts()
    assert by_month["2026-01"] == by_month["2026-02"] == per_month
    assert book["loan_id"].is_unique
    assert book["applied_at"].is_monotonic_increasing


@pytest.mark.slow
def test_a_million_loans_come_in_seconds():
    assert len(simulate(AS_OF, months=5, per_month=200_000)) > 1_000_000


def test_the_zone_of_the_day_does_not_matter():
    elsewhere = AS_OF.astimezone(timezone(timedelta(hours=9)))
    pd.testing.assert_frame_equal(simulate(elsewhere, months=2), simulate(AS_OF, months=2))


@pytest.mark.parametrize(
    ("as_of", "months", "per_month", "why"),
    [
        (datetime(2026, 3, 17), 24, 10, "time zone"),  # noqa: DTZ001 - the missing zone is the case
        (AS_OF, 0, 10, "1 or more"),
        (AS_OF, 24, 0, "1 or more"),
    ],
    ids=["no zone", "no months", "no loans"],
)
def test_a_senseless_book_is_refused(as_of, months, per_month, why):
    with pytest.raises(ContractError, match=why):
        simulate(as_of, months=months, per_month=per_month)


def test_the_book_holds_every_column_that_the_demo_use_case_names(book):
    usecase = find("demo")
    named = {
        usecase.source.key,
        usecase.source.arrived_at,
        usecase.event_time.column,
        *usecase.inputs,
        *usecase.label_columns,
        *usecase.known_later,
        *usecase.protected,
    }
    assert named == set(book.columns)


def test_every_value_is_one_that_the_demo_use_case_allows(book):
    for name, column in find("demo").inputs.items():
        values = book[name].dropna()
        if column.choices is not None:
            assert set(values) <= set(column.choices)
        if column.min is not None:
            assert np.nanmin(values) >= column.min
        if column.max is not None:
            assert np.nanmax(values) <= column.max
