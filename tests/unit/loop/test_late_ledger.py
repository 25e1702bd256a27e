"""A ledger that is opened when Postgres answers."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from refit.errors import ContractError, OutageError
from refit.loop import late_ledger as module
from refit.loop.late_ledger import LateLedger, open_late_desk
from refit.settings import Settings


class FakePostgres:
    """Counts who opens it and who lets go; `trouble` is what it says instead of opening."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.tried = self.opened = self.closed = 0

    @contextmanager
    def open_desk(self, _settings: Settings):
        self.tried += 1
        if self.trouble is not None:
            raise self.trouble
        self.opened += 1
        yield SimpleNamespace(ledger=SimpleNamespace(live=lambda usecase: f"live {usecase}"))
        self.closed += 1


@pytest.fixture
def postgres(monkeypatch) -> FakePostgres:
    fake = FakePostgres()
    monkeypatch.setattr(module, "open_desk", fake.open_desk)
    return fake


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path)


def test_it_is_opened_once_at_the_first_use_that_goes_well_and_let_go_at_the_end(postgres, settings, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    postgres.trouble = OutageError("down")
    with open_late_desk(settings, wait=lambda: True) as desk:
        with pytest.raises(OutageError, match="down"):
            desk.ledger.live("toy")
        assert postgres.tried == 2
        postgres.trouble = None
        assert [desk.ledger.live("toy"), desk.ledger.live("toy")] == ["live toy"] * 2
        assert (postgres.opened, postgres.closed) == (1, 0)
    assert postgres.closed == 1


def test_two_who_ask_at_once_wait_for_one_failure(postgres, settings, monkeypatch):
    monkeypatch.setattr(module, "FRESH_SECONDS", 600.0)
    postgres.trouble = OutageError("down")
    ledger = LateLedger(settings)
    for _ in range(3):
        with pytest.raises(OutageError, match="down"):
            ledger.open()
    assert postgres.tried == 1
    ledger.close()


@pytest.mark.parametrize(
    ("trouble", "wait"),
    [(OutageError("down"), False), (ContractError("a newer version"), True)],
    ids=["an outage nobody waits for", "what no waiting mends"],
)
def test_what_need_not_be_waited_for_ends_the_start(postgres, settings, trouble, wait):
    postgres.trouble = trouble
    with pytest.raises(type(trouble), match=str(trouble)), open_late_desk(settings, wait=lambda: wait):
        pass
