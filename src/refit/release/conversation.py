"""The supervisor's talk with the ledger, on a thread of its own: a ledger that is down must not stop serving."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from refit.errors import OutageError
from refit.release.child import Release

LAST_WORD_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 8.0
MOST_FAILURES: Final = 16

log = structlog.get_logger()


class Conversation:
    """Asks again and again which release is desired, and reports what became of each until the report is taken."""

    def __init__(
        self,
        desired: Callable[[], Release | None],
        heard: Callable[[Release | None], None],
        poll_seconds: float,
        unheard: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            desired: Asked every `poll_seconds`, and less and less often while it raises.
            heard: Told what it answered.
            poll_seconds: How long to wait between two questions.
            unheard: Told why there was no answer, each time.
        """
        self._desired = desired
        self._heard = heard
        self._unheard = unheard
        self._poll_seconds = poll_seconds
        self._failures = 0
        self._reports: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._ending = False
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def report(self, deliver: Callable[[], None]) -> None:
        """Have `deliver` called soon, in the order of these calls, and again until it does not raise."""
        self._reports.append(deliver)
        self._wake.set()

    def close(self) -> None:
        """Deliver what is left, if the ledger will have it, and end."""
        self._ending = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(LAST_WORD_SECONDS)

    def _run(self) -> None:
        while not self._ending:
            self._wake.clear()
            self._turn()
            self._wake.wait(self._pause())
        self._turn()

    def _pause(self) -> float:
        return min(self._poll_seconds * 2.0**self._failures, max(self._poll_seconds, LONGEST_PAUSE_SECONDS))

    def _turn(self) -> None:
        try:
            while self._reports:
                self._deliver(self._reports[0])
                self._reports.popleft()
            if not self._ending:
                self._heard(self._desired())
        except OutageError as error:
            self._in_trouble(error, str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the ledger, what is live stays live
            self._in_trouble(error, f"{type(error).__name__}: {error}")
        else:
            if self._trouble:
                log.info("release.ledger_back")
            self._failures, self._trouble = 0, ""

    def _deliver(self, report: Callable[[], None]) -> None:
        try:
            report()
        except OutageError:
            raise
        except Exception:
            log.exception("release.report_lost")  # a retry would fail the same way, and keep all later ones waiting

    def _in_trouble(self, error: Exception, why: str) -> None:
        if why != self._trouble:
            log.warning("release.ledger_unreachable", why=why, then="what is live stays live; it is asked again")
        self._failures, self._trouble = min(self._failures + 1, MOST_FAILURES), why
        try:
            self._unheard(error)
        except Exception:
            log.exception("release.unheard")  # this thread must go on asking
