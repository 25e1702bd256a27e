import numpy as np
import pandas as pd
import pytest

from refit.gate.groups import impact, segments
from tests.unit.training.book import usecase

N = 2000


def told(strength, label, seed):
    random = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-random.normal(strength * label, 1)))


@pytest.fixture
def case():
    return usecase(gate={"segments": ["state"]}, protected=["sex"])


@pytest.fixture
def label():
    return (np.random.default_rng(1).random(N) < 0.3).astype(float)


@pytest.fixture
def test():
    return pd.DataFrame({"state": pd.Categorical(np.tile(["CA", "NY", "TX", "VT"], N // 4))})


def test_a_model_that_holds_up_everywhere_passes_and_the_worst_segment_is_named(case, label, test):
    check = segments(case, test, label, told(1.5, label, 2), None)
    assert check.outcome == "pass"
    assert "the worst is state" in check.why


def test_a_segment_where_the_model_knows_nothing_fails_by_name(case, label, test):
    weak = np.where(test["state"] == "NY", told(0, label, 3), told(1.8, label, 2))
    check = segments(case, test, label, weak, None)
    assert check.outcome == "fail"
    assert "Too weak in state NY" in check.why


def test_a_segment_where_the_champion_is_clearly_better_fails(case, label, test):
    champion = told(2.5, label, 2)
    weaker = np.where(test["state"] == "TX", told(1.4, label, 3), champion)
    loose = usecase(gate={"segments": ["state"], "segment_drop_max": 0.9})
    check = segments(loose, test, label, weaker, champion)
    assert check.outcome == "fail"
    assert "state TX" in check.why
    assert segments(loose, test, label, champion, weaker).outcome == "pass"
    assert case.gate.segments


def test_a_weak_segment_of_few_records_is_no_evidence(case, label, test):
    rare = test.assign(state=np.where(np.arange(N) < 60, "RI", "CA"))
    weak = np.where(rare["state"] == "RI", 1 - told(1.8, label, 2), told(1.8, label, 2))
    assert segments(case, rare, label, weak, None).outcome == "pass"


def test_the_records_without_a_value_are_a_segment_too(case, label, test):
    gaps = test.assign(state=test["state"].where(test["state"] != "NY"))
    weak = np.where(gaps["state"].isna(), told(0, label, 3), told(1.8, label, 2))
    check = segments(case, gaps, label, weak, None)
    assert check.outcome == "fail"
    assert "Too weak in state (missing)" in check.why
    assert segments(case, gaps, label, told(1.5, label, 2), None).outcome == "pass"


def test_chance_alone_seldom_fails_a_segment(case):
    failed = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        label = (random.random(600) < 0.3).astype(float)
        frame = pd.DataFrame({"state": random.choice(list("ABCDEF"), 600)})
        tight = usecase(gate={"segments": ["state"], "segment_drop_max": 0.01})
        failed += segments(tight, frame, label, told(1.2, label, seed), None).outcome == "fail"
    assert failed <= 3
    assert case.gate.segment_drop_max == 0.10


def test_without_segments_there_is_nothing_to_ask(label, test):
    assert segments(usecase(), test, label, label, None).outcome == "not applicable"


def approvals(column, **groups):
    """Return a frame of groups and P(bad) by which so many of so many in each are approved."""
    frame = pd.DataFrame({column: np.repeat(list(groups), [n for _, n in groups.values()])})
    declined = np.concatenate([np.arange(n) >= approved for approved, n in groups.values()])
    return frame, declined.astype(float)


@pytest.mark.parametrize(
    ("f", "m", "outcome"),
    [
        ((234, 300), (240, 300), "pass"),
        ((120, 300), (240, 300), "fail"),
        ((77, 120), (432, 480), "fail"),
        ((85, 100), (8_600, 10_000), "pass"),
        ((8_200, 10_000), (9_900, 10_000), "pass"),
        ((24, 300), (36, 300), "pass"),
    ],
    ids=[
        "alike",
        "half as often",
        "below, and 0.8 within the interval",
        "alike beside a large group",
        "surely apart, but not below",
        "below by chance",
    ],
)
def test_a_group_approved_far_less_often_than_the_best_fails(case, f, m, outcome):
    [check] = impact(case, *approvals("sex", f=f, m=m), 0.5)
    assert check.outcome == outcome
    assert check.name == "adverse impact: sex"
    assert "A screen" in check.allowed
    assert ("chance explains it" in check.why) is (f == (24, 300))


def test_of_many_groups_alike_chance_alone_seldom_fails_one(case):
    failed = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        frame = pd.DataFrame({"sex": np.repeat(list("abcdefghijklmnopqrst"), 100)})
        [check] = impact(case, frame, (random.random(len(frame)) > 0.3).astype(float), 0.5)
        assert check.seen < 0.8
        assert "190 pairs of groups" in check.why
        failed += check.outcome == "fail"
    assert failed <= 3


def test_a_column_of_many_values_is_looked_at_once(case, monkeypatch):
    random = np.random.default_rng(1)
    values = np.where(np.arange(6000) < 3000, random.choice(["a", "b"], 6000), [f"z{row}" for row in range(6000)])
    compared = []
    equal = pd.Series.__eq__
    monkeypatch.setattr(pd.Series, "__eq__", lambda *args: compared.append(1) or equal(*args))
    [check] = impact(case, pd.DataFrame({"sex": values}), random.random(6000), 0.5)
    assert check.outcome == "pass"
    assert len(compared) < 10


def test_records_without_a_value_are_no_group(case):
    frame, declined = approvals("sex", f=(150, 300), m=(150, 300), none=(300, 300))
    [check] = impact(case, frame.replace({"sex": {"none": None}}), declined, 0.5)
    assert (check.outcome, check.seen) == ("pass", 1)


def test_a_group_of_fewer_than_100_records_is_not_compared(case):
    sex = np.repeat(["f", "m"], [99, 300])
    [check] = impact(case, pd.DataFrame({"sex": sex}), (sex == "f").astype(float), 0.5)
    assert check.outcome == "not applicable"


def test_a_group_nobody_of_which_is_approved_fails(case):
    sex = np.repeat(["f", "m"], 300)
    [check] = impact(case, pd.DataFrame({"sex": sex}), (sex == "f").astype(float), 0.5)
    assert (check.outcome, check.seen) == ("fail", 0)


def test_a_verdict_never_speaks_of_compliance(case):
    sex = np.repeat(["f", "m"], 300)
    [check] = impact(case, pd.DataFrame({"sex": sex}), (sex == "f").astype(float), 0.5)
    assert "complian" not in (check.why + check.allowed).lower()
