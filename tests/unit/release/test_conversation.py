import threading
from pathlib import Path

import pytest

from refit.errors import OutageError
from refit.release.child import Release
from refit.release.conversation import LONGEST_PAUSE_SECONDS, Conversation

ONE, TWO = (Release(number, f"v{number}", f"refit_toy:v{number}", Path("nowhere")) for number in (1, 2))


class Talk:
    """A conversation whose ledger is a list of what to say or raise; the last stands for ever after."""

    def __init__(self, *says: object) -> None:
        self._says = list(says)
        self.heard: list[object] = []
        self.asked = threading.Semaphore(0)
        self.unheard: list[Exception] = []
        self.conversation = Conversation(self._desired, self.heard.append, 0.001, self.unheard.append)

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


def test_each_question_without_an_answer_is_told_with_its_reason(talking):
    faults = [OutageError("down"), RuntimeError("a fault of ours")]
    talk = talking(*faults, ONE)
    talk.turns(4)
    assert talk.unheard == faults


def test_a_fault_of_whoever_is_told_does_not_end_the_asking():
    heard = threading.Event()
    says = [OutageError("down"), ONE]

    def desired():
        said = says.pop(0) if len(says) > 1 else says[0]
        if isinstance(said, Exception):
            raise said
        return said

    conversation = Conversation(desired, lambda _: heard.set(), 0.001, lambda _: 1 / 0)
    conversation.start()
    assert heard.wait(5)
    conversation.close()


def test_a_ledger_in_trouble_is_asked_less_and_less_often_and_as_before_once_it_is_back():
    talk = Talk(ONE)
    pauses = [talk.conversation._pause()]
    for _ in range(40):
        talk.conversation._in_trouble(OutageError("down"), "down")
        pauses.append(talk.conversation._pause())
    assert pauses[:3] == [0.001, 0.002, 0.004]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    talk.conversation._turn()
    assert talk.conversation._pause() == 0.001


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
