"""What a decision rests on, and what it says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from refit.monitoring.psi import Drift
from refit.usecase.policy import Metric

Action = Literal["none", "block", "wait", "recalibrate", "retrain"]
Code = Literal[
    "rejects",
    "missing_values",
    "unseen_values",
    "no_champion",
    "nothing_new",
    "open_request",
    "few_labels",
    "too_old",
    "new_labels",
    "feature_drift",
    "score_drift",
    "minor_drift",
    "not_checked",
    "volume",
    "performance",
    "calibration",
    "age",
    "schedule",
    "live_drift",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that was looked at: what was seen, what was allowed, and what follows, in plain words."""

    code: Code
    why: str
    column: str | None = None
    seen: float | None = None
    allowed: str | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """How the champion did on records that matured after its training, with the interval of its metric."""

    metric: Metric
    promised: float
    seen: float
    low: float
    high: float
    n: int
    calibration_error: float | None = None


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """An action that was decided on an earlier day and that no run has taken yet."""

    action: Literal["recalibrate", "retrain"]
    as_of: datetime
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a decision may rest on, as known at `as_of`.

    Args:
        n_new: Records taken in since the last check; `n_rejected` were refused, and no later batch took them in.
        causes: Why records were refused, the commonest first, each with how many it concerns.
        new_matured: Records with a final label that no training has seen: since the champion's, or since the last
            attempt's, whether or not its model was promoted.
        newest_ripe: Event time of the newest record whose label is final.
        first_ripe_on: Where no label is final yet, the day on which the first will be, if that is known.
        drift: Of all that arrived since the champion's training; `new_drift` of what no decision has let pass yet.
        live: Of what was asked of the champion, and what it answered.
    """

    as_of: datetime
    n_new: int
    n_rejected: int = 0
    causes: tuple[tuple[str, int], ...] = ()
    drift: Drift | None = None
    new_drift: Drift | None = None
    live: Drift | None = None
    champion_as_of: datetime | None = None
    last_attempt_as_of: datetime | None = None
    new_matured: int = 0
    newest_ripe: datetime | None = None
    first_ripe_on: datetime | None = None
    performance: Performance | None = None
    open_request: OpenRequest | None = None
    schedule_due: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What monitoring concluded. The reasons that carried it come first."""

    action: Action
    reasons: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {"action": self.action, "reasons": [asdict(reason) for reason in self.reasons]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Decision":
        """Return the decision that `to_json` wrote."""
        return cls(content["action"], tuple(Reason(**reason) for reason in content["reasons"]))
