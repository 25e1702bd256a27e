"""How fast a model is, by which threshold a champion is judged, and that learning by heart takes nobody live."""

import dataclasses
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from refit.loop.judging import judged, latency_ms
from refit.training.recalibrate import recalibrate
from refit.training.train import train
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

WAIT = 0.003


def bundle(predict):
    return SimpleNamespace(golden=(SimpleNamespace(inputs={"amount": 1.0}),), predict=predict)


def test_waiting_for_a_busy_processor_is_not_counted_as_the_models_own_time():
    assert latency_ms(bundle(lambda _: time.sleep(WAIT))) < 1000 * WAIT


def test_what_the_model_computes_is_counted():
    def busy(_):
        end = time.thread_time() + WAIT
        while time.thread_time() < end:
            pass

    assert latency_ms(bundle(busy)) >= 1000 * WAIT


def test_without_a_golden_record_nothing_is_timed():
    assert latency_ms(SimpleNamespace(golden=(), predict=None)) is None


def test_a_champion_is_judged_at_its_own_threshold():
    case = usecase(objective={"metric": "accuracy"}, learners=["logistic_regression"])
    frame = book(1200)
    made = train(frame, case, AS_OF, **MADE_WITH)

    def gain(champion):
        checks = judged(case, made, champion, frame, 1.0).checks
        return next(check for check in checks if check.name == "gain")

    assert "the two are equal" in gain(made.bundle).why
    careless = dataclasses.replace(made.bundle, threshold=0.0)  # declines everybody
    assert gain(careless).outcome == "pass"


N_BORROWERS = 300
START = pd.Timestamp("2000-01-01", tz="UTC")
END = datetime(2004, 1, 1, tzinfo=UTC)
FINE = {name: {"type": "number"} for name in "abcd"}
OF_NOISE = {"features": FINE, "learners": ["xgboost"], "gate": {}}
DATELESS = {
    **OF_NOISE,
    "event_time": None,
    "label": {"name": "bad", "column": "y", "bad": ["1"], "good": ["0"]},
    "split": {"by": "random"},
}


def records(columns, label, days):
    at = (START + pd.to_timedelta(np.broadcast_to(days, len(label)), unit="D")).as_unit("us")
    frame = pd.DataFrame(columns).assign(
        _key=[f"k{row:06}" for row in range(len(label))],
        _arrived_at=at,
        _event_time=at,
        _label=np.asarray(label, dtype=float),
        _ripe=True,
    )
    return frame.sort_values(["_event_time", "_key"], ignore_index=True)


def noise(n_times, days, seed=1, wiggle=0.0):
    """Return borrowers whose outcome is random, each of them standing n times."""
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(N_BORROWERS), n_times)
    fine = random.normal(size=(N_BORROWERS, len(FINE)))[who] * (1 + wiggle * random.normal(size=(len(who), len(FINE))))
    return records(
        dict(zip(FINE, fine.T, strict=True)), (random.random(N_BORROWERS) < 0.3)[who], days(random, len(who))
    )


def verdict_of(frame, case):
    made = train(frame, case, END, **MADE_WITH)
    return made, judged(case, made, None, frame, 1.0)


def row(verdict, name):
    return next(check for check in verdict.checks if check.name == name)


@pytest.mark.parametrize("n_times", [4, 25])
def test_noise_is_not_promoted_for_copies_under_other_keys(n_times):
    made, verdict = verdict_of(noise(n_times, lambda *_: 900), usecase(**DATELESS))
    assert len(made.matured) == N_BORROWERS
    assert verdict.outcome == "refuse"
    assert "no signal" in {check.name for check in verdict.failed}
    assert any("copies are left out" in note for note in made.bundle.card["notes"])


def test_noise_is_not_promoted_for_near_copies_of_other_days():
    frame = noise(10, lambda random, n: random.integers(0, 900, n), wiggle=1e-7)
    made, verdict = verdict_of(frame, usecase(**OF_NOISE, split={"by": "random"}))
    assert verdict.outcome == "refuse"
    assert made.bundle.card["metrics"]["roc_auc"]["value"] < 0.7


def test_noise_is_not_promoted_for_thirty_instalments_where_new_borrowers_matter():
    frame = noise(30, lambda _, n: np.tile(np.arange(30) * 24, n // 30))
    case = usecase(**{**OF_NOISE, "gate": {"new_borrowers": "refuse"}})
    made, verdict = verdict_of(frame, case)
    assert {check.name for check in verdict.failed} == {"near duplicates"}
    assert any("nothing is known of new borrowers" in note for note in made.bundle.card["notes"])


@pytest.mark.parametrize("dated", [True, False])
def test_an_honest_book_of_grade_and_term_alone_is_promoted(dated):
    random = np.random.default_rng(2)
    n = 6000
    grade, term = random.integers(0, 7, n), random.integers(0, 2, n)
    bad = random.random(n) < 1 / (1 + np.exp(3.5 - 0.45 * grade))
    days = random.integers(0, 48, n) * 30 if dated else 900
    frame = records({"grade": grade.astype(float), "term": term.astype(float)}, bad, days)
    features = {"grade": {"type": "number"}, "term": {"type": "number"}}
    asked = {"features": features, "learners": ["logistic_regression"], "gate": {"new_borrowers": "refuse"}}
    made, verdict = verdict_of(frame, usecase(**(asked if dated else {**DATELESS, **asked})))
    assert len(made.matured) == n
    assert verdict.outcome == "promote", verdict.failed
    assert row(verdict, "near duplicates").outcome == "not applicable"


@pytest.mark.parametrize("by", ["time", "random"])
def test_after_a_recalibration_the_test_is_held_against_what_the_model_was_fitted_on(by):
    random = np.random.default_rng(0)
    n = 1500
    fine, ends = random.normal(size=(n, len(FINE))), random.random(n) < 0.3
    days = np.concatenate([random.integers(0, 400, n), random.integers(410, 700, n)])
    columns = dict(zip(FINE, np.tile(fine, (2, 1)).T, strict=True))
    frame = records(columns, np.tile(ends, 2), days)
    case = usecase(**OF_NOISE, split={"by": by})
    first = frame[frame["_event_time"] < START + pd.Timedelta(days=405)].reset_index(drop=True)
    made = train(first, case, END, **MADE_WITH)
    renewed = recalibrate(made.bundle, frame, case, END, **MADE_WITH)
    known = {tuple(record) for record in made.matured.iloc[made.parts.before_test][list(FINE)].to_numpy()}
    twins = sum(tuple(record) in known for record in renewed.test[list(FINE)].to_numpy())
    check = row(judged(case, renewed, made.bundle, frame, 1.0), "near duplicates")
    if by == "time":
        assert twins > 100
        assert check.outcome == "fail"
        assert f"{twins:,} of {len(renewed.test):,} test records" in check.why
        assert "by heart" in check.why
    else:
        assert not twins
        assert check.outcome == "pass"
