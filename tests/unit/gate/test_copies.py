import numpy as np

from refit.gate.copies import exact, near
from tests.unit.gate.made import features, outcomes

N = 1000


def test_copies_that_were_left_out_are_told_and_refuse_nothing():
    label, random = outcomes(N, 1)
    check = exact(features({"x": random.normal(size=N)}, label, days=np.arange(N)), 4609, 4609)
    assert (check.outcome, check.seen) == ("pass", 4609)
    assert "4,609 pairs" in check.why
    assert "training went on over distinct records" in check.why


def test_copies_without_a_date_stay_together_and_are_told():
    label, random = outcomes(N, 1)
    check = exact(features({"x": random.normal(size=N)}, label), 12, 0)
    assert check.outcome == "pass"
    assert "same side of the split" in check.why


def test_a_copy_across_the_split_is_refused():
    label, random = outcomes(N, 1)
    twice = np.tile(random.normal(size=N // 2), 2)
    day = np.tile(np.arange(N // 2), 2)
    check = exact(features({"x": twice}, np.tile(label[: N // 2], 2), days=day), 0, 0)
    assert (check.outcome, check.seen) == ("fail", N // 2)


def test_a_missing_value_is_the_same_as_another():
    label = np.tile([0.0, 1.0], N // 2)
    day = np.tile(np.arange(2), N // 2)
    assert exact(features({"x": np.full(N, np.nan)}, label, days=day), 0, 0).outcome == "fail"


def memory(share, *, by_heart):
    """Return features of whose test a share are near twins, and what a model says that knows those by heart or not."""
    label, random = outcomes(N, 1, rate=0.4)
    columns = {name: random.normal(size=N) + 3 for name in "abc"}
    twin = np.arange(N) >= N - int(share * N / 2)
    for values in columns.values():
        values[twin] = np.round(values[: twin.sum()], 2) * (1 + 1e-6)
        values[: twin.sum()] = np.round(values[: twin.sum()], 2)
    found = features(columns, label)
    knows = np.where(twin & by_heart, 5.0, 1.0)
    return near(found, random.normal(knows * label, 1)[found.test])


def test_near_twins_that_a_model_knows_by_heart_are_refused():
    check = memory(0.7, by_heart=True)
    assert check.outcome == "fail"
    assert "350 of 500 test records" in check.why


def test_near_twins_it_knows_no_better_than_the_rest_pass():
    assert memory(0.7, by_heart=False).outcome == "pass"


def test_where_all_are_twins_nothing_can_be_told():
    assert memory(1.0, by_heart=True).outcome == "not applicable"


def test_without_twins_there_is_nothing_to_fear():
    check = memory(0.0, by_heart=False)
    assert (check.outcome, check.seen) == ("pass", 0)
