"""What is wrong with the stores, and what to do about it. Looks only; changes nothing."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal

from refit.errors import RefitError
from refit.intake.validate import source_columns
from refit.loop.release import bundle_folder
from refit.loop.wiring import World
from refit.release.bento import bento_path
from refit.scoring import bundle as bundles
from refit.usecase.model import UseCase

LEAST_FREE_BYTES: Final = 2 << 30
LATE: Final = timedelta(hours=36)
"""A night is missed where the last one ended longer ago than this; each use case runs once a day."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination: what was looked at, how it is, and what to do where it is not well."""

    part: str
    state: Literal["ok", "warning", "wrong"]
    seen: str
    do: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def examine(world: World, usecases: list[UseCase], now: datetime) -> Iterator[Finding]:
    """Yield a finding for each part: disk, ledger, and for each use case source, lake, nights, requests, live model."""
    yield _disk(world)
    yield Finding("ledger", "ok", "Postgres answers, and its tables are of this version")
    for usecase in usecases:
        looks: list[tuple[str, Callable[[], Finding]]] = [
            ("source", partial(_source, world, usecase)),
            ("lake", partial(_lake, world, usecase)),
            ("nights", partial(_nights, world, usecase, now)),
            ("requests", partial(_requests, world, usecase, now)),
            ("live model", partial(_live, world, usecase)),
        ]
        for part, look in looks:
            yield _safely(f"{usecase.name}: {part}", look)


def _safely(part: str, look: Callable[[], Finding]) -> Finding:
    try:
        found = look()
    except RefitError as error:
        return Finding(part, "wrong", str(error), "see the message")
    return Finding(part, found.state, found.seen, found.do)


def _disk(world: World) -> Finding:
    folder = world.settings.folder
    free = shutil.disk_usage(folder).free
    seen = f"{free / (1 << 30):,.1f} GB free under {folder}"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", "warning", seen, "make room: `refit sweep --dry-run` says what could go")
    return Finding("disk", "ok", seen)


def _source(world: World, usecase: UseCase) -> Finding:
    table = usecase.source.table
    types = world.source.column_types(table)
    if not types and world.ledger.watermark(usecase.name) is not None:
        seen = f"{table} was read before, and is gone"
        return Finding("", "wrong", seen, "bring it back, or name another in `source`: every night fails until then")
    if not types:
        return Finding("", "warning", f"there is no table {table}", f"load it: refit load {usecase.name} FILE")
    if missing := [name for name in source_columns(usecase) if name not in types]:
        return Finding("", "wrong", f"{table} lacks {', '.join(missing)}", "mend the table or the use-case file")
    return Finding("", "ok", f"{table} has every column the contract reads")


def _lake(world: World, usecase: UseCase) -> Finding:
    batches = world.ledger.batches(usecase.name)
    there = set(world.lake.paths(usecase.name))
    lost = [row.path for row in batches if row.n_records and row.path not in there]
    if lost:
        seen = f"{len(lost)} of {len(batches)} batches are gone, first {lost[0]}"
        return Finding("", "wrong", seen, "restore the lake")
    records = sum(row.n_records for row in batches)
    return Finding("", "ok", f"{len(batches)} batches, {records:,} records, every file is there")


def _nights(world: World, usecase: UseCase, now: datetime) -> Finding:
    newest = next(iter(world.ledger.runs(usecase.name, limit=1, kind="nightly")), None)
    if newest is None:
        return Finding("", "ok", "none has run yet")
    seen = f"the last ended {newest.finished_at:%Y-%m-%d %H:%M} UTC, {newest.outcome}"
    if newest.outcome != "completed":
        return Finding("", "wrong", seen, f"see its run in the Prefect UI, then: refit nightly {usecase.name}")
    if now - newest.finished_at > LATE:
        return Finding("", "warning", seen, "is a worker running, and is the schedule on?")
    return Finding("", "ok", seen)


def _requests(world: World, usecase: UseCase, now: datetime) -> Finding:
    waiting = world.ledger.open_decisions(usecase.name)
    if not waiting:
        return Finding("", "ok", "nothing is waiting to be trained")
    oldest = waiting[-1]
    seen = f"{len(waiting)} asked for and not carried out, the oldest as of {oldest.as_of:%Y-%m-%d}"
    state: Literal["ok", "warning"] = "warning" if now - oldest.as_of > LATE else "ok"
    return Finding("", state, seen, f"the next night takes it up, or: refit retrain {usecase.name}")


def _live(world: World, usecase: UseCase) -> Finding:
    live = world.ledger.live(usecase.name)
    if live is None:
        return Finding("", "ok", "nothing is live yet")
    bundles.load(bundle_folder(world, live.version))
    if not bento_path(live.bento_tag, world.settings.bentoml).is_dir():
        return Finding(
            "", "wrong", f"the Bento of {live.version} is gone", f"refit rollback {usecase.name}, or restore it"
        )
    return Finding("", "ok", f"{live.version}: bundle and Bento are whole")
