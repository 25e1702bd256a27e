"""The file that a search keeps its trials in: by what it is found again, and what it is after a disk tore it."""

import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from refit.loop.asof import Seen
from refit.loop.trials import kept_trials
from refit.scoring import bundle as bundles
from refit.training.train import train
from refit.usecase.policy import Search
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase

CASE = usecase(learners=["logistic_regression"], search={"trials": 6})
FRAME = book(900, signal=3.0).assign(_first_arrived_at=lambda frame: frame["_arrived_at"])
SEEN = Seen(FRAME, MADE_WITH["snapshot"], ())


class StoppedError(Exception):
    """What a test stops a search with."""


@pytest.fixture
def world(tmp_path):
    return SimpleNamespace(settings=SimpleNamespace(folder=tmp_path))


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "search" / "book"


def cut_off(world, seen=SEEN, case=CASE, search=None) -> None:
    with pytest.raises(StoppedError), kept_trials(world, case, seen, search):
        raise StoppedError


def changed(row: int, column: str, value: object) -> Seen:
    frame = FRAME.copy()
    frame.loc[row, column] = value
    return Seen(frame, SEEN.snapshot, ())


RIPE = int(FRAME.index[FRAME["_ripe"]][0])
YOUNG = int(FRAME.index[~FRAME["_ripe"]][0])
LATER = pd.Timestamp(AS_OF) + timedelta(minutes=1)


def test_a_search_finds_its_trials_again_whenever_it_is_asked_for(world, folder):
    cut_off(world)
    cut_off(world, changed(YOUNG, "_arrived_at", LATER))
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"seen": changed(RIPE, "_label", 1.0 - FRAME["_label"][RIPE])},
        {"seen": changed(RIPE, "_ripe", value=False)},
        {"seen": changed(RIPE, "_arrived_at", LATER)},
        {"seen": changed(RIPE, "_key", "99999")},
        {"seen": Seen(FRAME, "5e8", ())},
        {"seen": Seen(FRAME[::-1], SEEN.snapshot, ())},
        {"case": CASE.model_copy(update={"seed": 21})},
        {"search": Search(trials=7)},
    ],
    ids=["label", "maturity", "version", "record", "snapshot", "order", "use case", "budget"],
)
def test_whatever_else_a_search_depends_on_begins_another_one(world, folder, other):
    cut_off(world)
    cut_off(world, **other)
    assert len(list(folder.iterdir())) == 2


def test_once_a_model_is_kept_no_search_is_left_behind(world, folder):
    cut_off(world)
    cut_off(world, search=Search(trials=7))
    with kept_trials(world, CASE, SEEN, None):
        pass
    assert list(folder.iterdir()) == []


def searched(world, stop_at: str = ""):
    def progress(text, _done):
        if stop_at and stop_at in text:
            raise StoppedError

    with kept_trials(world, CASE, SEEN, None) as storage:
        return train(FRAME, CASE, AS_OF, **MADE_WITH, storage=storage, progress=progress).bundle


@pytest.mark.parametrize("torn", [b"", b"\0" * 100, b"\0" * 100 + b"\n"], ids=["cut", "zeros", "zeros and a newline"])
@pytest.mark.slow
def test_a_file_that_the_disk_tore_is_gone_on_with_as_far_as_it_is_whole(world, folder, torn):
    with pytest.raises(StoppedError):
        searched(world, "6 of 6")
    (file,) = folder.glob("*.log")
    before = file.read_bytes()
    os.truncate(file, file.stat().st_size - 9)
    with file.open("ab") as end:
        end.write(torn)
    cut_off(world)
    whole = before[: before.rindex(b"\n", 0, -1) + 1]
    assert file.read_bytes() == whole
    went_on = searched(world)
    assert bundles.to_files(went_on) == bundles.to_files(train(FRAME, CASE, AS_OF, **MADE_WITH).bundle)
    assert list(folder.iterdir()) == []
