from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from refit.errors import ContractError, DataError
from refit.training.hazard import HAPPENED_ON, fit, hazard_candidate
from refit.training.maturity import ripe
from refit.training.periods import periods
from refit.training.split import split
from tests.unit.training.book import book, usecase

AS_OF = datetime(2003, 6, 30, 23, 59, 59, 999999, tzinfo=UTC)
CASE = usecase(maturity={"unripe": "hazard"})


def days(*texts: str | None) -> pd.Series:
    return pd.to_datetime(pd.Series(texts), utc=True)


def seen(event: str, happened_on: str | None = None, as_of=AS_OF, within_months=12, last=99) -> list[tuple[int, float]]:
    found = periods(days(event), days(happened_on), as_of, within_months, last)
    return list(zip(found.age.astype(int).tolist(), found.label.tolist(), strict=True))


@pytest.mark.parametrize(
    ("event", "happened_on", "expected"),
    [
        ("2003-06-01", None, []),
        ("2003-03-30", None, [(1, 0)]),
        ("2003-03-31", None, [(1, 0)]),
        ("2003-04-01", None, []),
        ("2002-12-15", None, [(1, 0), (2, 0)]),
        ("2002-12-15", "2003-02-01", [(1, 1)]),
        ("2002-12-15", "2003-03-15", [(1, 1)]),
        ("2002-12-15", "2003-03-16", [(1, 0), (2, 1)]),
        ("2003-04-15", "2003-06-01", []),
        ("2002-12-15", "2003-06-20", [(1, 0), (2, 0)]),
        ("2000-01-01", None, [(1, 0), (2, 0), (3, 0), (4, 0)]),
        ("2000-01-01", "2001-01-01", [(1, 0), (2, 0), (3, 0), (4, 1)]),
        ("2000-01-01", "2001-01-02", [(1, 0), (2, 0), (3, 0), (4, 0)]),
        ("2003-01-01", "2002-12-01", [(1, 1)]),
    ],
    ids=[
        "too young",
        "a quarter to the day",
        "the day itself counts as a whole",
        "a day short",
        "two quarters",
        "bad in the first",
        "on its last day",
        "a day later is the second",
        "bad in a quarter that is not over",
        "bad in the third, which is not over",
        "old",
        "bad on the label's last day",
        "a day late",
        "before it began",
    ],
)
def test_a_record_tells_of_the_quarters_it_has_been_through_up_to_the_bad_one(event, happened_on, expected):
    assert seen(event, happened_on) == expected


def test_only_the_last_quarters_speak_of_today():
    assert seen("2002-09-15", last=2) == [(2, 0), (3, 0)]
    assert seen("2002-04-15", "2002-06-01", last=2) == []
    assert seen("2000-01-01", last=2) == []


def test_months_that_are_no_whole_quarters_end_with_a_shorter_one():
    assert seen("2003-01-31", within_months=5) == [(1, 0), (2, 0)]
    assert seen("2003-01-31", "2003-06-30", within_months=5) == [(1, 0), (2, 1)]
    assert seen("2003-01-30", "2003-06-30", within_months=4) == [(1, 0), (2, 0)]


def test_an_outcome_after_the_day_is_not_looked_at():
    early = datetime(2003, 1, 31, tzinfo=UTC)
    assert seen("2002-06-15", "2003-05-01", early) == seen("2002-06-15", None, early) == [(1, 0), (2, 0)]


def watched(n: int = 6000, seed: int = 7, *, turn: float = 1.0) -> pd.DataFrame:
    """Return a book that dates its outcomes; from 2002 on, `turn` times as many turn bad in each month."""
    frame = book(n, seed)
    random = np.random.default_rng(seed)
    event = frame["_event_time"]
    monthly = 0.02 * np.exp(1.2 * (frame["sector"] == "22").to_numpy(float) + 1.0 * (frame["state"] == "NY"))
    happened = np.full(n, np.datetime64("NaT", "us"))
    alive = np.ones(n, dtype=bool)
    for month in range(24):
        day = event + pd.to_timedelta(30 * month + random.integers(1, 30, n), unit="D")
        rate = monthly * np.where(day >= pd.Timestamp("2002-01-01", tz="UTC"), turn, 1.0)
        now = alive & (random.random(n) < rate)
        happened[now] = day.dt.tz_convert(None).to_numpy()[now]
        alive &= ~now
    moments = pd.Series(happened).dt.tz_localize("UTC")
    known = moments.where(moments <= pd.Timestamp(AS_OF))
    bad = (moments <= event + pd.DateOffset(months=12)).to_numpy()
    ripe = (event + pd.DateOffset(months=12) <= pd.Timestamp(AS_OF)).to_numpy()
    return frame.assign(**{HAPPENED_ON: known, "_label": np.where(ripe, bad.astype(float), np.nan), "_ripe": ripe})


def quiet(_: float) -> None:
    """Tell nobody."""


FRAME = watched()


def test_it_predicts_the_rate_that_comes_and_ranks():
    fitted = fit(FRAME, CASE, AS_OF, 1, quiet)
    ripe = FRAME[FRAME["_ripe"]]
    p = fitted.probability(ripe)
    assert p.mean() == pytest.approx(ripe["_label"].mean(), rel=0.1)
    risky = (ripe["sector"] == "22").to_numpy()
    assert p[risky].mean() > 1.5 * p[~risky].mean()


def test_after_a_turn_it_predicts_the_new_rate_where_matured_records_still_tell_of_the_old_one():
    frame = watched(12_000, turn=2.5)
    young = frame[~frame["_ripe"]]
    coming = watched(12_000, seed=8, turn=2.5)
    coming = coming[coming["_event_time"].between("2002-01-01", "2002-06-01")]["_label"].mean()
    p = fit(frame, CASE, AS_OF, 1, quiet, last=2).probability(young)
    matured = frame[frame["_ripe"]]["_label"].mean()
    assert abs(p.mean() - coming) < 0.4 * abs(matured - coming)


def test_early_defaults_of_young_records_do_not_overstate_the_risk():
    only_young = FRAME[FRAME["_event_time"] > pd.Timestamp("2002-07-01", tz="UTC")]
    naive = only_young[only_young["_label"].notna() | only_young[HAPPENED_ON].notna()]
    assert len(naive)
    assert naive[HAPPENED_ON].notna().all()  # every label that is final among the young is bad
    p = fit(only_young, CASE, AS_OF, 1, quiet).probability(only_young)
    assert p.mean() == pytest.approx(FRAME[FRAME["_ripe"]]["_label"].mean(), rel=0.35)


def test_an_earlier_day_is_fitted_by_what_was_known_then_and_by_nothing_else():
    early = datetime(2002, 3, 31, tzinfo=UTC)
    then = FRAME[FRAME["_event_time"] <= pd.Timestamp(early)]
    then = then.assign(**{HAPPENED_ON: then[HAPPENED_ON].where(then[HAPPENED_ON] <= pd.Timestamp(early))})
    now = fit(FRAME, CASE, early, 1, quiet)
    assert now.model.to_bytes() == fit(then, CASE, early, 1, quiet).model.to_bytes()
    assert now.encoder == fit(then, CASE, early, 1, quiet).encoder


def test_the_same_records_and_seed_give_the_same_bytes_and_importances_of_the_features_alone():
    first, again = fit(FRAME, CASE, AS_OF, 1, quiet), fit(FRAME, CASE, AS_OF, 1, quiet)
    assert first.model.to_bytes() == again.model.to_bytes()
    assert list(first.importance) == list(CASE.features)
    assert sum(first.importance.values()) == pytest.approx(1)
    assert first.n_bad > 0
    assert first.n_periods > first.n_records


def test_a_frame_that_does_not_date_outcomes_is_refused():
    with pytest.raises(DataError, match=HAPPENED_ON):
        fit(FRAME.drop(columns=HAPPENED_ON), CASE, AS_OF, 1, quiet)


def test_too_few_bad_quarters_are_refused_with_their_number():
    with pytest.raises(DataError, match="hold 0 in which a record turned bad"):
        fit(
            FRAME.assign(**{HAPPENED_ON: pd.Series(pd.NaT, FRAME.index, dtype="datetime64[us, UTC]")}),
            CASE,
            AS_OF,
            1,
            quiet,
        )


def candidate(frame: pd.DataFrame, case=CASE):
    matured = ripe(frame, case, AS_OF)
    parts = split(matured, case)
    return matured, parts, hazard_candidate(frame, matured, case, AS_OF, parts, 1, quiet)


def test_a_candidate_is_tested_by_what_was_known_before_its_test_records_began():
    matured, parts, found = candidate(FRAME)
    began = matured.iloc[parts.test]["_event_time"].min()
    then = fit(FRAME, CASE, (began - pd.Timedelta(microseconds=1)).to_pydatetime(), 1, quiet)
    assert found.test_probability.tolist() == then.probability(matured.iloc[parts.test]).tolist()
    assert found.served.model.to_bytes() == fit(FRAME, CASE, AS_OF, 1, quiet).model.to_bytes()
    assert found.served.model.to_bytes() != then.model.to_bytes()


def test_what_becomes_of_the_test_records_does_not_change_what_their_judge_says():
    matured, parts, found = candidate(FRAME)
    began = matured.iloc[parts.test]["_event_time"].min()
    late = (FRAME[HAPPENED_ON] >= began) & (np.arange(len(FRAME)) % 2 == 0)
    other = FRAME.assign(**{HAPPENED_ON: FRAME[HAPPENED_ON].mask(late)})
    again = hazard_candidate(other, matured, CASE, AS_OF, parts, 1, quiet)
    assert again.test_probability.tolist() == found.test_probability.tolist()
    assert again.served.model.to_bytes() != found.served.model.to_bytes()


def test_drift_is_measured_against_the_records_it_learned_from_young_ones_too():
    _, _, found = candidate(FRAME)
    assert pd.Timestamp(found.reference_window["end"]) == FRAME["_event_time"].max()
    inside = FRAME["_event_time"] >= pd.Timestamp(found.reference_window["start"])
    assert found.reference.n_records == int(inside.sum())
    assert "known on" in found.notes[1]


def test_a_random_split_is_refused():
    with pytest.raises(ContractError, match=r"split\.by: time"):
        candidate(FRAME, usecase(maturity={"unripe": "hazard"}, split={"by": "random"}))
