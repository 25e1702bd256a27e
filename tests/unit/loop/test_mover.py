"""Segments and entries that cannot be moved, beside others that can."""

import os
from collections.abc import Sequence

import pytest

from bentos.spool import Spool
from refit.errors import OutageError
from refit.loop import mover
from refit.loop.mover import Moved, move
from refit.store.predictions import _line
from refit.store.rows import PredictionRow
from refit.store.segments import segments
from tests.unit.loop.logged import entry


class FakeLedger:
    """Writes each row as the ledger does, and keeps its id."""

    def __init__(self) -> None:
        self.ids = set()

    def keep_predictions(self, rows: Sequence[PredictionRow]) -> int:
        before = len(self.ids)
        self.ids |= {row.id for row in rows if _line(row)}
        return len(self.ids) - before


@pytest.fixture
def three(tmp_path):
    """A spool of three segments whose writers are gone, one entry in each."""
    spool = Spool(tmp_path, 1 << 20)
    for _ in range(3):
        spool.append([entry()])
        spool.close()
    return tmp_path


def test_a_segment_of_another_user_keeps_none_of_the_others_waiting(three, monkeypatch):
    barred, opened = str(segments(three)[0].path), os.open

    def refusing(path, *given, **named):
        if str(path) == barred:
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *given, **named)

    ledger = FakeLedger()
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refusing)
        with pytest.raises(OutageError, match="Permission denied"):
            move(ledger, three)
    assert len(ledger.ids) == 2
    assert move(ledger, three) == Moved(1, 0, 0)


def test_a_folder_with_the_name_of_a_segment_keeps_none_of_the_others_waiting(three):
    (three / "00000.log").mkdir()
    ledger = FakeLedger()
    with pytest.raises(OutageError, match=r"00000\.log"):
        move(ledger, three)
    assert len(ledger.ids) == 3


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_that_no_calendar_has_in_utc_is_put_aside_and_holds_nothing_up(three, at):
    spool = Spool(three, 1 << 20)
    spool.append([entry(at=at)])
    spool.close()
    ledger = FakeLedger()
    assert move(ledger, three) == Moved(3, 0, 1)
    assert segments(three) == []


def test_a_great_batch_is_moved_some_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(mover, "AT_ONCE", 4)
    sizes = []

    class Counting(FakeLedger):
        def keep_predictions(self, rows):
            sizes.append(len(rows))
            return super().keep_predictions(rows)

    spool = Spool(tmp_path, 1 << 20)
    spool.append([entry() for _ in range(10)])
    spool.close()
    assert move(Counting(), tmp_path) == Moved(10, 0, 0)
    assert sizes == [4, 4, 2]
    assert segments(tmp_path) == []
