import numpy as np
import pandas as pd
import pytest

from refit.portfolio.book import book
from refit.portfolio.oddities import described, odd_dates
from tests.unit.portfolio.made import framed, usecase

N = 3000
RANDOM = np.random.default_rng(1)
AGE = RANDOM.integers(20, 60, N).astype(float)
INCOME = np.round(RANDOM.lognormal(10, 0.5, N))


def seen(name, values, **feature):
    number = np.asarray(values).dtype.kind in "fiu"
    case = usecase({name: {"type": "number" if number else "category"} | feature})
    (found,) = described(book(framed({name: values}, np.zeros(len(values))), case))
    return found


def replaced(values, share, by):
    return np.where(RANDOM.random(len(values)) < share, by, values)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("income", replaced(INCOME, 0.02, 9999999.0), "9,999,999 stands in"),
        ("income", replaced(INCOME, 0.02, -1.0), "-1 stands in"),
        ("income", replaced(INCOME, 0.02, 0.0), "0 stands in"),
        ("income", replaced(INCOME, 0.4, 30000.0), "30,000 stands in 4"),
        ("person_age", np.where(np.arange(N) < 4, 144.0, AGE), "4 values are above 110"),
        ("income", np.where(np.arange(N) < 2, 1e12, INCOME), "2 values lie far above all others"),
        ("income", np.where(np.arange(N) < 3, np.inf, INCOME), "3 values are infinite"),
        ("balance", np.where(np.arange(N) < 5, -20.0, INCOME), "5 values are negative"),
        ("income", np.full(N, 7.0), "one value only"),
        ("income", np.full(N, np.nan), "missing in every record"),
        ("state", np.array(["TX", "unknown"] * (N // 2)), "'unknown' stands in 1,500 records"),
        ("state", np.array(["TX", "tx ", "CA"] * (N // 3)), "1 value is written in more than one way"),
        ("email", np.array([f"person {i}" for i in range(N)]), "nearly a key"),
    ],
)  # fmt: skip
def test_what_is_odd_is_told(name, values, said):
    assert any(said in text for text in seen(name, values).odd), seen(name, values).odd


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("income", INCOME),
        ("change", RANDOM.normal(size=N)),
        ("jobs", RANDOM.poisson(3, N).astype(float)),
        ("term", RANDOM.choice([12.0, 24.0, 36.0], N)),
        ("score", RANDOM.integers(300, 850, N).astype(float)),
        ("state", RANDOM.choice(["TX", "CA", "NY"], N)),
    ],
)
def test_what_is_ordinary_is_not_called_odd(name, values):
    assert seen(name, values).odd == ()


def test_missing_values_and_distinct_ones_are_counted():
    found = seen("income", np.array([1.0, 2.0, 2.0, np.nan]))
    assert (found.n_missing, found.missing_share, found.n_distinct) == (1, 0.25, 2)
    assert found.quantiles == {}  # of so few records a quantile is a record


def test_no_exact_extreme_of_one_person_is_told():
    found = seen("income", np.where(np.arange(N) < 1, 123456789.0, INCOME))
    assert "123,456,789" not in str(found)
    assert "123456789" not in str(found)


def test_dates_ahead_or_heaped_on_one_day_are_told():
    event = pd.Timestamp("2001-01-01", tz="UTC") + pd.to_timedelta(RANDOM.integers(0, 700, N), unit="D")
    event = event.where(RANDOM.random(N) > 0.2, pd.Timestamp("2001-05-05", tz="UTC"))
    event = event.where(np.arange(N) >= 3, pd.Timestamp("2090-01-01", tz="UTC"))
    frame = framed({"income": INCOME}, np.zeros(N), event=event)
    case = usecase({"income": {"type": "number"}})
    said = odd_dates(book(frame, case), n_ahead=3)
    assert any("3 records are dated after" in text for text in said)
    assert any("of one day, 2001-05-05" in text for text in said)
