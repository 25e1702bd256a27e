"""The moment a step sees the records from: the end of a day, and never a day that nobody has lived yet."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from refit.errors import ContractError

AHEAD: Final = timedelta(days=1)
"""So far ahead a moment may lie, so that today can be seen whole."""


def end_of(day: date) -> datetime:
    """Return the last moment of a day, in UTC.

    >>> end_of(date(2003, 6, 30)).isoformat()
    '2003-06-30T23:59:59.999999+00:00'
    """
    return datetime.combine(day, time.max, UTC)


SIMULATED: Final = "demo"
"""The use case whose book is drawn as of any day, with what became of each loan by then: no day of it is to come."""


def lived(moment: datetime, now: datetime, usecase: str) -> datetime:
    """Return the moment, unless it is still to come: a loan that nobody has watched until then would count as good.

    Raises:
        ContractError: It lies more than a day ahead of `now`.
    """
    if usecase != SIMULATED and moment - now > AHEAD:
        raise ContractError(
            f"{moment:%Y-%m-%d} is still to come: nobody knows yet how a loan stands then. Give {now:%Y-%m-%d} or an "
            "earlier day (days are in UTC)"
        )
    return moment
