"""Who may ask, how many at once and for how long; and what a request is called."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from refit.errors import ContractError
from refit.scoring.keys import VARIABLE, Keys

REQUEST_SECONDS: Final = 30.0
MAX_CONCURRENT: Final = 256
HOME: Final = re.compile(r"127(\.\d{1,3}){3}|::1|::ffff:127(\.\d{1,3}){3}")
REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Door:
    """The terms on which requests are let in. Without keys only this machine itself is."""

    keys: Keys = field(default_factory=Keys)
    request_seconds: float = REQUEST_SECONDS
    max_concurrent: int = MAX_CONCURRENT

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the terms from the environment.

        Raises:
            ContractError: A variable does not fit.
        """
        seconds = _positive(environment, "REFIT_REQUEST_SECONDS", REQUEST_SECONDS)
        concurrent = _positive(environment, "REFIT_MAX_CONCURRENT", MAX_CONCURRENT)
        return cls(Keys.of(environment.get(VARIABLE, "")), seconds, max(1, int(concurrent)))

    def admits(self, headers: Headers) -> bool:
        """Tell whether the caller has a valid key; one that is not valid is not made good by another that is.

        Args:
            headers: As `joined` returns them, so that one that stands twice is no valid key either.
        """
        given = []
        if b"x-api-key" in headers:
            given.append(headers[b"x-api-key"])
        if b"authorization" in headers:
            scheme, _, key = headers[b"authorization"].partition(b" ")
            given.append(key if scheme.lower() == b"bearer" else b"")
        return bool(given) and all(self.keys.admit(key.strip()) for key in given)


def is_home(client: tuple[str, int] | None) -> bool:
    """Tell whether a peer is this machine itself; a Unix socket has no address, and file modes of its own."""
    return client is None or HOME.fullmatch(client[0]) is not None


def joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers of which some stand more than once, each with all its values behind commas: RFC 9110, 5.3.

    So none of them counts alone; two keys, or two names of a request, are none.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def well_formed(request_id: bytes | None) -> str | None:
    """Return the caller's own name of a request, where it can stand in a log and in a header."""
    if request_id is None or REQUEST_ID.fullmatch(request_id) is None:
        return None
    return request_id.decode("ascii")


def _positive(environment: Mapping[str, Any], name: str, default: float) -> float:
    text = environment.get(name) or default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ContractError(f"{name}: not a number above 0")
    return value
