from datetime import UTC, datetime, timedelta

import pytest

from refit.errors import ContractError
from refit.loop.days import AHEAD, SIMULATED, end_of, lived

NOW = datetime(2003, 6, 30, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment",
    [datetime(1999, 12, 31, tzinfo=UTC), NOW, end_of(NOW.date()), NOW + AHEAD],
    ids=["long ago", "now", "the end of today", "a day ahead"],
)
def test_what_is_lived_or_about_to_be_may_be_looked_at(moment):
    assert lived(moment, NOW, "sba") is moment


@pytest.mark.parametrize(
    "moment",
    [NOW + AHEAD + timedelta(microseconds=1), end_of(NOW.date() + AHEAD), datetime.max.replace(tzinfo=UTC)],
    ids=["more than a day ahead", "the end of tomorrow", "the last day of all"],
)
def test_what_is_still_to_come_is_refused_and_it_says_which_day_to_give(moment):
    with pytest.raises(ContractError, match="Give 2003-06-30 or an earlier day"):
        lived(moment, NOW, "sba")


def test_of_the_simulated_book_no_day_is_still_to_come():
    assert lived(NOW + 100 * AHEAD, NOW, SIMULATED) == NOW + 100 * AHEAD
