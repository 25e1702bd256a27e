import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from bentos.spool import Spool
from refit.cli import app
from refit.commands import decisions
from refit.errors import ContractError, DataError, OutageError, ReleaseError
from refit.loop import decision
from refit.loop.mover import spool_folder
from refit.loop.wiring import Desk
from refit.settings import Settings
from refit.store.rows import PredictionRow
from refit.store.segments import segments
from tests.unit.loop.logged import entry


@dataclass(frozen=True)
class Replayed:
    equal: bool

    def to_json(self, *, show_inputs: bool) -> dict[str, Any]:
        return {"equal": self.equal, "shown": show_inputs}


@pytest.mark.parametrize(("equal", "code"), [(True, 0), (False, decisions.DIFFERENT)], ids=["the same", "another"])
def test_an_answer_that_comes_out_different_is_told_by_the_exit_code(monkeypatch, equal, code):
    monkeypatch.setattr(decisions, "open_stores", nullcontext)
    monkeypatch.setattr(decision, "replay", lambda _world, _id: Replayed(equal))
    done = CliRunner().invoke(app, ["decision", "d-1", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["equal"]) == (code, equal)


def test_that_exit_code_is_no_other_failures_own():
    taken = {1, *(kind.exit_code for kind in (ContractError, DataError, ReleaseError, OutageError))}
    assert decisions.DIFFERENT not in {0, *taken}


class FakeLedger:
    """Keeps what is moved."""

    def __init__(self) -> None:
        self.rows: list[PredictionRow] = []

    def keep_predictions(self, rows: Sequence[PredictionRow]) -> int:
        self.rows += rows
        return len(rows)


@pytest.fixture
def desk(monkeypatch, tmp_path) -> Desk:
    """A desk whose machine keeps the spool of a use case that has no file."""
    desk = Desk(Settings(home=tmp_path / "home", usecases=tmp_path), FakeLedger())
    monkeypatch.setattr(decisions, "open_stores", lambda: nullcontext(desk))
    spool = Spool(spool_folder(desk.settings, "old"), 1 << 20)
    spool.append([entry(usecase="old") for _ in range(2)])
    spool.close()
    return desk


def test_what_a_use_case_left_behind_is_moved_though_its_file_is_gone(desk):
    done = CliRunner().invoke(app, ["log", "move", "old", "--json"])
    assert json.loads(done.stdout) == {"n_moved": 2, "n_known": 0, "n_quarantined": 0}
    assert [row.usecase for row in desk.ledger.rows] == ["old", "old"]
    assert segments(spool_folder(desk.settings, "old")) == []


@pytest.mark.parametrize("name", ["nobody", "..", ".", "", "old/", "../spool/old", "a_file"])
def test_a_name_that_is_neither_a_use_case_nor_a_spool_is_refused(desk, name):
    (desk.settings.folder / "spool" / "a_file").touch()
    done = CliRunner().invoke(app, ["log", "move", name])
    assert isinstance(done.exception, ContractError)
    assert "unknown use case" in str(done.exception)
    assert desk.ledger.rows == []
