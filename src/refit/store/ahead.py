"""Reading ahead: the next items are fetched while the last is worked on, each on a core of its own."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")

AHEAD: Final = 3
"""How many items wait at most: enough to keep both sides busy, and few enough to keep memory flat."""

LOOK_UP_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Broken:
    error: BaseException


class _End:
    """Nothing comes after this."""


class _Fetcher(Generic[Item]):
    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._queue: Queue[Item | _Broken | _End] = Queue(AHEAD)
        self._stop = Event()
        self._thread = Thread(target=self._fetch, name="reading ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            match self._queue.get():
                case _End():
                    return
                case _Broken(error):
                    raise error
                case item:
                    yield item

    def stop(self) -> None:
        """Fetch no more; returns once the item under way is there."""
        self._stop.set()
        self._thread.join()

    def _fetch(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            self._put(_Broken(error))
        else:
            self._put(_End())

    def _put(self, item: Item | _Broken | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=LOOK_UP_SECONDS)
            except Full:
                continue
            return True
        return False


@contextmanager
def reading_ahead(items: Iterator[Item]) -> Generator[Iterator[Item], None, None]:
    """Give the same items in the same order, fetched by a thread that ends with the block, read through or not."""
    fetcher = _Fetcher(items)
    try:
        yield iter(fetcher)
    finally:
        fetcher.stop()
