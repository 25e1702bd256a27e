"""A simulated personal-loan book: dated applications, outcomes that arrive months later, a drift and a size switch.

Each calendar month is drawn from its own seeded stream, so a loan never depends on the day it is looked at:
the book as of a later day holds the same loans, the newer ones, and what became of them since.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.errors import ContractError

Floats = NDArray[np.float64]
Moments = NDArray[np.datetime64]
Frame = pd.DataFrame

DAY_US: Final = 86_400_000_000
MONTH_US: Final = DAY_US * 365.25 / 12
FIRST_DUE_MONTHS: Final = 0.7
"""No loan defaults before its first payment is due."""
YEARLY_INTEREST: Final = 0.09

PURPOSES: Final = {
    "debt_consolidation": (0.37, 0.15),
    "car": (0.16, -0.25),
    "home_improvement": (0.14, -0.15),
    "credit_card": (0.12, 0.0),
    "medical": (0.07, 0.3),
    "education": (0.06, 0.1),
    "small_business": (0.05, 0.65),
    "other": (0.03, 0.2),
}
"""Each with its share of the applications, and what it adds to the log odds of a default."""

REGIONS: Final = {
    "capital": (0.22, -0.1),
    "north": (0.18, 0.1),
    "south": (0.17, 0.0),
    "east": (0.15, 0.15),
    "west": (0.15, -0.05),
    "islands": (0.13, 0.25),
}
NEW_REGION: Final = "abroad"
NEW_REGION_ADDS: Final = 0.5
HOMES: Final = ("rent", "mortgage", "own", "other")
_HOME_EDGES: Final = (0.47, 0.87, 1.02)

AGE_GROUPS: Final = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
_AGE_EDGES: Final = (25, 35, 45, 55, 65)
_TERMS: Final = np.array([12.0, 24.0, 36.0, 48.0, 60.0])
_TERM_EDGES: Final = (8.0, 8.7, 9.3, 9.9)

LOST: Final = {"income": 0.02, "debt_to_income": 0.03, "employment_years": 0.06, "credit_score": 0.04}
"""The share of applications in which a field is missing."""
SHIFT_INCOME: Final = 0.7
SHIFT_NEW_REGION: Final = 0.3
SHIFT_LOST_EMPLOYMENT: Final = 0.4
"""What the drift switch does: income times so much, so many from the new region, so many without employment."""

_HAZARD: Final = np.array([-2.2, -1.1, -0.5, -0.15, 0, 0, -0.1, -0.25, -0.5, -0.75, -1, -1.3] + [-2.4] * 6)
"""How the log odds of a default in each month on book differ from those of the fifth: it rises, then fades."""
_BASE: Final = -4.3
_CLUES_MISSED: Final = 0.45
"""How much of the risk no field shows, as a standard deviation in log odds."""


def simulate(
    as_of: datetime,
    *,
    months: int = 24,
    per_month: int = 1500,
    drift: bool = False,
    drift_from: date | None = None,
    seed: int = 20,
) -> Frame:
    """Return the book as it stands at `as_of`: one row a loan, nothing in it later than `as_of`.

    Args:
        as_of: With a time zone. The book goes back to the first day of the month `months` before it.
        months: Whole months before the month of `as_of`, which comes on top as far as it has gone.
        per_month: Applications in a whole month.
        drift: Applications shift: less income, a region never seen, employment often missing.
        drift_from: The first day that shifts; 30 days before `as_of` where none is named. Name one to compare
            the book of several days.
        seed: Another seed gives another book.

    Returns:
        (n_loans, 16) in order of application; money in whole dollars, moments in UTC, `updated_at` the last
        change of the row: the application, the default a few days after it happened, or the last payment.

    Raises:
        ContractError: `as_of` has no time zone, or a size is below 1.
    """
    if as_of.tzinfo is None:
        raise ContractError("as_of needs a time zone")
    if months < 1 or per_month < 1:
        raise ContractError(f"months {months} and per_month {per_month} must be 1 or more")
    now = as_of.astimezone(UTC)
    shift = np.datetime64((drift_from or (now - timedelta(days=30)).date()) if drift else date.max, "us")
    last = now.year * 12 + now.month - 1
    book = pd.concat(
        [_month(month, per_month, seed, shift, now) for month in range(last - months, last + 1)], ignore_index=True
    )
    for column in ("applied_at", "defaulted_on", "updated_at"):
        book[column] = book[column].dt.tz_localize("UTC")
    return book


def _month(month: int, n: int, seed: int, shift: np.datetime64, now: datetime) -> Frame:
    """Draw one calendar month (counted from the year 0), and show of it what is known at `now`.

    Every draw is made for all `n` loans and in one order, whatever `shift` and `now` are.
    """
    rng = np.random.default_rng([seed, month])
    first, length = _span(month)
    applied_at = first + np.sort(_microseconds(rng.random(n) * length))
    loans, shows = _applications(rng, applied_at, applied_at >= shift)
    loans.insert(0, "loan_id", [f"L{month // 12:04d}{month % 12 + 1:02d}{i:07d}" for i in range(n)])
    fails_after = _default_months(_log_odds(loans) + _CLUES_MISSED * rng.normal(size=n), loans["term_months"], rng)
    outcomes = _outcomes(loans, fails_after, rng, np.datetime64(now.replace(tzinfo=None), "us"))
    for name, seen in shows.items():
        loans[name] = loans[name].where(seen)
    book = pd.concat([loans, outcomes], axis="columns")
    return book[applied_at <= np.datetime64(now.replace(tzinfo=None), "us")]


def _applications(rng: np.random.Generator, applied_at: Moments, shifted: NDArray[np.bool_]) -> tuple[Frame, Frame]:
    """Return (n_loans, 10) true values, and for the fields that may be missing whether the lender sees them."""
    n = len(applied_at)
    quality = rng.normal(size=n)  # what stands behind the score, the income and the home
    age = np.clip(rng.gamma(6.0, 6.5, n) + 18, 18, 82)
    years = np.clip(rng.exponential(5.5, n), 0, (age - 18) * 0.8)
    income = np.exp(rng.normal(10.55, 0.42, n) + 0.12 * quality + 0.006 * (np.minimum(age, 58) - 38))
    income = np.round(np.clip(income * np.where(shifted, SHIFT_INCOME, 1), 6_000, 600_000), -2)
    amount = np.round(np.clip(np.exp(rng.normal(-1.35, 0.55, n)) * income, 1_000, 50_000), -2)
    term = _TERMS[np.digitize(np.log(amount) + 0.5 * rng.normal(size=n), _TERM_EDGES)]
    score = np.clip(np.round(664 + 52 * quality + 38 * rng.normal(size=n) + 0.35 * (age - 38)), 300, 850)
    debt = np.clip(rng.beta(2.2, 6.0, n) - 0.02 * quality, 0.0, 0.95)
    home = np.digitize(rng.random(n) + 0.08 * quality + 0.006 * (age - 38), _HOME_EDGES)
    purpose, region = _pick(rng.random(n), PURPOSES), _pick(rng.random(n), REGIONS)
    region[shifted & (rng.random(n) < SHIFT_NEW_REGION)] = NEW_REGION
    loans = pd.DataFrame(
        {
            "applied_at": applied_at,
            "income": income,
            "amount": amount,
            "term_months": term,
            "debt_to_income": np.round(debt, 3),
            "employment_years": np.round(years, 1),
            "credit_score": score,
            "home_ownership": np.array(HOMES, dtype=object)[home],
            "purpose": purpose,
            "region": region,
            "age_group": np.array(AGE_GROUPS, dtype=object)[np.digitize(age, _AGE_EDGES)],
        }
    )
    luck = {name: rng.random(n) for name in LOST}
    shows = pd.DataFrame({name: luck[name] >= share for name, share in LOST.items()})
    loans.loc[~shows["employment_years"], "employment_years"] = 0.0  # mostly people without a job leave it out
    shows["employment_years"] &= ~shifted | (luck["employment_years"] >= SHIFT_LOST_EMPLOYMENT)
    shows["debt_to_income"] &= shows["income"]
    return loans, shows


def _outcomes(loans: Frame, fails_after: Floats, rng: np.random.Generator, now: np.datetime64) -> Frame:
    """Return (n_loans, 4): what is booked of each loan at `now`, and when that was."""
    n = len(loans)
    applied_at, term = loans["applied_at"].to_numpy(), loans["term_months"].to_numpy()
    fails = ~np.isnan(fails_after)
    happened_on = (applied_at + _microseconds(np.nan_to_num(fails_after) * MONTH_US)).astype("datetime64[D]")
    ended_at = np.where(fails, happened_on.astype("datetime64[us]"), applied_at + _microseconds(term * MONTH_US))
    booked_at = ended_at + _microseconds((1 + 5 * rng.random(n)) * DAY_US)
    last_payment = rng.uniform(0.8, 1.0, n)  # before a default it is rarely a whole one
    ended = booked_at <= now
    paid = np.where(fails, np.nan_to_num(fails_after) / term * last_payment, 1.0) * ended
    return pd.DataFrame(
        {
            "status": np.array(["current", "repaid", "defaulted"], dtype=object)[ended * (1 + fails)],
            "defaulted_on": np.where(ended & fails, happened_on.astype("datetime64[us]"), np.datetime64("NaT", "us")),
            "paid_total": np.round(loans["amount"].to_numpy() * (1 + YEARLY_INTEREST * term / 24) * paid, 2),
            "updated_at": np.where(ended, booked_at, applied_at),
        }
    )


def _log_odds(loans: Frame) -> Floats:
    """Return the (n_loans,) log odds of a default in the fifth month on book."""
    income, debt = loans["income"], loans["debt_to_income"]
    burden = (loans["amount"] / income).clip(0, 1.2) * np.sqrt(36 / loans["term_months"])
    rents = loans["home_ownership"] == "rent"
    odds = (
        _BASE
        - 0.009 * (loans["credit_score"] - 664)
        + 1.5 * (burden - 0.3)
        + 2.2 * (debt - 0.27)
        + 3.0 * (debt - 0.42).clip(0)
        - 0.07 * loans["employment_years"].clip(0, 10)
        - 0.35 * (np.log(income) - 10.55)
        + 0.3 * rents
        - 0.25 * (loans["home_ownership"] == "own")
        + 0.45 * (rents & (burden > 0.45))  # noqa: PLR2004 - a corner that only a tree finds
        + loans["purpose"].map({name: adds for name, (_, adds) in PURPOSES.items()})
        + loans["region"].map({NEW_REGION: NEW_REGION_ADDS} | {name: adds for name, (_, adds) in REGIONS.items()})
    )
    return np.asarray(odds, dtype=np.float64)


def _default_months(odds: Floats, term: "pd.Series[float]", rng: np.random.Generator) -> Floats:
    """Return after how many months on book each loan defaults, NaN for never: a discrete-time logistic hazard."""
    luck, when = rng.random(len(odds)), rng.random(len(odds))
    survived = np.ones_like(odds)
    after = np.full_like(odds, np.nan)
    for month, lift in enumerate(_HAZARD):
        survives = survived / (1 + np.exp(odds + lift))
        fails = (luck < survived) & (luck >= survives) & (month < term.to_numpy())
        after[fails] = np.maximum(month + when[fails], FIRST_DUE_MONTHS)
        survived = survives
    return after


def _pick(draw: Floats, choices: dict[str, tuple[float, float]]) -> NDArray[np.object_]:
    shares = np.cumsum([share for share, _ in choices.values()])
    picked: NDArray[np.object_] = np.array(list(choices), dtype=object)[np.searchsorted(shares[:-1], draw, "right")]
    return picked


def _span(month: int) -> tuple[np.datetime64, float]:
    """Return the first moment of a month and its length in microseconds."""
    first = np.datetime64(f"{month // 12:04d}-{month % 12 + 1:02d}", "M")
    begin, end = first.astype("datetime64[us]"), (first + 1).astype("datetime64[us]")
    return begin, float((end - begin).astype(np.int64))


def _microseconds(length: Floats) -> NDArray[np.timedelta64]:
    return length.astype(np.int64).astype("timedelta64[us]")
