"""One line of a verdict, and the verdict."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["pass", "fail", "warning", "not applicable"]
"""A warning refuses nothing: it says what the test cannot tell, for whoever relies on it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verdict: what was asked, what was seen, what was allowed."""

    name: str
    outcome: Outcome
    seen: float | None
    allowed: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate concluded: promote only if no check failed."""

    outcome: Literal["promote", "refuse"]
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome == "fail")

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"outcome": self.outcome, "checks": [asdict(check) for check in self.checks]}


def passed(*, true: bool) -> Outcome:
    """Return the outcome of a check that could be made."""
    return "pass" if true else "fail"


def not_applicable(name: str, allowed: str, why: str) -> Check:
    """Return a check that had nothing to look at."""
    return Check(name, "not applicable", None, allowed, why)


def listed(names: list[str], most: int = 5) -> str:
    """Return the names in a row, those beyond `most` as a count.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
