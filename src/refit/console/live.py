"""The live model, and how old what it knows is: the overview and the metrics tell the same figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from refit.store.ledger import Ledger
from refit.store.rows import ReleaseRow


@dataclass(frozen=True, slots=True)
class Live:
    """A release, the day up to which its model knows the data, and what the model promised on its own test."""

    release: ReleaseRow
    known_until: datetime
    metrics: Mapping[str, Any]

    def age(self, now: datetime) -> timedelta:
        """Return how long ago that day was; never less than nothing."""
        return max(now - self.known_until, timedelta(0))


def live_model(ledger: Ledger, usecase: str) -> Live | None:
    """Return what is live, None where nothing is. A rollback is new, its model is not."""
    release = ledger.live(usecase)
    if release is None:
        return None
    bundle = ledger.bundle_head(release.version)
    return Live(release, release.as_of, {}) if bundle is None else Live(release, bundle.as_of, bundle.metrics)
