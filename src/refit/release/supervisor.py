"""Keeps one release live: owns the listening socket, and hands it from one generation to the next."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Final

import structlog

from refit.errors import OutageError, RefitError, ReleaseError
from refit.release.child import Child, Key, News, Release
from refit.release.conversation import Conversation
from refit.release.listening import ended_by_signals, listening
from refit.release.placeholder import NOBODY, Placeholder
from refit.scoring.keys import SHORT, VARIABLE, Keys

__all__ = ["Release", "Supervisor"]

TICK: Final = 0.2
STEADY_SECONDS: Final = 30.0
"""A generation that lived this long did not crash because of its start."""
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 30.0
MOST_DOUBLINGS: Final = 16
"""Beyond so many the pause is its longest anyway; and 2 to the power of a whole night's crashes is no float."""
MAX_LEAVING: Final = 4
"""So many old generations may wait for their clients; the eldest beyond that is told to hurry."""
LAST_SECONDS: Final = 1.0
IN_FLIGHT_SECONDS: Final = 35.0
"""A generation that ends has so long for what is in flight, or longer where a request may take longer."""
REQUEST_SECONDS: Final = "REFIT_REQUEST_SECONDS"
MARGIN_SECONDS: Final = 5.0
"""What a generation may take beyond its last request until it has ended by itself."""
TOLD: Final = ("swaps", "refusals", "restarts", "silent_since", "unconfirmed")
"""What the metrics show of us: three counts, since when the ledger gives no answer, and whether it has yet to confirm
what is live; 0 where there is nothing to say."""
SILENT: Final = f"{NOBODY}, and the ledger that names it does not answer"

log = structlog.get_logger()


class Supervisor:
    """Serves whatever release `desired` names; see `run`."""

    def __init__(
        self,
        desired: Callable[[], Release | None],
        on_live: Callable[[Release], None],
        on_refused: Callable[[Release, str], None],
        host: str,
        port: int,
        poll_seconds: float = 1.0,
        *,
        start_seconds: float = 60.0,
        drain_seconds: float = 30.0,
        hang_seconds: float = 10.0,
        environment: Mapping[str, str] | None = None,
        kept: Callable[[OutageError], Release | None] = lambda _: None,
        fit: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing is bound or started yet.

        Args:
            desired: The release that shall be live, or None. Called on a thread of its own, as are the two below.
            on_live: Told of each release that went live.
            on_refused: Told of each release that did not, with the reason; it is not tried again.
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one.
            poll_seconds: How often `desired` is asked.
            start_seconds: How long a generation may take until it has passed every check.
            drain_seconds: How long an old generation waits for clients that keep a connection open.
            hang_seconds: How long the live generation may take to answer before it is taken to hang and replaced.
            environment: What each generation is told besides our own environment, `REFIT_SPOOL` and the like. Of
                `REFIT_API_KEYS`, in either, it gets the hashes; without keys only loopback addresses are listened on.
            kept: What to serve while `desired` has not answered once, told why it does not. Asked until it names one,
                on the same thread as `desired`. Where that release fails it is tried again, and nobody is told that it
                was refused: the ledger may want another one by now.
            fit: Asked before each start whether this machine can serve anything; where it raises a RefitError the start
                waits, for that is no fault of the release.

        Raises:
            ContractError: `REFIT_API_KEYS` holds no keys.
        """
        told = dict(environment or {})
        self._keys = Keys.of(told.get(VARIABLE, os.environ.get(VARIABLE, "")))
        self._told = told | {VARIABLE: self._keys.to_text()}
        may_take = told.get(REQUEST_SECONDS, os.environ.get(REQUEST_SECONDS)) or 0.0
        self._in_flight_seconds = max(IN_FLIGHT_SECONDS, float(may_take) + MARGIN_SECONDS)
        self._on_live = on_live
        self._on_refused = on_refused
        self._address = host, port
        self._start_seconds = start_seconds
        self._drain_seconds = drain_seconds
        self._hang_seconds = hang_seconds
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._kept = kept
        self._fit = fit
        self._ledger = Conversation(desired, self._heard, poll_seconds, self._unheard)
        self._listener: socket.socket | None = None
        self._placeholder: Placeholder | None = None
        self._stops = 0
        self._wanted: Release | None = None
        self._current: Release | None = None
        self._live: Child | None = None
        self._live_since = 0.0
        self._unconfirmed: Release | None = None
        self._makes_do = True
        self._trials: dict[Key, Child] = {}
        self._leaving: dict[Child, float] = {}
        self._running: set[Child] = set()
        self._refused: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        self._counts: dict[str, float] = dict.fromkeys(TOLD, 0)

    @property
    def port(self) -> int:
        """The port it listens on."""
        self.bind()
        return self._address[1]

    def stop(self) -> None:
        """Have `run` finish what is in flight and return; a second call ends all at once. Safe from any thread."""
        self._events.put(self._count_stop)

    def bind(self) -> None:
        """Take the port.

        Raises:
            ContractError: Other machines would reach it, and no keys are set.
            OutageError: It is taken, or not ours to take.
        """
        self._bound()

    def run(self) -> None:
        """Serve until `stop`, SIGTERM or SIGINT.

        A release goes live once its generation has answered every golden record; until then, and where it does not,
        the one before goes on. A generation that crashes is started again. While `desired` raises, all stays as it is.

        Raises:
            ContractError: Other machines would reach it, and no keys are set.
            OutageError: The port is taken.
        """
        self.bind()
        self._say_who_may_ask()
        with ended_by_signals(self.stop):
            self._ledger.start()
            try:
                log.info("release.listening", host=self._address[0], port=self.port)
                while not self._stops:
                    self._reconcile()
                    self._next()
                self._finish()
            finally:
                self._abandon()

    def _bound(self) -> socket.socket:
        if self._listener is None:
            self._listener = listening(*self._address, open_to_all=bool(self._keys))
            self._address = self._address[0], int(self._listener.getsockname()[1])
        return self._listener

    def _say_who_may_ask(self) -> None:
        if not self._keys:
            log.warning("release.no_keys", then="only this machine is answered; REFIT_API_KEYS lets others in")
        elif self._keys.n_short:
            log.warning("release.short_keys", n=self._keys.n_short, why=f"under {SHORT} characters can be guessed")

    # Events: put by other threads and by signals, taken by `run` alone, so that what follows needs no lock.

    def _next(self) -> None:
        try:
            self._events.get(timeout=TICK)()
        except Empty:
            return

    def _count_stop(self) -> None:
        self._stops += 1

    def _heard(self, release: Release | None) -> None:
        self._makes_do = False
        self._events.put(lambda: self._want(release))

    def _unheard(self, error: Exception) -> None:
        release = self._kept(error) if isinstance(error, OutageError) and self._makes_do else None
        self._makes_do &= release is None
        self._events.put(lambda: self._make_do(release))

    def _news(self, child: Child, news: News, why: str) -> None:
        self._events.put(lambda: self._hear(child, news, why))

    def _want(self, release: Release | None) -> None:
        if release is not None and (self._wanted is None or self._wanted.key != release.key):
            log.info("release.wanted", release=release.id, version=release.version)
        self._wanted = release
        self._unconfirmed = None
        if self._counts["silent_since"]:
            self._counts |= {"silent_since": 0, "unconfirmed": 0}
            self._inform()

    def _make_do(self, release: Release | None) -> None:
        """Go on without the ledger: with what is live, or else with what was live here last."""
        if not self._counts["silent_since"]:
            self._counts["silent_since"] = time.time()
            self._inform()
        if release is not None and self._wanted is None and self._unconfirmed is None:
            self._wanted = self._unconfirmed = release
            self._counts["unconfirmed"] = 1
            log.warning("release.kept_is_served", release=release.id, version=release.version)

    def _hear(self, child: Child, news: News, why: str) -> None:
        if news in {"refused", "ended"}:
            self._running.discard(child)
        if child is self._live:
            self._crashed(child, why)
        elif child in self._leaving:
            if news == "ended":
                del self._leaving[child]
        elif self._trials.get(child.release.key) is child:
            self._tried(child, news, why)

    def _tried(self, child: Child, news: News, why: str) -> None:
        if news == "passed":
            self._close_placeholder()
            child.serve(self._bound())
            return
        del self._trials[child.release.key]
        if news == "live":
            self._promote(child)
        else:
            self._refuse(child.release, why if news == "refused" else f"{why} before it was live")

    # What is live, and what follows from it.

    def _promote(self, child: Child) -> None:
        release, before = child.release, self._live
        first = not _same(self._current, release)
        self._live, self._current, self._live_since = child, release, time.monotonic()
        took = round(self._live_since - child.born, 2)
        log.info("release.live", release=release.id, version=release.version, pid=child.process.pid, seconds=took)
        if first:
            self._failures.pop(release.key, None)
            self._counts["live_since"] = release.live_since or time.time()
            self._counts["swaps"] += before is not None
        self._inform()
        if before is not None:
            self._retire(before)
        if first:  # last, for whoever hears of it may rely on all of it
            self._ledger.report(lambda: self._on_live(release))

    def _inform(self) -> None:
        if self._live is not None:
            self._live.inform(self._counts)

    def _retire(self, child: Child) -> None:
        child.drain(self._drain_seconds)
        self._leaving[child] = time.monotonic() + self._drain_seconds + self._in_flight_seconds
        for eldest in list(self._leaving)[:-MAX_LEAVING]:
            eldest.stop(LAST_SECONDS)

    def _refuse(self, release: Release, why: str) -> None:
        if _same(self._current, release) or _same(self._unconfirmed, release) or self._is_fallen_back_to(release):
            self._pause(release, why)
            return
        self._refused.add(release.key)
        self._counts["refusals"] += 1
        self._inform()
        log.error("release.refused", release=release.id, version=release.version, why=why)
        self._ledger.report(lambda: self._on_refused(release, why))

    def _is_fallen_back_to(self, release: Release) -> bool:
        """Whether the ledger wants it only because we refused a newer one: refused in turn, the last good one is lost.

        Where that fails too, the fault may be this machine's; it may do well on another.
        """
        return any(number > release.id for number, _, _ in self._refused)

    def _crashed(self, child: Child, why: str) -> None:
        self._live = None
        self._counts["restarts"] += 1
        if time.monotonic() - self._live_since > STEADY_SECONDS:
            self._failures.pop(child.release.key, None)
        self._pause(child.release, why)

    def _pause(self, release: Release, why: str) -> None:
        """Wait before its next start: twice as long each time."""
        failures = self._failures.get(release.key, 0)
        pause = min(FIRST_PAUSE * 2 ** min(failures, MOST_DOUBLINGS), LONGEST_PAUSE)
        self._failures[release.key] = failures + 1
        self._not_before[release.key] = time.monotonic() + pause
        log.warning("release.starts_again", release=release.id, version=release.version, seconds=pause, why=why)

    def _reconcile(self) -> None:
        """Start what should be there, and end what should not."""
        now = time.monotonic()
        needed = self._needed()
        for key in [key for key in self._trials if key not in needed]:
            self._give_up(self._trials.pop(key))
        for key, release in needed.items():
            if key not in self._trials and now >= self._not_before.get(key, now):
                self._try(release)
        for child in [child for child, deadline in self._leaving.items() if now > deadline]:
            child.kill()
        self._keep_placeholder()

    def _needed(self) -> dict[Key, Release]:
        """Return the releases that should be on trial: the one wanted, and the one that was live if it crashed."""
        needed = {}
        if self._live is None and self._current is not None:
            needed[self._current.key] = self._current
        wanted = self._wanted
        if wanted is not None and not _same(self._current, wanted) and wanted.key not in self._refused:
            needed[wanted.key] = wanted
        return needed

    def _give_up(self, child: Child) -> None:
        if child.serving:
            self._retire(child)
        else:
            child.kill()

    def _try(self, release: Release) -> None:
        try:
            self._fit()
            child = Child(release, self._news, self._start_seconds, self._hang_seconds, self._told)
        except ReleaseError as error:
            self._refuse(release, str(error))
        except RefitError as error:
            self._pause(release, str(error))
        except OSError as error:
            where = "" if error.filename is None else f": {error.filename}"
            self._pause(release, f"it cannot be started: {error.strerror}{where}")
        else:
            self._trials[release.key] = child
            self._running.add(child)

    def _keep_placeholder(self) -> None:
        """Have somebody answer 503 where nothing is live and nothing will be in a moment."""
        nobody = self._live is None and (self._current is None or self._failures.get(self._current.key, 0) > 1)
        ready = any(child.serving for child in self._trials.values())
        if nobody and not ready and self._placeholder is None:
            self._placeholder = Placeholder(self._bound(), self._why_nobody)

    def _why_nobody(self) -> str:
        return SILENT if self._counts["silent_since"] else NOBODY

    def _close_placeholder(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    # The end.

    def _finish(self) -> None:
        """Have every generation answer what is in flight, and wait for it."""
        log.info("release.stopping", generations=len(self._running))
        self._close_placeholder()
        for child in self._running:
            if child.serving:
                child.stop(LAST_SECONDS)
            else:
                child.kill()
        self._live, self._trials, self._leaving = None, {}, {}
        self._bound().close()
        deadline = time.monotonic() + self._in_flight_seconds
        while self._running and self._stops == 1 and time.monotonic() < deadline:
            self._next()

    def _abandon(self) -> None:
        """Leave no process, thread or port behind."""
        for child in self._running:
            child.kill()
            child.process.wait()
        self._close_placeholder()
        self._ledger.close()
        if self._listener is not None:
            self._listener.close()


def _same(one: Release | None, other: Release) -> bool:
    return one is not None and one.key == other.key
