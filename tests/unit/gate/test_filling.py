import numpy as np
import pandas as pd
import pytest

from refit.gate.filling import filled_later, known_later, outcome_known
from tests.unit.gate.made import features, outcomes
from tests.unit.training.book import usecase

N = 2000


def gaps(random, missing):
    return np.where(missing, np.nan, random.normal(size=N))


def test_a_column_filled_only_for_the_bad_is_refused_by_name():
    label, random = outcomes(N, 1)
    recovered = gaps(random, (label == 0) | (random.random(N) < 0.4))
    check = filled_later(features({"x": random.normal(size=N), "recovered": recovered}, label), None)
    assert check.outcome == "fail"
    assert check.why.startswith("recovered is missing")


def test_a_column_more_often_missing_in_the_bad_as_thin_files_are_passes():
    label, random = outcomes(N, 1)
    thin = gaps(random, random.random(N) < np.where(label == 1, 0.25, 0.08))
    assert filled_later(features({"bureau": thin}, label), None).outcome == "pass"


def test_a_feed_that_changed_over_the_years_is_no_leak():
    random = np.random.default_rng(4)
    early = np.arange(N) < N // 2
    label = (random.random(N) < np.where(early, 0.6, 0.05)).astype(float)
    column = gaps(random, early & (random.random(N) < 0.9))
    assert filled_later(features({"sector": column}, label), None).outcome == "fail"
    assert filled_later(features({"sector": column}, label, days=np.arange(N)), None).outcome == "pass"


@pytest.mark.parametrize(("share", "outcome"), [(0.1, "pass"), (0.9, "fail")], ids=["still filled", "empty"])
def test_a_column_that_fresh_records_lack_is_refused(share, outcome):
    label, random = outcomes(N, 1)
    fresh = pd.DataFrame({"closed_on": gaps(random, random.random(N) < share)})
    check = filled_later(features({"closed_on": random.normal(size=N)}, label), fresh)
    assert check.outcome == outcome
    assert ("have not matured" in check.why) == (outcome == "fail")


def test_a_few_fresh_records_prove_nothing():
    label, random = outcomes(N, 1)
    fresh = pd.DataFrame({"x": [np.nan] * 10})
    assert filled_later(features({"x": random.normal(size=N)}, label), fresh).outcome == "pass"


def test_columns_declared_as_known_later_are_counted():
    check = known_later(usecase(known_later=["recovered"]))
    assert (check.outcome, check.seen) == ("pass", 0)
    assert known_later(usecase()).outcome == "not applicable"


def test_an_input_among_them_is_refused_even_where_no_contract_looked():
    case = usecase().model_copy(update={"known_later": ("jobs",)})
    check = known_later(case)
    assert check.outcome == "fail"
    assert check.why.startswith("jobs")


PAST = {
    "source": {"table": "source.book", "key": "id", "arrived_at": "day"},
    "label": {"name": "bad", "column": "status", "bad": ["lost"], "good": ["paid"]},
}
KNOWN_ON = {"known_on": {"column": "day", "after_days": 365}}


def test_an_outcome_known_on_the_day_of_its_own_decision_is_warned_of():
    check = outcome_known(usecase(**PAST))
    assert check.outcome == "warning"
    assert "`arrived_at` and `event_time` are both day" in check.why
    assert outcome_known(usecase(**PAST | {"label": PAST["label"] | KNOWN_ON})).outcome == "pass"
    assert outcome_known(usecase(**PAST | {"source": PAST["source"] | {"arrived_at": "changed_at"}})).outcome == "pass"
    assert outcome_known(usecase()).outcome == "pass"  # its outcome has a day of its own


def test_records_without_a_date_know_no_outcome_too_early():
    undated = PAST | {"event_time": None, "split": {"by": "random"}}
    assert outcome_known(usecase(**undated)).outcome == "not applicable"
