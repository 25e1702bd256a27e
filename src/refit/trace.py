"""Where a fault was, without what it said: the message of an error that is not ours may hold a record's value."""

from traceback import extract_tb


def places(error: BaseException) -> list[str]:
    """Return `FILE:LINE FUNCTION` of every frame the error came through, the innermost last."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
