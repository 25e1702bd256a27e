"""The as-of read: the lake seen from a day, and the snapshot that names what was seen."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from refit.intake.frame import frame, n_ahead
from refit.intake.validate import lake_schema
from refit.loop.wiring import World
from refit.store.rows import SnapshotRow
from refit.usecase.model import UseCase


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at a day: the frame, and the name of the snapshot it was read from.

    `n_ahead` records arrived by then with a date that is later still; the frame is without them.
    """

    frame: pd.DataFrame
    snapshot: str
    batches: tuple[str, ...]
    n_ahead: int = 0


def read(world: World, usecase: UseCase, as_of: datetime) -> Seen:
    """Return the records of the lake as known at `as_of`, and keep the snapshot in the ledger.

    Raises:
        DataError: A batch is missing or does not fit the contract.
    """
    batches = world.ledger.batches(usecase.name, as_of)
    names = tuple(batch.sha256 for batch in batches)
    snapshot = hashlib.sha256("\n".join([usecase.name, *names]).encode()).hexdigest()
    world.ledger.record_snapshot(SnapshotRow(sha256=snapshot, usecase=usecase.name, as_of=as_of, batches=names))
    schema = lake_schema(usecase)
    records = world.lake.read([batch.path for batch in batches], schema.names, schema)
    return Seen(frame(records, usecase, as_of), snapshot, names, n_ahead(records, as_of))
