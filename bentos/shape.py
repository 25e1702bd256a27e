"""What the JSON of records can hold at most, told before a body is decoded.

The decoder lets no other thread run while it makes a million lists, which takes it a second.
"""

from collections.abc import Mapping
from typing import Final

from bentos.contract import MAX_BATCH
from refit.scoring.request import MAX_TEXT
from refit.usecase.model import InputColumn

MARKS: Final = b"[{:,"
FEWEST: Final = 10_000
"""So many marks are decoded in a few milliseconds, so a body of no more is told all that is wrong with it."""
MOST_NESTED: Final = 2 * MAX_BATCH
PIECE: Final = 64 << 10
"""So much is taken apart at once; between two pieces other threads may run."""


def most_marks(inputs: Mapping[str, InputColumn]) -> int:
    """Return how many brackets, braces, colons and commas a record that could be sound holds at most.

    Its own, and one for each character of a name or a text: those may be marks, too.
    """
    texts = sum(column.type != "number" for column in inputs.values())
    return max(FEWEST, sum(len(name) + 2 for name in inputs) + texts * MAX_TEXT + 1)


def too_many_marks(body: bytes | bytearray, most: int) -> bool:
    """Tell whether a body holds more marks than that; of a usual body its length tells."""
    return len(body) > most and len(body) - len(body.translate(None, MARKS)) > most


def too_nested(body: bytes | bytearray) -> bool:
    """Tell whether a body holds twice as many objects and lists as a batch, those in texts left out.

    Of JSON that is not well-formed it may tell either.
    """
    if _brackets(body) <= MOST_NESTED:
        return False
    plain = bytes(body).replace(rb"\\", b"").replace(rb"\"", b"")
    found = in_text = 0
    for start in range(0, len(plain), PIECE):
        parts = plain[start : start + PIECE].split(b'"')
        found += _brackets(b"".join(parts[in_text::2]))
        if found > MOST_NESTED:
            return True
        in_text ^= (len(parts) - 1) % 2
    return False


def _brackets(text: bytes | bytearray) -> int:
    """Count until there are too many; where there are few, `replace` finds them ten times as fast as `count`."""
    return sum(len(text) - len(text.replace(bracket, b"", MOST_NESTED + 1)) for bracket in (b"[", b"{"))
