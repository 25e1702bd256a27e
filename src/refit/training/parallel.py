"""Fits that do not need one another, side by side, each on one thread.

Threads within one fit wait for each other: with the cores busy elsewhere two of them took six times as long as one.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import Final, TypeVar

import threadpoolctl  # type: ignore[import-untyped] # it has no types

Result = TypeVar("Result")
Step = Callable[[float], None]
"""Called with how much of the fitting is done, 0 to 1."""

TELL_EVERY_SECONDS: Final = 0.2
MOST: Final = 4
"""So many at once at most: each holds a copy of its records."""


class StoppedError(Exception):
    """Another fit failed or the caller went away: this one need not finish."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the libraries to one thread: OpenBLAS adds up a long vector in as many parts as it has, so digits differ."""
    with threadpoolctl.threadpool_limits(1):
        yield


@contextmanager
def silenced() -> Iterator[None]:
    """Keep the libraries from warning and from starting threads of their own."""
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")  # what matters of it is looked at after the fit, and noted on the card
        warnings.showwarning = _nobody  # a forest resets the filters of all threads while it grows
        yield


def _nobody(*_warning: object, **_rest: object) -> None:
    """Show a warning to nobody."""


def side_by_side(fits: Sequence[Callable[[Step], Result]], step: Step) -> list[Result]:
    """Return what each fit returns, in order. Progress is told from the caller's own thread.

    Args:
        fits: Each is given a `Step` to call as it goes on.
    """
    done = [0.0] * len(fits)
    stop = Event()

    def run(number: int) -> Result:
        def tell(fraction: float) -> None:
            if stop.is_set():
                raise StoppedError
            done[number] = fraction

        return fits[number](tell)

    with silenced(), ThreadPoolExecutor(min(os.cpu_count() or 1, MOST), initializer=_alone) as pool:
        futures = [pool.submit(run, number) for number in range(len(fits))]
        try:
            _watch(futures, lambda: step(sum(done) / len(done)))
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in futures]


def _alone() -> None:
    """Keep OpenMP to the thread that starts: it counts for each thread by itself, and begins with all cores."""
    threadpoolctl.threadpool_limits(1, user_api="openmp")


def _watch(futures: Sequence[Future[Result]], tell: Callable[[], None]) -> None:
    """Wait for all, telling now and then.

    Raises:
        Exception: Whatever the first fit that failed raised.
    """
    waiting = set(futures)
    while waiting:
        finished, waiting = wait(waiting, TELL_EVERY_SECONDS, FIRST_EXCEPTION)
        for future in finished:
            future.result()
        tell()
