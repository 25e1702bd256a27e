"""Where a search keeps its trials while it runs, so that one that was stopped goes on."""

import hashlib
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from refit.intake.frame import FIRST_ARRIVED_AT, LABEL, RIPE
from refit.intake.validate import ARRIVED_AT, EVENT_TIME, KEY
from refit.loop.asof import Seen
from refit.loop.wiring import World, code_version
from refit.usecase.model import UseCase
from refit.usecase.policy import Search


@contextmanager
def kept_trials(world: World, usecase: UseCase, seen: Seen, search: Search | None) -> Generator[Any, None, None]:
    """Give the search a file to keep its trials in; removed once a model is kept, left where it was cut off.

    The file's name holds all that the trials depend on, so that other records, another use case file or budget start
    anew. The moment is not of it: the same command given again a minute later goes on.
    """
    budget = usecase.search if search is None else search
    if budget.trials == 0:
        yield None
        return
    # imported here: half a second that only a search needs
    from optuna.storages import JournalStorage  # noqa: PLC0415
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415

    asked = f"{usecase.model_dump_json()} {budget.model_dump_json()} {_taught_by(seen)} {code_version()}"
    folder = world.settings.folder / "search" / usecase.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.log"
    _cut_off_torn(file)
    yield JournalStorage(JournalFileBackend(str(file)))
    for searched in folder.glob("*.log*"):  # one at a time: those beside it are of searches that nobody went on with
        searched.unlink(missing_ok=True)


def _taught_by(seen: Seen) -> str:
    """Name the matured records as seen: which version of each, in which order, with what label."""
    ready = seen.frame[seen.frame[RIPE] & seen.frame[LABEL].notna()]
    known = ready[[KEY, ARRIVED_AT, FIRST_ARRIVED_AT, EVENT_TIME, LABEL]]
    hashes = pd.util.hash_pandas_object(known, index=False, categorize=False)
    return hashlib.sha256(seen.snapshot.encode() + hashes.to_numpy().tobytes()).hexdigest()


def _cut_off_torn(file: Path) -> None:
    """Cut off what a full disk or a power cut left of a last line; the trial it told of is tried again."""
    if not file.exists():
        return
    whole = 0
    for line in (content := file.read_bytes()).splitlines(keepends=True):
        if not (line.endswith(b"\n") and _is_json(line)):
            break
        whole += len(line)
    if whole < len(content):
        os.truncate(file, whole)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
