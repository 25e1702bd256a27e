"""What was put live, put back, or refused."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select

from refit.store.database import Database, add, columns, to_row, to_values
from refit.store.rows import OverrideRow, ReleaseRow
from refit.store.tables import BUNDLE, OVERRIDE, RELEASE

_SELECT = select(*columns(RELEASE, ReleaseRow))


class Releases(Database):
    """The ledger's pages on releases."""

    def record_release(self, release: ReleaseRow, override: OverrideRow | None = None) -> ReleaseRow:
        """Keep a release, a rollback or a refusal, with the override it rests on; return it with its id."""
        statement = insert(RELEASE).values(to_values(release)).returning(*columns(RELEASE, ReleaseRow))
        with self._transaction() as connection:
            if override is not None:
                add(connection, OVERRIDE, override)
            return to_row(ReleaseRow, connection.execute(statement).mappings().one())

    def live(self, usecase: str, as_of: datetime | None = None) -> ReleaseRow | None:
        """Return what is live: the newest release or rollback that was not refused.

        Args:
            as_of: Leaves out models that know more than was known then. What a person put live or back since counts,
                whenever that was: a night of an earlier day is judged against what it would replace.
        """
        query = _put_live(usecase)
        if as_of is not None:
            made = select(BUNDLE.c.as_of).where(BUNDLE.c.version == RELEASE.c.version).scalar_subquery()
            query = query.where(func.coalesce(made, RELEASE.c.as_of) <= as_of)
        return self._row(ReleaseRow, query.order_by(RELEASE.c.id.desc()))

    def earlier(self, usecase: str) -> list[ReleaseRow]:
        """Return the releases one can roll back to, the one before the live one first."""
        return to_go_back_to(self._rows(ReleaseRow, _SELECT.where(RELEASE.c.usecase == usecase).order_by(RELEASE.c.id)))

    def releases(self, usecase: str | None = None, limit: int = 100, *, before: int | None = None) -> list[ReleaseRow]:
        """Return releases, rollbacks and refusals, newest first, of one use case or of all.

        Args:
            before: Only those older than the one of this id.
        """
        query = _SELECT if usecase is None else _SELECT.where(RELEASE.c.usecase == usecase)
        if before is not None:
            query = query.where(RELEASE.c.id < before)
        return self._rows(ReleaseRow, query.order_by(RELEASE.c.id.desc()).limit(limit))


def to_go_back_to(history: Sequence[ReleaseRow]) -> list[ReleaseRow]:
    """Return the releases one can roll back to, the one before the live one first.

    A version whose newest row is a refusal comes after all others, the longest refused first: it may well be refused
    again, and what lies before it would never be reached.

    Args:
        history: Releases, rollbacks and refusals of one use case, oldest first.
    """
    refused = {one.refuses for one in history}
    newest = {one.version: one for one in history}
    row = in_a_row(one for one in history if one.kind != "refused" and one.id not in refused)
    live = {one.version for one in row[-1:]}
    earlier = [one for one in reversed(row) if one.version not in live]
    return sorted(earlier, key=lambda one: newest[one.version].id or 0 if newest[one.version].kind == "refused" else 0)


def in_a_row(history: Iterable[ReleaseRow]) -> list[ReleaseRow]:
    """Return the releases one can go back through, the live one last.

    A rollback takes the version it left out of the row, so that a second one goes further back, not forth again.

    Args:
        history: Releases and rollbacks that were not refused, oldest first.
    """
    row: list[ReleaseRow] = []
    for one in history:
        versions = [release.version for release in row]
        if one.kind == "rollback" and one.version in versions:
            last = len(versions) - 1 - versions[::-1].index(one.version)
            row = row[: last + 1]
        elif not row or row[-1].version != one.version:
            row.append(one)
    return row


def _put_live(usecase: str) -> Select[Any]:
    refused = select(RELEASE.c.refuses).where(RELEASE.c.refuses.is_not(None))
    return _SELECT.where(RELEASE.c.usecase == usecase, RELEASE.c.kind != "refused", RELEASE.c.id.not_in(refused))
