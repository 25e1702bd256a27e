import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from refit.monitoring.profile import profile
from refit.monitoring.psi import ColumnDrift, Drift, drift
from refit.monitoring.triage import Decision, Evidence, OpenRequest, Performance, Reason, triage

TODAY = datetime(2024, 6, 30, tzinfo=UTC)


def column(name: str, **changes: Any) -> ColumnDrift:
    base = ColumnDrift(
        column=name,
        kind="number",
        role="feature",
        status="stable",
        psi=0.01,
        missing_reference=0.0,
        missing_current=0.0,
        unseen_share=None,
        unseen_expected=None,
        importance=0.25,
        why="PSI 0.010",
    )
    return replace(base, **changes)


ACTING = {"status": "act", "psi": 0.4, "why": "PSI 0.400, most of it from up to 5: 10.0% before, 30.0% now"}
STABLE = tuple(column(name) for name in ("amount", "share", "region", "purpose"))
SCORE = column("score", role="score", importance=None)


def drifted(*changed: ColumnDrift, n_current: int = 1000, score: ColumnDrift | None = SCORE) -> Drift:
    names = {one.column: one for one in (*STABLE, *changed)}
    return Drift(10_000, n_current, tuple(names.values()), score)


QUIET = Evidence(
    as_of=TODAY,
    n_new=1000,
    n_rejected=3,
    drift=drifted(),
    champion_as_of=TODAY - timedelta(days=30),
    new_matured=800,
    newest_ripe=TODAY - timedelta(days=400),
    performance=Performance("roc_auc", promised=0.70, seen=0.69, low=0.66, high=0.72, n=900, calibration_error=0.02),
)


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_a_quiet_night_decides_none_and_tells_all_it_looked_at(usecase):
    decision = triage(QUIET, usecase)

    assert decision.action == "none"
    assert codes(decision) == ["performance", "calibration", "feature_drift", "age", "new_labels", "rejects"]
    assert "4 of 4 columns are stable; the largest PSI is 0.010 (amount)." in decision.reasons[2].why


def test_nothing_new_decides_none(usecase):
    decision = triage(replace(QUIET, n_new=0, n_rejected=0, new_matured=0), usecase)

    assert (decision.action, codes(decision)) == ("none", ["nothing_new"])


def test_nothing_new_decides_none_even_where_the_champion_is_old(usecase):
    old = replace(QUIET, n_new=0, n_rejected=0, new_matured=0, champion_as_of=TODAY - timedelta(days=900))

    assert triage(old, usecase).action == "none"


def test_without_a_champion_one_is_trained(usecase):
    decision = triage(replace(QUIET, champion_as_of=None, drift=None, performance=None), usecase)

    assert (decision.action, codes(decision)) == ("retrain", ["no_champion"])


def test_without_a_champion_and_without_labels_it_waits_and_says_for_what(usecase):
    first = Evidence(as_of=TODAY, n_new=5000, new_matured=20, newest_ripe=datetime(2024, 1, 1, tzinfo=UTC))

    decision = triage(first, usecase)

    assert (decision.action, codes(decision)) == ("wait", ["few_labels", "no_champion"])
    assert decision.reasons[0] == Reason(
        "few_labels",
        "A retrain is wanted, but only 20 labels became final; 500 are needed. "
        "The newest record with a final label is of 2024-01-01, 181 days old.",
        seen=20.0,
        allowed=">= 500",
    )


def test_where_no_label_is_final_it_says_so(usecase):
    decision = triage(Evidence(as_of=TODAY, n_new=0), usecase)

    assert decision.action == "wait"
    assert decision.reasons[0].why.endswith("No record has a final label yet.")


def test_a_training_that_gave_no_champion_is_not_repeated_on_the_same_labels(usecase):
    again = Evidence(as_of=TODAY, n_new=0, last_attempt_as_of=TODAY, new_matured=0)

    decision = triage(again, usecase)

    assert decision.action == "wait"
    assert "since the training of 2024-06-30" in decision.reasons[0].why
    assert decision.reasons[1].why == "There is no champion: the training of 2024-06-30 gave none."


@pytest.mark.parametrize(
    ("evidence", "code", "name"),
    [
        (replace(QUIET, n_new=700, n_rejected=300), "rejects", None),
        (replace(QUIET, n_new=0, n_rejected=300), "rejects", None),
        (replace(QUIET, champion_as_of=None, n_rejected=900), "rejects", None),
        (replace(QUIET, drift=drifted(column("amount", missing_current=0.5))), "missing_values", "amount"),
        (
            replace(QUIET, drift=drifted(column("amount", status="not checked", psi=None, missing_current=1.0))),
            "missing_values",
            "amount",
        ),
        (
            replace(QUIET, drift=drifted(column("price", role="operand", importance=None, missing_current=0.9))),
            "missing_values",
            "price",
        ),
        (
            replace(QUIET, drift=drifted(column("region", unseen_share=0.6, unseen_expected=0.01))),
            "unseen_values",
            "region",
        ),
    ],
    ids=["rejects", "all rejected", "no champion", "missing", "all missing", "raw operand missing", "recoded"],
)
def test_broken_data_blocks_and_names_the_column(usecase, evidence, code, name):
    decision = triage(evidence, usecase)

    assert decision.action == "block"
    assert [(reason.code, reason.column) for reason in decision.reasons] == [(code, name)]
    assert decision.reasons[0].seen is not None
    assert decision.reasons[0].allowed


def test_a_block_by_rejects_names_what_was_wrong_most_often(usecase):
    causes = (("amount: not a number", 11_990), ("asked_on: missing", 7))

    decision = triage(replace(QUIET, n_new=8_000, n_rejected=12_000, causes=causes), usecase)

    assert decision.reasons[0].why == (
        "12,000 of 20,000 new records (60.0%) were refused by the contract, "
        "most often for amount: not a number (11,990); asked_on: missing (7)."
    )


def test_a_block_goes_before_everything_else(usecase):
    broken = drifted(column("amount", missing_current=1.0), column("share", **ACTING))
    request = OpenRequest("retrain", TODAY - timedelta(days=1))

    decision = triage(replace(QUIET, drift=broken, open_request=request, schedule_due=True), usecase)

    assert (decision.action, codes(decision)) == ("block", ["missing_values"])


@pytest.mark.parametrize(
    "evidence",
    [
        replace(QUIET, n_new=10, n_rejected=80, drift=drifted(n_current=10)),
        replace(
            QUIET, drift=drifted(column("amount", status="not checked", psi=None, missing_current=1.0), n_current=9)
        ),
        replace(QUIET, drift=drifted(column("sex", role="protected", importance=None, missing_current=1.0))),
        replace(QUIET, drift=drifted(column("employer", unseen_share=0.8, unseen_expected=0.75, importance=0.0))),
        replace(QUIET, drift=drifted(column("amount", missing_reference=0.9, missing_current=0.0))),
    ],
    ids=["few rejects", "few records", "a protected column", "always mostly new", "missing values that fade out"],
)
def test_what_may_be_chance_or_no_harm_does_not_block(usecase, evidence):
    assert triage(evidence, usecase).action != "block"


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        (replace(QUIET, drift=drifted(column("amount", **ACTING))), "feature_drift"),
        (replace(QUIET, drift=drifted(column("amount", **ACTING, importance=0.125))), "feature_drift"),
        (replace(QUIET, drift=drifted(column("amount", **ACTING, importance=None))), "feature_drift"),
        (replace(QUIET, drift=drifted(column("amount", **ACTING, missing_current=0.06))), "missing_values"),
        (
            replace(QUIET, drift=drifted(column("amount", missing_reference=0.6, missing_current=1.0, psi=None))),
            "missing_values",
        ),
        (replace(QUIET, drift=drifted(score=replace(SCORE, **ACTING))), "score_drift"),
        (replace(QUIET, performance=Performance("roc_auc", 0.70, 0.62, 0.60, 0.66, 900)), "performance"),
        (replace(QUIET, performance=Performance("log_loss", 0.20, 0.30, 0.24, 0.36, 900)), "performance"),
        (replace(QUIET, champion_as_of=TODAY - timedelta(days=91)), "age"),
        (replace(QUIET, schedule_due=True), "schedule"),
        (replace(QUIET, schedule_due=True, n_new=0, n_rejected=0), "schedule"),
    ],
    ids=[
        "a feature",
        "a feature at half an equal share",
        "a feature of unknown importance",
        "missing values",
        "a feature gone missing that could not be checked",
        "the score",
        "ranking",
        "log loss",
        "age",
        "schedule",
        "schedule with nothing new",
    ],
)
def test_what_wants_a_retrain_gets_one_and_says_why(usecase, evidence, code):
    decision = triage(evidence, usecase)

    assert (decision.action, codes(decision)) == ("retrain", [code])
    assert decision.reasons[0].why.endswith(".")


@pytest.mark.parametrize(
    "one",
    [
        column("amount", **ACTING, importance=0.124),
        column("price", **ACTING, role="operand", importance=None),
        column("sex", **ACTING, role="protected", importance=None),
    ],
    ids=["an unimportant feature", "a raw operand", "a protected column"],
)
def test_drift_that_the_champion_hardly_sees_is_told_and_does_not_retrain(usecase, one):
    decision = triage(replace(QUIET, drift=drifted(one)), usecase)

    assert decision.action == "none"
    assert "minor_drift" in codes(decision)
    told = next(reason for reason in decision.reasons if reason.code == "minor_drift")
    assert told.column == one.column


def test_the_most_important_drift_comes_first(usecase):
    both = drifted(column("amount", **ACTING, importance=0.2), column("region", **ACTING, importance=0.6))

    assert [reason.column for reason in triage(replace(QUIET, drift=both), usecase).reasons] == ["region", "amount"]


@pytest.mark.parametrize(
    "seen",
    [
        Performance("roc_auc", 0.70, 0.62, 0.55, 0.68, 90),
        Performance("log_loss", 0.20, 0.30, 0.22, 0.36, 90),
        Performance("roc_auc", 0.70, float("nan"), float("nan"), float("nan"), 12),
        None,
    ],
    ids=["an interval that touches what was promised", "the same for log loss", "undefined", "none yet"],
)
def test_a_drop_that_may_be_chance_does_not_retrain(usecase, seen):
    decision = triage(replace(QUIET, performance=seen), usecase)

    assert decision.action == "none"
    assert "performance" in codes(decision)


def test_probabilities_that_are_off_while_the_ranking_held_are_recalibrated(usecase):
    seen = replace(QUIET.performance, calibration_error=0.08)

    decision = triage(replace(QUIET, performance=seen), usecase)

    assert (decision.action, codes(decision)) == ("recalibrate", ["calibration"])


def test_probabilities_that_are_off_with_a_worse_ranking_are_retrained(usecase):
    seen = Performance("roc_auc", 0.70, 0.62, 0.60, 0.66, 900, calibration_error=0.08)

    decision = triage(replace(QUIET, performance=seen), usecase)

    assert (decision.action, codes(decision)) == ("retrain", ["performance", "calibration"])


def test_a_retrain_makes_a_recalibration_needless_but_tells_of_it(usecase):
    seen = replace(QUIET.performance, calibration_error=0.08)

    decision = triage(replace(QUIET, performance=seen, schedule_due=True), usecase)

    assert (decision.action, codes(decision)) == ("retrain", ["schedule", "calibration"])


def test_a_calibration_error_that_few_records_show_by_chance_is_let_be(usecase):
    seen = Performance("roc_auc", 0.70, 0.69, 0.60, 0.75, n=200, calibration_error=0.08)

    decision = triage(replace(QUIET, performance=seen), usecase)

    assert decision.action == "none"
    assert next(reason for reason in decision.reasons if reason.code == "calibration").allowed == "<= 0.089"


@pytest.mark.parametrize("action", ["retrain", "recalibrate"])
def test_what_was_asked_for_and_never_done_is_asked_again_with_its_reasons(usecase, action):
    why = Reason("feature_drift", "amount moved.", "amount", 0.4, "< 0.25")
    request = OpenRequest(action, TODAY - timedelta(days=2), (why,))

    decision = triage(replace(QUIET, n_new=0, n_rejected=0, open_request=request), usecase)

    assert decision.action == action
    assert decision.reasons[0].why == f"A {action} asked for on 2024-06-28 was never carried out."
    assert decision.reasons[1:] == (why,)


def test_a_wish_to_retrain_with_too_few_new_labels_waits(usecase):
    evidence = replace(QUIET, drift=drifted(column("amount", **ACTING)), new_matured=120)

    decision = triage(evidence, usecase)

    assert (decision.action, codes(decision)) == ("wait", ["few_labels", "feature_drift"])
    assert "only 120 labels became final since the training of 2024-05-31" in decision.reasons[0].why


def test_too_few_records_to_check_is_told(usecase):
    few = Drift(10_000, 40, tuple(replace(one, status="not checked", psi=None) for one in STABLE))

    decision = triage(replace(QUIET, n_new=40, drift=few), usecase)

    assert decision.action == "none"
    told = next(reason for reason in decision.reasons if reason.code == "volume")
    assert (told.seen, told.allowed) == (40.0, ">= 100")


def test_columns_that_could_not_be_checked_are_told(usecase):
    odd = column("amount", status="not checked", psi=None, why="the reference has no such column")

    decision = triage(replace(QUIET, drift=drifted(odd)), usecase)

    assert decision.action == "none"
    assert next(reason for reason in decision.reasons if reason.code == "not_checked").column == "amount"


def test_a_decision_survives_its_json(usecase):
    decision = triage(QUIET, usecase)

    assert Decision.from_json(json.loads(json.dumps(decision.to_json(), allow_nan=False))) == decision


def test_real_frames_lead_to_the_decision_their_records_deserve(usecase, make_loans):
    reference = profile(make_loans(2000), usecase)
    same, moved, broken = make_loans(1000, seed=1), make_loans(1000, seed=2), make_loans(1000, seed=3)
    moved["region"] = moved["region"].where(moved["region"] != "south", "west")
    broken["region"] = broken["region"].mask(np.ones(1000, dtype=bool))

    actions = [
        triage(replace(QUIET, drift=drift(reference, frame, usecase)), usecase).action
        for frame in (same, moved, broken)
    ]

    assert actions == ["none", "retrain", "block"]


def test_one_bad_night_among_good_ones_blocks_though_all_together_look_well(usecase):
    diluted = drifted(column("amount", missing_current=0.09), n_current=10_000)
    tonight = drifted(column("amount", missing_current=1.0), n_current=60)

    decision = triage(replace(QUIET, drift=diluted, new_drift=tonight), usecase)

    assert triage(replace(QUIET, drift=diluted), usecase).action != "block"
    assert (decision.action, codes(decision)) == ("block", ["missing_values"])
    assert "the 60 new records" in decision.reasons[0].why


def test_new_values_of_one_night_block_too(usecase):
    tonight = drifted(column("region", unseen_share=0.9, unseen_expected=0.0), n_current=80)

    decision = triage(replace(QUIET, new_drift=tonight), usecase)

    assert (decision.action, codes(decision)) == ("block", ["unseen_values"])


def test_what_all_and_the_new_records_show_is_told_once(usecase):
    broken = drifted(column("amount", missing_current=1.0))

    assert codes(triage(replace(QUIET, drift=broken, new_drift=broken), usecase)) == ["missing_values"]


@pytest.mark.parametrize(
    "tonight",
    [
        drifted(column("amount", missing_current=1.0), n_current=20),
        drifted(column("amount", **ACTING), n_current=400),
        drifted(column("amount", missing_current=0.3), n_current=400),
    ],
    ids=["a handful", "drift of one night", "some missing"],
)
def test_one_night_alone_wants_no_more_than_a_block(usecase, tonight):
    assert triage(replace(QUIET, new_drift=tonight), usecase).action == "none"


AGED = {"maturity": {"max_age_months": 40}}


@pytest.mark.parametrize(
    ("newest", "action"),
    [(TODAY - timedelta(days=40 * 30), "retrain"), (TODAY - timedelta(days=1400), "wait")],
    ids=["old enough to be final", "too old"],
)
@pytest.mark.parametrize("champion", [None, TODAY - timedelta(days=200)], ids=["no champion", "an old champion"])
def test_where_the_newest_matured_records_are_too_old_it_waits_and_says_how_old(usecase, newest, action, champion):
    aged = usecase.model_validate(usecase.model_dump(by_alias=True) | AGED)

    decision = triage(replace(QUIET, champion_as_of=champion, newest_ripe=newest), aged)

    assert decision.action == action
    if action == "wait":
        assert codes(decision)[0] == "too_old"
        assert "of 2020-08-30, 1,400 days old (46 months); 40 months are allowed" in decision.reasons[0].why
        assert decision.reasons[1].code in {"no_champion", "age"}


def test_a_hazard_is_not_fitted_to_the_rates_of_records_that_lived_through_other_years(usecase):
    dated = {
        "label": {"name": "bad", "happened_on": {"column": "failed_on"}, "within_months": 36},
        "maturity": {"unripe": "hazard"},
    }
    hazard = usecase.model_validate(usecase.model_dump(by_alias=True) | dated)
    off = replace(QUIET, performance=replace(QUIET.performance, calibration_error=0.2))

    assert triage(off, usecase).action == "recalibrate"
    assert triage(off, hazard).action == "none"


def test_a_hazard_learns_from_young_records_so_that_none_is_too_old(usecase):
    dated = {
        "label": {"name": "bad", "happened_on": {"column": "failed_on"}, "within_months": 36},
        "maturity": {"unripe": "hazard", "max_age_months": 40},
    }
    aged = usecase.model_validate(usecase.model_dump(by_alias=True) | dated)

    decision = triage(replace(QUIET, champion_as_of=None, newest_ripe=TODAY - timedelta(days=1400)), aged)

    assert decision.action == "retrain"


def test_before_anything_has_matured_it_says_when_the_first_will(usecase):
    first = Evidence(as_of=TODAY, n_new=5000, first_ripe_on=datetime(2025, 2, 1, tzinfo=UTC))

    assert (
        triage(first, usecase).reasons[0].why.endswith("No record has a final label yet; the first will on 2025-02-01.")
    )


def test_live_requests_are_told_of_and_change_nothing(usecase):
    live = drifted(column("amount", **ACTING))

    decision = triage(replace(QUIET, live=live), usecase)

    assert decision.action == "none"
    assert codes(decision)[-2:] == ["live_drift", "live_drift"]
    assert decision.reasons[-2].column == "amount"
    assert "1,000 were compared, 1 of 5 columns moved" in decision.reasons[-1].why


def test_live_requests_are_told_of_on_a_night_without_new_records_too(usecase):
    quiet = replace(QUIET, n_new=0, n_rejected=0, new_matured=0, live=drifted())

    assert codes(triage(quiet, usecase)) == ["nothing_new", "live_drift"]
