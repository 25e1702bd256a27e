"""Lines for whoever watches. Where they cannot be written any more, the work that they tell of goes on."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol


class Stream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> object:
        """Take some text."""
        ...

    def flush(self) -> object:
        """Pass it on."""
        ...


class Unfailing:
    """A stream that loses what it cannot write: on a full disk, to a closed terminal, to a pipe whose reader left."""

    def __init__(self, stream: Stream | None) -> None:
        """Prepare; None is the standard error of a process that was started without one."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if that can be done; a later line is tried again."""
        if self._stream is not None:
            with suppress(OSError, ValueError):  # a closed file is a ValueError
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what can be passed on."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.flush()


def unfailing(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return `say` for a thread that must go on, whether or not the line can be said."""

    def said(line: str) -> None:
        with suppress(OSError, ValueError, SystemExit):  # rich ends a process whose reader is gone
            say(line)

    return said
