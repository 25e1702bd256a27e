"""How long to search, as one writes it on a command line."""

import re
from typing import Final

from refit.errors import ContractError
from refit.usecase.policy import Search

FORMS: Final = "40, 40 trials, 90s, 5m, 1h, or trials and time together as in '40 trials 5m'"
SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
MOST_TRIALS: Final = 100_000
_BUDGET: Final = re.compile(
    r"(?:(?P<trials>[0-9]+)(?:\s*trials?)?)?(?:(?:^|\s+)(?P<time>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[smh]))?", re.ASCII
)


def budget(text: str) -> Search:
    """Return the budget that a text such as `40 trials 5m` means; of time alone, trials are without limit.

    Raises:
        ContractError: It is none; says what one looks like.

    Examples:
        >>> budget("40")
        Search(trials=40, seconds=None)
        >>> budget("5m")
        Search(trials=None, seconds=300.0)
        >>> budget("40 trials 90s")
        Search(trials=40, seconds=90.0)
    """
    found = _BUDGET.fullmatch(text.strip().lower())
    if found is None or not text.strip():
        raise ContractError(f"budget {text!r}: write {FORMS}")
    trials = None if found["trials"] is None else int(found["trials"])
    seconds = None if found["time"] is None else float(found["time"]) * SECONDS[found["unit"]]
    if seconds == 0 or (trials or 0) > MOST_TRIALS:
        raise ContractError(f"budget {text!r}: more than no time and at most {MOST_TRIALS:,} trials; write {FORMS}")
    return Search(trials=trials, seconds=seconds)
