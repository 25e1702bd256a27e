"""A generation is asked what its bundle must answer, over HTTP, before any client can reach it."""

import http.client
import json
import math
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from refit.errors import ReleaseError
from refit.scoring.bundle import GoldenRecord

ABSOLUTE: Final = 1e-9
RELATIVE: Final = 1e-6
SLICES: Final = 10
"""In so many slices the answer of a live generation is waited for, and they are counted: where the machine stood still,
or we alone, the clock may be past any limit, but one slice at most is lost, and the answer may come in the others."""


class Connection(socket.socket):
    """A socket whose timeout is for one slice; it is told once all slices are over."""

    slices = 1

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read what came, and wait again while slices are left.

        Raises:
            TimeoutError: The last slice is over.
        """
        while True:
            try:
                return super().recv_into(buffer, nbytes, flags)
            except TimeoutError:
                self.slices -= 1
                if self.slices < 1:
                    raise


def check(connection: socket.socket, version: str, golden: Sequence[GoldenRecord], seconds: float) -> None:
    """Ask for the version and for every golden record.

    Args:
        connection: A connected socket with an HTTP server at its other end.
        seconds: How long all answers may take together.

    Raises:
        ReleaseError: An answer is wrong, late or absent; says which, and what was expected.
    """
    deadline = time.monotonic() + seconds
    line = _Line(connection, lambda: max(deadline - time.monotonic(), 0.001))
    told = line.ask("GET", "/model").get("version")
    if told != version:
        raise ReleaseError(f"GET /model says version {told!r}, the release is {version!r}")
    for number, record in enumerate(golden, start=1):
        _compare(line.ask("POST", "/predict", record.inputs), record, f"golden record {number} of {len(golden)}")


def probe(connection: Connection, record: GoldenRecord, seconds: float) -> bool:
    """Ask for one golden record again; return whether the connection may be asked another time.

    Args:
        connection: As in `check`.
        seconds: How long the answer may take, not counting that the machine stood still.

    Raises:
        ReleaseError: The answer is wrong, late or absent.
    """
    connection.slices = SLICES
    line = _Line(connection, lambda: seconds / SLICES)
    _compare(line.ask("POST", "/predict", record.inputs), record, "a golden record asked while live")
    return line.open


def _compare(answer: Mapping[str, Any], record: GoldenRecord, what: str) -> None:
    expected = record.probability
    if isinstance(expected, tuple):
        given = answer.get("probabilities")
        seen: Any = list(given.values()) if isinstance(given, dict) else given
        right = isinstance(given, dict) and len(seen) == len(expected) and all(map(_close, seen, expected))
    else:
        seen = answer.get("probability")
        right = _close(seen, expected)
    if not right:
        raise ReleaseError(f"{what}: answered {seen!r}, expected {expected!r}")


def _close(seen: object, expected: float) -> bool:
    return type(seen) is float and math.isclose(seen, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def carried(bundle_folder: Path) -> tuple[GoldenRecord, ...]:
    """Return the golden records of a bundle, without the model they are for.

    Raises:
        ReleaseError: It carries none.
        OSError: The disk does not say; it may the next time.
    """
    try:
        records = json.loads((bundle_folder / "golden.json").read_bytes())
        found = tuple(GoldenRecord(record["inputs"], _expected(record["probability"])) for record in records)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        found = ()
    if not found:
        raise ReleaseError(f"{bundle_folder} carries no golden records, so its answers cannot be checked")
    return found


def _expected(probability: Any) -> float | tuple[float, ...]:
    return tuple(map(float, probability)) if isinstance(probability, list) else float(probability)


class _Line:
    """HTTP over a socket that is connected already."""

    def __init__(self, connection: socket.socket, timeout: Callable[[], float]) -> None:
        self._connection = connection
        self._timeout = timeout
        self._client = http.client.HTTPConnection("refit")
        self._client.sock = connection
        self._client.auto_open = 0

    @property
    def open(self) -> bool:
        """Whether the other end will read another request."""
        return self._client.sock is not None

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Return the JSON object of a 200.

        Raises:
            ReleaseError: Anything else came, or nothing in time.
        """
        try:
            self._connection.settimeout(self._timeout())
            self._client.request(method, path, None if body is None else json.dumps(body).encode())
            response = self._client.getresponse()
            answer = json.loads(response.read())
        except TimeoutError:
            raise ReleaseError(f"{method} {path} took too long") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ReleaseError(f"{method} {path} gave no answer ({type(error).__name__})") from None
        if response.status != http.HTTPStatus.OK or not isinstance(answer, dict):
            raise ReleaseError(f"{method} {path} answered {response.status}, expected 200 and a JSON object")
        return answer
