import threading
from pathlib import Path

import pytest

from refit.errors import OutageError
from refit.release.child import Release
from refit.release.conversation import Conversation

ONE, TWO = (Release(number, f"v{number}", f"refit_toy:v{number}", Path("nowhere")) for number in (1, 2))


class Talk:
    """A conversation whose ledger is a list of what to say or raise; the last stands for ever after."""

    def __init__(self, *says: object) -> None:
        self._says = list(says)
        self.heard: list[object] = []
        self.asked = threading.Semaphore(0)
        self.conversation = Conversation(self._desired, self.heard.append, 0.001)

    def _desired(self):
        self.asked.release()
        said = self._says.pop(0) if len(self._says) > 1 else self._says[0]
        if isinstance(said, Exception):
            raise said
        return said

    def turns(self, n: int) -> None:
        for _ in range(n):
            assert self.asked.acquire(timeout=5)


@pytest.fixture
def talking():
    talks = []

    def start(*says):
        talks.append(Talk(*says))
        talks[-1].conversation.start()
        return talks[-1]

    yield start
    for talk in talks:
        talk.conversation.close()


@pytest.mark.parametrize("fault", [OutageError("down"), RuntimeError("a fault of ours")], ids=["outage", "fault"])
def test_a_ledger_in_trouble_is_asked_again_and_heard_once_it_is_back(talking, fault):
    talk = talking(ONE, fault, fault, TWO)
    talk.turns(6)
    assert talk.heard[0] == ONE
    assert talk.heard[1] == TWO


def test_a_report_is_delivered_in_order_and_again_until_it_is_taken(talking):
    delivered = []
    failures = [OutageError("down"), OutageError("down")]

    def first():
        if failures:
            raise failures.pop()
        delivered.append("first")

    talk = talking(None)
    talk.conversation.report(first)
    talk.conversation.report(lambda: delivered.append("second"))
    while len(delivered) < 2:
        talk.turns(1)
    assert delivered == ["first", "second"]


def test_a_report_that_fails_by_a_fault_of_ours_does_not_hold_up_the_next(talking):
    delivered = threading.Event()
    talk = talking(None)
    talk.conversation.report(lambda: 1 / 0)
    talk.conversation.report(delivered.set)
    assert delivered.wait(5)


def test_what_was_reported_last_is_delivered_at_the_end():
    talk = Talk(None)
    delivered = []
    talk.conversation.start()
    talk.turns(1)
    talk.conversation.report(lambda: delivered.append(1))
    talk.conversation.close()
    assert delivered == [1]
