import numpy as np
import pytest

from refit.gate.leaks import lagged, single_feature
from tests.unit.gate.made import features, outcomes
from tests.unit.training.book import usecase

N = 4000


def honest(label, random, strength=0.7):
    return {f"x{k}": random.normal(strength * label, 1) for k in range(4)}


def test_honest_features_pass_and_the_strongest_is_named():
    label, random = outcomes(N, 1)
    columns = honest(label, random) | {"best": random.normal(1.2 * label, 1)}
    check = single_feature(usecase(), features(columns, label))
    assert check.outcome == "pass"
    assert "the strongest feature is best" in check.why


def test_a_feature_that_nearly_decides_is_refused_by_name():
    label, random = outcomes(N, 1)
    paid_back = np.where(label == 1, random.random(N) < 0.1, random.random(N) < 0.95)
    check = single_feature(usecase(), features(honest(label, random) | {"paid_back": paid_back}, label))
    assert check.outcome == "fail"
    assert check.why.startswith("paid_back alone reaches a roc_auc of 0.9")


def zips(label, random):
    """Return codes like those of invented addresses: three of ten say bad, three good, four nothing."""
    told = random.random(len(label)) < 0.4
    sure = np.where(label == 1, random.integers(7, 10, len(label)), random.integers(4, 7, len(label)))
    return np.where(told, sure, random.integers(0, 4, len(label)))


def test_a_feature_below_the_limit_that_knows_more_than_all_others_together_is_refused_too():
    label, random = outcomes(N, 2)
    columns = honest(label, random, 0.3) | {"zip": zips(label, random)}
    check = single_feature(usecase(), features(columns, label))
    assert check.outcome == "fail"
    assert check.seen < usecase().gate.leak_auc_max
    assert "zip alone" in check.why
    assert "all other features together 0." in check.why


def test_the_same_feature_beside_others_that_know_as_much_is_no_leak():
    label, random = outcomes(N, 2)
    columns = honest(label, random, 0.9) | {"zip": zips(label, random)}
    assert single_feature(usecase(), features(columns, label)).outcome == "pass"


def test_a_score_that_ranks_well_and_stands_alone_is_no_leak():
    label, random = outcomes(N, 2)
    columns = honest(label, random, 0.2) | {"credit_score": random.normal(1.2 * label, 1)}
    check = single_feature(usecase(), features(columns, label))
    assert check.seen > 0.75
    assert check.outcome == "pass"


def test_a_feature_that_the_use_case_answers_for_passes():
    label, random = outcomes(N, 1)
    columns = {"x": random.normal(0.9 * label, 1), "strong": random.normal(1.9 * label, 1)}
    assert single_feature(usecase(), features(columns, label)).outcome == "fail"
    answered = usecase(gate={"leak_auc_max": 1.0})
    near = columns | {"also": columns["strong"] + random.normal(0, 0.3, N)}
    assert single_feature(answered, features(near, label)).outcome == "pass"


@pytest.mark.parametrize("leak", [False, True], ids=["honest", "one class given away"])
def test_of_four_classes_one_given_away_is_enough(leak):
    random = np.random.default_rng(3)
    label = random.integers(0, 4, N).astype(float)
    columns = {f"x{k}": random.normal(label == k, 1) for k in range(4)}
    columns["flag"] = (label == 2) if leak else random.random(N) < 0.3
    check = single_feature(usecase(), features(columns, label, n_classes=4))
    assert check.outcome == ("fail" if leak else "pass")


def test_chance_raises_no_alarm():
    for seed in range(20):
        label, random = outcomes(400, seed)
        columns = {f"x{k}": random.normal(size=400) for k in range(6)}
        assert single_feature(usecase(), features(columns, label)).outcome == "pass"


def of_its_time(label, random, days):
    """Return a code whose meaning is drawn anew every hundred days."""
    period = (days // 100).astype(int)
    return np.where(random.random(len(label)) < 0.8, label, random.random(len(label)) < 0.5) + 2 * period


@pytest.mark.parametrize(
    ("split", "outcome"),
    [({"by": "random"}, "fail"), ({"by": "time"}, "pass")],
    ids=["at random its figures count on it", "by time they do not"],
)
def test_a_feature_that_knows_its_own_time_alone_is_a_suspect(split, outcome):
    label, random = outcomes(N, 5)
    days = np.arange(N) / 10
    columns = honest(label, random) | {"batch": of_its_time(label, random, days)}
    check = lagged(usecase(split=split), features(columns, label, days=days))
    assert check.outcome == outcome
    assert "batch (0." in check.why


def test_features_that_keep_their_meaning_are_no_suspects():
    label, random = outcomes(N, 5)
    check = lagged(usecase(), features(honest(label, random, 1.0), label, days=np.arange(N)))
    assert check.outcome == "pass"
    assert "suspect" not in check.why


def test_without_a_date_nothing_can_be_lagged():
    label, random = outcomes(N, 5)
    assert lagged(usecase(), features(honest(label, random), label)).outcome == "not applicable"


def test_records_of_one_day_have_no_older_half():
    label, random = outcomes(N, 5)
    check = lagged(usecase(), features(honest(label, random), label, days=np.zeros(N)))
    assert check.outcome == "not applicable"
    assert "too few" in check.why
