import json
import math

import numpy as np
import pytest

from refit.gate.intervals import gain_interval, ranks_alike
from refit.gate.judge import judge
from tests.unit.training.book import usecase


def drawn(n=3000, seed=4):
    """Return outcomes, their true probabilities, and those of a model that knows less."""
    random = np.random.default_rng(seed)
    truth = random.beta(1, 4, n)
    label = (random.random(n) < truth).astype(float)
    vague = 1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + random.normal(0, 1.5, n))))
    return label, truth, np.clip(vague * truth.mean() / vague.mean(), 0, 1)


LABEL, TRUTH, VAGUE = drawn()


def verdict(challenger, champion=None, *, label=LABEL, objective=None, **gate):
    settings = {"floor": {"roc_auc": 0.6}, "min_gain": 0.0, "calibration_error_max": 0.05} | gate
    case = usecase(gate=settings, objective=objective or {"metric": "roc_auc"})
    return judge(case, label, challenger, champion, threshold=0.3, seed=20)


def outcomes(seen):
    return {check.name: check.outcome for check in seen.checks}


def named(seen, name):
    return next(check for check in seen.checks if check.name == name)


def test_a_first_good_model_is_promoted_with_no_gain_to_show():
    seen = verdict(TRUTH)
    assert seen.outcome == "promote"
    assert outcomes(seen) == {
        "enough records": "pass",
        "no signal": "pass",
        "floor: roc_auc": "pass",
        "gain": "not applicable",
        "calibration": "pass",
    }


@pytest.mark.parametrize(
    ("challenger", "champion", "outcome"),
    [(TRUTH, VAGUE, "promote"), (VAGUE, TRUTH, "refuse"), (TRUTH, TRUTH, "refuse")],
    ids=["better", "worse", "a tie keeps the champion"],
)
def test_only_a_clear_gain_replaces_the_champion(challenger, champion, outcome):
    assert verdict(challenger, champion).outcome == outcome


def test_a_gain_that_can_be_chance_keeps_the_champion():
    nudged = np.clip(TRUTH + np.random.default_rng(1).normal(0, 0.005, len(TRUTH)), 0, 1)
    check = named(verdict(nudged, TRUTH), "gain")
    assert check.outcome == "fail"
    assert "a tie keeps the champion" in check.why


def test_the_low_end_of_the_gain_must_exceed_what_is_asked():
    gain = gain_interval("roc_auc", LABEL, TRUTH, VAGUE, seed=20)
    assert named(verdict(TRUTH, VAGUE, min_gain=gain.low - 1e-6), "gain").outcome == "pass"
    assert named(verdict(TRUTH, VAGUE, min_gain=gain.low + 1e-6), "gain").outcome == "fail"


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_where_lower_is_better_a_gain_is_a_fall(metric):
    check = named(verdict(TRUTH, VAGUE, objective={"metric": metric}), "gain")
    assert check.outcome == "pass"
    assert check.seen > 0
    assert gain_interval(metric, LABEL, VAGUE, TRUTH, seed=20).high < 0


def test_models_that_rank_alike_are_compared_by_log_loss():
    too_high = TRUTH**0.5
    better = named(verdict(TRUTH, too_high), "gain")
    assert (better.outcome, "log_loss" in better.why) == ("pass", True)
    assert named(verdict(too_high, TRUTH), "gain").outcome == "fail"


def test_a_metric_of_decisions_takes_each_model_at_its_own_threshold():
    case = usecase(objective={"metric": "accuracy"}, gate={"floor": {}})
    on_another_scale, line = TRUTH**3, 0.3**3
    nudged = np.clip(TRUTH + np.random.default_rng(1).normal(0, 0.001, len(TRUTH)), 0, 1)
    own = named(judge(case, LABEL, nudged, on_another_scale, 0.3, 20, champion_threshold=line), "gain")
    assert own.outcome == "fail"
    assert abs(own.seen) < 0.01
    assert named(judge(case, LABEL, nudged, on_another_scale, 0.3, 20, champion_threshold=0.3), "gain").seen != own.seen


def test_a_champion_without_a_threshold_of_its_own_is_taken_at_the_challengers():
    taken = gain_interval("accuracy", LABEL, TRUTH, VAGUE, 0.3, seed=1)
    assert taken == gain_interval("accuracy", LABEL, TRUTH, VAGUE, 0.3, seed=1, champion_threshold=0.3)
    assert taken != gain_interval("accuracy", LABEL, TRUTH, VAGUE, 0.3, seed=1, champion_threshold=0.2)


def test_pairing_makes_the_interval_narrow():
    nudged = np.clip(TRUTH + np.random.default_rng(1).normal(0, 0.01, len(TRUTH)), 0, 1)
    gain = gain_interval("roc_auc", LABEL, nudged, TRUTH, seed=1)
    assert gain.high - gain.low < 0.01


def test_noise_is_refused_in_plain_words():
    seen = verdict(np.random.default_rng(3).uniform(0.1, 0.3, len(LABEL)), floor={})
    check = named(seen, "no signal")
    assert check.outcome == "fail"
    assert "cannot be told from one that guesses" in check.why
    assert seen.outcome == "refuse"


@pytest.mark.parametrize(
    ("floor", "name", "outcome"),
    [
        ({"roc_auc": 0.99}, "floor: roc_auc", "fail"),
        ({"log_loss": 0.9}, "floor: log_loss", "pass"),
        ({"log_loss": 0.01}, "floor: log_loss", "fail"),
        ({"accuracy": 0.5}, "floor: accuracy", "pass"),
    ],
    ids=["below", "lower is better: within", "lower is better: above", "a metric of decisions"],
)
def test_each_floor_is_a_check(floor, name, outcome):
    check = named(verdict(TRUTH, floor=floor), name)
    assert check.outcome == outcome
    assert check.allowed.startswith("at most" if "log_loss" in floor else "at least")


def test_too_few_records_are_refused_with_their_number():
    seen = verdict(TRUTH[:150], label=LABEL[:150], min_test_records=200)
    check = named(seen, "enough records")
    assert (check.outcome, check.seen, seen.outcome) == ("fail", 150, "refuse")
    assert "200 are needed" in check.why


@pytest.mark.parametrize("label", [np.zeros(300), np.ones(300), np.empty(0)], ids=["all good", "all bad", "none"])
def test_what_is_undefined_fails_with_words_and_no_number(label):
    p = np.full(len(label), 0.2)
    seen = verdict(p, p, label=label)
    assert seen.outcome == "refuse"
    assert named(seen, "no signal").seen is None
    assert "undefined" in named(seen, "floor: roc_auc").why
    assert all(check.seen is None or math.isfinite(check.seen) for check in seen.checks)
    json.dumps(seen.to_json(), allow_nan=False)


def test_probabilities_that_say_too_much_are_refused():
    seen = verdict(np.clip(TRUTH * 1.5, 0, 1))
    check = named(seen, "calibration")
    assert check.outcome == "fail"
    assert "expected" in check.why
    assert outcomes(seen)["floor: roc_auc"] == "pass"


def test_the_same_seed_gives_the_same_verdict():
    assert verdict(TRUTH, VAGUE) == verdict(TRUTH, VAGUE)


def test_a_verdict_in_json_holds_every_check():
    content = json.loads(json.dumps(verdict(TRUTH, VAGUE).to_json()))
    assert content["outcome"] == "promote"
    assert [check["name"] for check in content["checks"]][:2] == ["enough records", "no signal"]
    assert set(content["checks"][0]) == {"name", "outcome", "seen", "allowed", "why"}


def test_chance_alone_seldom_promotes():
    promoted = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        label, first, second = (random.random(400) < 0.3).astype(float), random.random(400), random.random(400)
        promoted += gain_interval("roc_auc", label, first, second, seed=seed, draws=200).low > 0
    assert promoted <= 4


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [([0.1, 0.5, 0.3], [0.2, 0.9, 0.4], True), ([0.1, 0.5], [0.5, 0.1], False), ([0.1, 0.1], [0.2, 0.3], True)],
    ids=["same order", "turned round", "a tie on one side"],
)
def test_two_models_rank_alike_where_none_puts_two_records_the_other_way_round(first, second, alike):
    assert ranks_alike(np.array(first), np.array(second)) is alike
