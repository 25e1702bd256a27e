import numpy as np
import pandas as pd
import pytest

from refit.monitoring.live import live_drift, live_reasons, requested
from refit.monitoring.profile import profile
from refit.usecase.model import UseCase

CASE = UseCase.model_validate(
    {
        "name": "loans",
        "title": "Loans",
        "source": {"table": "source.loans", "key": "id", "arrived_at": "asked_on"},
        "event_time": {"column": "asked_on"},
        "label": {"name": "bad", "column": "status", "bad": ["late"], "good": ["paid"]},
        "features": {
            "amount": {"type": "number", "unknown": ["-1"]},
            "share": {"type": "number", "from": "amount / price"},
            "industry": {"type": "category", "parse": "prefix:2", "unknown": "0"},
        },
        "protected": ["sex"],
        "drift": {"min_records": 100},
    }
)


def requests(n: int, seed: int, factor: float = 1.0) -> list[dict]:
    random = np.random.default_rng(seed)
    amount = random.lognormal(10, 1, n)
    return [
        {"amount": float(a * factor), "price": float(a * 2), "industry": f"{code}310"}
        for a, code in zip(amount, random.choice([11, 22, 33], n), strict=True)
    ]


REFERENCE = profile(
    requested(requests(3000, seed=1), CASE).assign(sex=pd.Categorical(["f"] * 3000)),
    CASE,
    score=np.random.default_rng(2).beta(2, 8, 3000),
)
ANSWERS = np.random.default_rng(3).beta(2, 8, 1000).tolist()


def test_requests_are_read_as_the_model_reads_them():
    frame = requested(
        [
            {"amount": 5.0, "price": 10.0, "industry": "4412"},
            {"amount": -1, "price": 4, "industry": "0"},
            {"industry": None},
            {"amount": 1, "price": 0, "industry": "4455"},
        ],
        CASE,
    )
    assert frame["amount"].fillna(-9).tolist() == [5, -9, -9, 1]
    assert frame["share"].iloc[0] == 0.5
    assert frame["industry"].astype(object).where(frame["industry"].notna(), None).tolist() == ["44", None, None, "44"]


def test_like_requests_show_no_drift_and_say_how_many_were_compared():
    found = live_drift(requests(1000, seed=4), ANSWERS, REFERENCE, CASE)
    assert {column.status for column in found.columns} == {"stable"}
    (told,) = live_reasons(found, CASE)
    assert "1,000 were compared, 0 of 5 columns moved" in told.why


def test_protected_columns_are_never_sent_and_not_looked_for():
    found = live_drift(requests(1000, seed=4), ANSWERS, REFERENCE, CASE)
    assert [column.column for column in found.columns] == ["amount", "share", "industry", "price"]


def test_a_client_that_sends_another_unit_is_told_of_by_column():
    reasons = live_reasons(live_drift(requests(1000, seed=4, factor=100), ANSWERS, REFERENCE, CASE), CASE)
    assert [reason.column for reason in reasons] == ["amount", "share", None]
    assert reasons[0].why.startswith("Live requests: amount lies elsewhere")


def test_a_field_that_is_left_out_is_told_of():
    without = [{name: value for name, value in one.items() if name != "industry"} for one in requests(500, seed=5)]
    reasons = live_reasons(live_drift(without, ANSWERS[:500], REFERENCE, CASE), CASE)
    assert "industry" in [reason.column for reason in reasons]


def test_answers_that_moved_are_told_of():
    reasons = live_reasons(live_drift(requests(1000, seed=4), [0.9] * 1000, REFERENCE, CASE), CASE)
    assert [reason.column for reason in reasons] == ["the score", None]


@pytest.mark.parametrize("n", [0, 1, 99])
def test_few_requests_tell_nothing(n):
    found = live_drift(requests(n, seed=6), ANSWERS[:n], REFERENCE, CASE)
    assert live_reasons(found, CASE) == ()
