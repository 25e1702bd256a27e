"""What the contract refused: how many records, where they came from, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from refit.loop.wiring import Desk
from refit.store.refusals import Refusal
from refit.usecase.model import UseCase


@dataclass(frozen=True, slots=True)
class Refused:
    """How many records of a use case were refused, by how many loads and ingests, and the newest of these in full."""

    usecase: str
    n_rejected: int
    n_sources: int
    sources: tuple[Refusal, ...]

    def to_json(self, *, show_keys: bool = False) -> dict[str, Any]:
        """Return it as plain data; lines of files are always told, keys of records only where they are asked for."""
        return {
            "usecase": self.usecase,
            "n_rejected": self.n_rejected,
            "n_sources": self.n_sources,
            "sources": [_told(one, show_keys=show_keys or one.origin == "load") for one in self.sources],
        }


def refused(
    desk: Desk, usecase: UseCase, as_of: datetime | None, *, source: str | None = None, limit: int = 10
) -> Refused:
    """Return what was refused of a use case up to `as_of`, or ever.

    Args:
        source: Only by the file or batch whose name begins so.
        limit: So many loads and ingests are told in full, the newest.
    """
    found = desk.ledger.refusals(usecase.name, as_of, source=source)
    shown = tuple(replace(one, causes=desk.ledger.causes_of(usecase.name, one)) for one in found[:limit])
    return Refused(usecase.name, sum(one.n for one in found), len(found), shown)


def _told(refusal: Refusal, *, show_keys: bool) -> Mapping[str, Any]:
    causes = [
        {"column": one.column, "why": one.why, "n": one.n, "places": list(one.places) if show_keys else []}
        for one in refusal.causes
    ]
    return {**asdict(refusal), "causes": causes}
