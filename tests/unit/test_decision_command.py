import json
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from refit.cli import app
from refit.commands import decisions
from refit.errors import ContractError, DataError, OutageError, ReleaseError
from refit.loop import decision


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
