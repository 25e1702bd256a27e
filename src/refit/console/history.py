"""PSI by column over the last runs, as a table that is also a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from refit.store.rows import DecisionRow
from refit.usecase.policy import Drift

SHOWN_RUNS: Final = 30

Level = Literal["stable", "warn", "act", "none"]


@dataclass(frozen=True, slots=True)
class Cell:
    """PSI of one column in one run; None where it was not checked."""

    psi: float | None
    level: Level


@dataclass(frozen=True, slots=True)
class History:
    """Runs, oldest first, and of each column a cell a run; the column that moved most comes first."""

    runs: tuple[tuple[datetime, UUID], ...]
    columns: tuple[tuple[str, tuple[Cell, ...]], ...]


def history(decisions: Sequence[DecisionRow], limits: Drift) -> History:
    """Return the history that decisions, newest first, tell."""
    checked = [row for row in decisions if "columns" in (row.drift or {})][::-1]
    seen = [_psi(row) for row in checked]
    worst = {name: max(one.get(name) or 0.0 for one in seen) for one in seen for name in one}
    names = sorted(worst, key=lambda name: (-worst[name], name))
    rows = ((name, tuple(_cell(one.get(name), limits) for one in seen)) for name in names)
    return History(tuple((row.as_of, row.id) for row in checked), tuple(rows))


def _psi(row: DecisionRow) -> dict[str, float | None]:
    drift = row.drift or {}
    columns = [*drift.get("columns", []), *([drift["score"]] if drift.get("score") else [])]
    return {column["column"]: column["psi"] for column in columns}


def _cell(psi: float | None, limits: Drift) -> Cell:
    if psi is None:
        return Cell(None, "none")
    return Cell(psi, "act" if psi >= limits.act else "warn" if psi >= limits.warn else "stable")
