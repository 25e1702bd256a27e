import numpy as np
import pandas as pd
import pytest

from refit.gate.copies import exact, near
from refit.gate.evidence import Evidence
from refit.gate.judge import judge
from refit.gate.signal import no_signal
from refit.scoring.intervals import Interval
from refit.training.train import train
from tests.unit.gate.made import features, outcomes
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

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


def test_equals_that_training_kept_as_chance_makes_them_are_told_and_not_refused():
    label = np.tile([0.0, 1.0], N // 2)
    check = exact(features({"x": np.tile(np.arange(50), N // 50)}, label, days=np.zeros(N)), 475, 0)
    assert (check.outcome, check.seen) == ("pass", 475)
    assert "500 of the test like one learnt from" in check.why


def test_rare_categories_that_the_encoder_puts_together_make_no_copies():
    case = usecase(
        split={"by": "random"},
        features={"state": {"type": "category"}, "amount": {"type": "number"}},
        learners=["logistic_regression"],
    )
    frame = book(3000)
    random = np.random.default_rng(1)
    year = pd.to_datetime(frame["_event_time"].dt.strftime("%Y-01-01"), utc=True)
    rare = pd.Categorical([f"S{value}" for value in random.integers(0, 2500, len(frame))])
    coarse = frame.assign(state=rare, amount=random.integers(1, 4, len(frame)).astype(float), _event_time=year)
    made = train(coarse, case, AS_OF, **MADE_WITH)
    seen = Evidence(made.bundle, made.matured, made.parts.before_test, made.parts.test).features()
    encoded = [tuple(row) for row in np.column_stack([seen.matrix, seen.label, seen.days])]
    learnt = {encoded[row] for row in seen.before}
    assert sum(encoded[row] in learnt for row in seen.test) > 100
    assert exact(seen, 0, 0).outcome == "pass"


def test_a_record_is_a_copy_only_if_its_inputs_protected_columns_and_day_are_those_of_the_other():
    case = usecase(protected=["sex"], learners=["logistic_regression"])
    frame = book(1200).assign(sex="f")
    made = train(frame, case, AS_OF, **MADE_WITH)
    first, last = made.parts.before_test[0], made.parts.test[0]
    matured = made.matured.copy()
    copied = [name for name in matured if name not in ("_key", "_arrived_at")]
    matured.loc[last, copied] = matured.loc[first, copied]

    def outcome(column=None, value=None):
        records = matured.copy()
        if column is not None:
            records.loc[last, column] = value
        return exact(Evidence(made.bundle, records, made.parts.before_test, made.parts.test).features(), 0, 0).outcome

    assert outcome() == "fail"
    assert outcome("sex", "m") == "pass"
    assert outcome("covered", 7.0) == "pass"
    assert outcome("_label", 1 - matured.loc[last, "_label"]) == "pass"
    assert outcome("_event_time", matured.loc[last, "_event_time"] + pd.Timedelta(days=1)) == "pass"


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


def test_where_nearly_all_are_twins_the_row_warns_that_nothing_is_known_of_new_borrowers():
    check = memory(1.0, by_heart=True)
    assert (check.outcome, check.seen) == ("warning", None)
    assert check.why.startswith("nothing is known of new borrowers")
    assert "500 of 500 test records" in check.why


def test_where_too_few_others_remain_but_not_nearly_all_are_twins_nothing_is_told():
    label, random = np.where(np.arange(N) < N - 120, np.tile([0.0, 1.0], N // 2), 0.0), np.random.default_rng(1)
    x = np.concatenate([np.arange(N // 2), np.arange(N // 2 - 120), np.arange(120) + N])
    check = near(features({"x": x}, label), random.random(N // 2))
    assert check.outcome == "not applicable"
    assert "380 of 500 test records" in check.why


def test_few_combinations_of_few_values_give_no_warning():
    label, random = outcomes(N, 1)
    check = near(features({"x": np.arange(N) % 20}, label), random.random(N // 2))
    assert check.outcome == "not applicable"


def panel(n_borrowers, n_each, outcome_of_each):
    """Return borrowers known by two fine numbers, all of them tested again; and whether one outcome is theirs."""
    random = np.random.default_rng(1)
    who = np.tile(np.arange(n_borrowers), n_each)
    columns = {name: random.normal(size=n_borrowers)[who] for name in "ab"}
    ends = random.random(n_borrowers) < 0.4
    label = ends[who] if outcome_of_each == "one" else random.random(len(who)) < np.where(ends, 0.9, 0.1)[who]
    return features(columns, label.astype(float)), ends[who].astype(float)


@pytest.mark.parametrize("outcome_of_each", ["one", "several"])
def test_borrowers_who_stand_often_are_no_coarse_columns_so_the_row_warns_of_new_ones(outcome_of_each):
    found, ends = panel(200, 40, outcome_of_each)
    check = near(found, ends[found.test])
    assert check.outcome == "warning"
    assert "4,000 of 4,000 test records" in check.why
    assert near(found, ends[found.test], unknown="refuse").outcome == "fail"


def test_one_outcome_of_each_of_few_combinations_is_that_of_copies():
    random = np.random.default_rng(1)
    cell = np.tile(np.arange(20), 50)
    label = (random.random(20) < 0.5)[cell].astype(float)
    check = near(features({"x": cell % 4, "y": cell // 4}, label), label[N // 2 :])
    assert check.outcome == "warning"


def test_a_guess_that_copies_make_look_sure_is_refused():
    random = np.random.default_rng(0)
    of_case, n_learnt = np.repeat(np.arange(60), 10), 400
    said, ends = random.random(60), np.arange(60) < 20
    said[ends] += 0.2
    columns = {"x": np.concatenate([np.arange(n_learnt) + 1e6, of_case + 1.0])}
    label = np.concatenate([np.tile([0.0, 1.0], n_learnt // 2), ends[of_case].astype(float)])
    found = features(columns, label, test_share=0.6)
    assert no_signal(label[n_learnt:], said[of_case], Interval(0.7, 0.6, 0.8)).outcome == "pass"
    check = near(found, said[of_case])
    assert check.outcome == "fail"
    assert "600 test records are of 60 cases" in check.why
    sure = near(found, said[of_case] + ends[of_case])
    assert sure.outcome == "pass"


def test_a_warning_refuses_nothing():
    case = usecase(learners=["logistic_regression"])
    frame = book(1200)
    made = train(frame, case, AS_OF, **MADE_WITH)
    matured = made.matured.copy()
    names = list(case.features)
    taken = made.parts.before_test[np.arange(len(made.parts.test)) % len(made.parts.before_test)]
    matured.loc[made.parts.test, names] = matured.loc[taken, names].to_numpy()
    shown = Evidence(made.bundle, matured, made.parts.before_test, made.parts.test)
    label = matured["_label"].to_numpy()[made.parts.test]
    verdict = judge(case, label, made.probability, None, 0.5, 1, shown)
    assert [check.name for check in verdict.checks if check.outcome == "warning"] == ["near duplicates"]
    assert "near duplicates" not in {check.name for check in verdict.failed}
    strict = usecase(gate={"new_borrowers": "refuse"})
    asked = judge(strict, label, made.probability, None, 0.5, 1, shown)
    assert "near duplicates" in {check.name for check in asked.failed}


def test_without_twins_there_is_nothing_to_fear():
    check = memory(0.0, by_heart=False)
    assert (check.outcome, check.seen) == ("pass", 0)
