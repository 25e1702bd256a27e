"""What monitoring concluded, and who carried it out."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from refit.store.database import Database, columns
from refit.store.rows import DecisionRow, DecisionTakenRow
from refit.store.tables import DECISION, DECISION_TAKEN

_SELECT = select(*columns(DECISION, DecisionRow))


class Decisions(Database):
    """The ledger's pages on decisions."""

    def record_decision(self, decision: DecisionRow) -> None:
        """Keep a decision."""
        self._add(DECISION, decision)

    def take_decision(self, decision_id: UUID, by: str, outcome: str) -> bool:
        """Note that `by` carried the decision out; False if somebody had before."""
        return self._add(DECISION_TAKEN, DecisionTakenRow(decision_id=decision_id, by=by, outcome=outcome))

    def decision(self, decision_id: UUID) -> DecisionRow | None:
        """Return one decision."""
        return self._row(DecisionRow, _SELECT.where(DECISION.c.id == decision_id))

    def decision_taken(self, decision_id: UUID) -> DecisionTakenRow | None:
        """Return who carried the decision out, None while nobody has."""
        query = select(*columns(DECISION_TAKEN, DecisionTakenRow))
        return self._row(DecisionTakenRow, query.where(DECISION_TAKEN.c.decision_id == decision_id))

    def open_decisions(self, usecase: str, as_of: datetime | None = None) -> list[DecisionRow]:
        """Return the decisions to train that nobody has carried out, of `as_of` or before, newest first."""
        taken = select(DECISION_TAKEN.c.decision_id)
        query = _SELECT.where(
            DECISION.c.usecase == usecase,
            DECISION.c.action.in_(["retrain", "recalibrate"]),
            DECISION.c.id.not_in(taken),
        )
        if as_of is not None:
            query = query.where(DECISION.c.as_of <= as_of)
        return self._rows(DecisionRow, query.order_by(DECISION.c.number.desc()))

    def decisions(
        self, usecase: str, limit: int = 100, *, checked: bool = False, before: int | None = None
    ) -> list[DecisionRow]:
        """Return decisions, newest first.

        Args:
            checked: Only those that compared new records; live requests alone leave no columns.
            before: Only those older than the decision of this number.
        """
        query = _SELECT.where(DECISION.c.usecase == usecase)
        if checked:
            query = query.where(DECISION.c.drift.has_key("columns"))
        if before is not None:
            query = query.where(DECISION.c.number < before)
        return self._rows(DecisionRow, query.order_by(DECISION.c.number.desc()).limit(limit))

    def last_decision(self, usecase: str, as_of: datetime | None = None) -> DecisionRow | None:
        """Return the decision of the latest day, of `as_of` or before; of one day's, the newest."""
        query = _SELECT.where(DECISION.c.usecase == usecase)
        if as_of is not None:
            query = query.where(DECISION.c.as_of <= as_of)
        return self._row(DecisionRow, query.order_by(DECISION.c.as_of.desc(), DECISION.c.number.desc()))
