import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import ContractError
from refit.training.budget import MOST_TRIALS, budget


@pytest.mark.parametrize(
    ("text", "trials", "seconds"),
    [
        ("40", 40, None),
        ("40 trials", 40, None),
        (" 1 Trial ", 1, None),
        ("0", 0, None),
        ("90s", None, 90.0),
        ("5m", None, 300.0),
        ("1.5 h", None, 5400.0),
        ("40 trials 5m", 40, 300.0),
        ("40 90s", 40, 90.0),
    ],
)
def test_trials_time_or_both_are_read(text, trials, seconds):
    found = budget(text)
    assert (found.trials, found.seconds) == (trials, seconds)


@pytest.mark.parametrize("text", ["", " ", "soon", "-3", "5m 40", "0s", "0 0s", "40trials5m", "1e3", "4.5", "5d"])
def test_any_other_text_is_refused_with_what_it_should_look_like(text):
    with pytest.raises(ContractError, match="40 trials 5m"):
        budget(text)


def test_more_trials_than_a_use_case_may_ask_for_are_refused():
    assert budget(str(MOST_TRIALS)).trials == MOST_TRIALS
    with pytest.raises(ContractError, match="100,000"):
        budget(str(MOST_TRIALS + 1))


@given(st.text("0123456789 trialsmh.", max_size=12))
def test_whatever_is_read_is_a_budget_that_ends(text):
    with contextlib.suppress(ContractError):
        found = budget(text)
        assert found.trials is not None or found.seconds is not None
