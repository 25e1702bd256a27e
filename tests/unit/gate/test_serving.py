import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from refit.gate.judge import Evidence, judge
from refit.gate.serving import agreement, latency, size
from refit.scoring.bundle import GoldenRecord, to_files
from refit.training.train import train
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

CASE = usecase(learners=["logistic_regression"], gate={"floor": {"roc_auc": 0.6}, "segments": ["state"]})


@pytest.fixture(scope="module")
def made():
    return train(book(3000), CASE, AS_OF, **MADE_WITH)


def evidence(made, **changes):
    return Evidence(made.bundle, made.matured, made.parts.before_test, made.parts.test, latency_ms=1.0, **changes)


def test_a_real_model_passes_every_check_there_is(made):
    verdict = judge(CASE, made.test["_label"].to_numpy(), made.probability, None, 0.5, 1, evidence(made))
    assert verdict.outcome == "promote", verdict.failed
    assert [check.name for check in verdict.checks] == [
        "enough records",
        "no signal",
        "floor: roc_auc",
        "gain",
        "calibration",
        "segments",
        "adverse impact",
        "single-feature leak",
        "single-feature leak, lagged",
        "known only later",
        "outcome known in time",
        "filled only later",
        "exact duplicates",
        "near duplicates",
        "train and serve agree",
        "size",
        "latency",
    ]
    json.dumps(verdict.to_json(), allow_nan=False)


def test_both_doors_agree_on_a_bundle_as_it_was_made(made):
    check = agreement(made.bundle, made.test)
    assert check.outcome == "pass"
    assert check.seen <= 1e-9


def test_a_golden_record_that_gets_another_probability_fails(made):
    first, *rest = made.bundle.golden
    wrong = GoldenRecord(first.inputs, first.probability + 1e-6)
    check = agreement(dataclasses.replace(made.bundle, golden=(wrong, *rest)), made.test)
    assert check.outcome == "fail"


def test_a_bundle_without_golden_records_fails(made):
    assert agreement(dataclasses.replace(made.bundle, golden=()), made.test).outcome == "fail"


@pytest.mark.parametrize(
    ("changed", "said", "unsaid"),
    [
        (["grade"], ["grade (match:^([A-G])[0-9])", "say 'required: false'", "it is required"], ["state"]),
        (["grade", "zip"], ["zip (match:zip ([0-9]+)), grade (match:^([A-G])[0-9])", "each is required"], ["state"]),
        ([], ["no golden record"], ["required"]),
    ],
    ids=["one", "two", "none"],
)
@pytest.mark.parametrize("by", ["test", "vocabulary"])
def test_what_keeps_every_record_from_being_sent_is_named_with_the_way_out(changed, said, unsaid, by):
    unreadable = {
        "grade": {"type": "category", "parse": "match:^([A-G])[0-9]", "required": True},
        "zip": {"type": "category", "parse": "match:zip ([0-9]+)", "required": True},
    }
    features = usecase().model_dump(by_alias=True, exclude_none=True)["features"]
    case = usecase(features=features | {name: unreadable[name] for name in changed}, learners=["logistic_regression"])
    frame = book(1500)
    frame["grade"] = pd.Categorical(np.resize(list("ABC"), len(frame)))
    bundle, test = (found := train(frame, case, AS_OF, **MADE_WITH)).bundle, found.test
    if not changed:
        bundle = dataclasses.replace(bundle, golden=())
    assert bundle.golden == ()
    check = agreement(bundle, test if by == "test" else None)
    assert check.outcome == "fail"
    assert all(words in check.why for words in said)
    assert not any(words in check.why for words in unsaid)


def test_a_request_that_is_read_otherwise_than_the_frame_fails(made):
    shifted = made.test.assign(covered_share=made.test["covered_share"] + 0.5)
    assert agreement(made.bundle, shifted).outcome == "fail"


def test_the_size_is_that_of_all_files(made):
    megabytes = sum(map(len, to_files(made.bundle).values())) / 1e6
    assert size(made.bundle, megabytes + 1e-6).outcome == "pass"
    assert size(made.bundle, megabytes - 1e-6).outcome == "fail"


@pytest.mark.parametrize(("seen", "outcome"), [(5.0, "pass"), (50.0, "fail"), (None, "not applicable")])
def test_a_slow_answer_fails(seen, outcome):
    assert latency(seen, 10).outcome == outcome


def test_rows_that_are_not_those_judged_are_a_fault_of_our_own(made):
    label = 1 - made.test["_label"].to_numpy()
    with pytest.raises(AssertionError, match="not those that were judged"):
        judge(CASE, label, np.full(len(label), 0.2), None, 0.5, 1, evidence(made))
