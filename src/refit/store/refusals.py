"""What was refused, summed up: by load or ingest, and in each by cause."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, Text, column, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from refit.store.database import Database
from refit.store.rows import BatchRow
from refit.store.tables import REJECT

PLACES: Final = 5
"""So many places are named of each cause."""

_REASON: Final = (
    func.jsonb_to_recordset(REJECT.c.reasons)
    .table_valued(column("column", Text), column("why", Text), joins_implicitly=True)
    .render_derived("reason", with_types=True)
)
_CAUSE: Final = (_REASON.c.column, _REASON.c.why)
_FROM: Final = (REJECT.c.origin, REJECT.c.source, REJECT.c.created_at)


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that was wrong: in which column, what, in how many records, and the first places of it."""

    column: str
    why: str
    n: int
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return column and fault; a line that is no row at all has no column."""
        return f"{self.column}: {self.why}" if self.column else self.why


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one load or one ingest refused; the commonest cause first. A record can have more causes than one."""

    origin: Literal["load", "ingest"]
    source: str
    as_of: datetime | None
    created_at: datetime
    n: int
    causes: tuple[Cause, ...] = ()


class Refusals(Database):
    """The ledger's sums over the records the contract refused."""

    def refusals(self, usecase: str, as_of: datetime | None = None, *, source: str | None = None) -> list[Refusal]:
        """Return each load and ingest that refused records, newest first, without causes.

        Args:
            as_of: Only what was refused by then; a load, which knows no such day, counts by its own moment.
            source: Only of the file or batch whose name begins so.
        """
        query = (
            select(REJECT.c.origin, REJECT.c.source, func.max(REJECT.c.as_of), REJECT.c.created_at, func.count())
            .where(REJECT.c.usecase == usecase)
            .group_by(*_FROM)
            .order_by(func.max(REJECT.c.number).desc())
        )
        if as_of is not None:
            query = query.where(func.coalesce(REJECT.c.as_of, REJECT.c.created_at) <= as_of)
        if source is not None:
            query = query.where(REJECT.c.source.startswith(source, autoescape=True))
        with self._transaction() as connection:
            return [Refusal(*row) for row in connection.execute(query)]

    def causes_of(self, usecase: str, refusal: Refusal) -> tuple[Cause, ...]:
        """Return why a load or an ingest refused records, the commonest cause first, with the first places of each."""
        wanted = dict(zip(_FROM, (refusal.origin, refusal.source, refusal.created_at), strict=True))
        first = func.array_agg(aggregate_order_by(REJECT.c.place, REJECT.c.number))
        query = _by_cause(func.count(), first[1:PLACES]).where(REJECT.c.usecase == usecase)
        with self._transaction() as connection:
            found = connection.execute(query.where(*(name == value for name, value in wanted.items())))
            return tuple(Cause(name, why, n, tuple(places)) for name, why, n, places in found)

    def causes(self, batches: Iterable[BatchRow], most: int) -> tuple[Cause, ...]:
        """Return why the ingests of a use case's `batches` refused records: the `most` commonest causes.

        A record that was refused more than once for a cause counts once, as far as its key tells.
        """
        moments = {batch.created_at: batch.usecase for batch in batches if batch.n_rejected}
        if not moments:
            return ()
        named = func.count(func.nullif(REJECT.c.place, "").distinct())
        query = _by_cause(named + func.count().filter(REJECT.c.place == "")).limit(most)
        with self._transaction() as connection:
            found = connection.execute(query.where(*_ingested(set(moments.values()), set(moments))))
            return tuple(Cause(name, why, n) for name, why, n in found)


def _by_cause(n: ColumnElement[int], *more: ColumnElement[Any]) -> Select[Any]:
    counted = n.label("n")
    query = select(*_CAUSE, counted, *more).select_from(REJECT, _REASON)  # in this order: the one reads the other
    return query.group_by(*_CAUSE).order_by(counted.desc(), *_CAUSE)


def _ingested(usecases: Collection[str], moments: Collection[datetime]) -> list[ColumnElement[bool]]:
    """Choose the rejects of ingests by the moment they share with their batch."""
    return [REJECT.c.usecase.in_(usecases), REJECT.c.origin == "ingest", REJECT.c.created_at.in_(moments)]
