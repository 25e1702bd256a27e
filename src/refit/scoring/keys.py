"""API keys, known by their hashes alone."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final, Self

from refit.errors import ContractError

VARIABLE: Final = "REFIT_API_KEYS"
HASHED: Final = "sha256:"
SHORT: Final = 16
"""A key of fewer characters can be guessed, whatever is made of it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that are valid at this moment; while one replaces another both are.

    A key is made by a machine and long, so that a plain SHA-256 of it gives nothing away; a password would need more.
    """

    digests: tuple[bytes, ...] = field(default=(), repr=False)
    n_short: int = field(default=0, compare=False)

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what `REFIT_API_KEYS` holds: keys separated by commas, each as it is or as `sha256:HEX`.

        Raises:
            ContractError: An entry is neither; names its place, never the entry.
        """
        entries = [entry for part in text.split(",") if (entry := part.strip())]
        if text.strip() and not entries:
            raise ContractError(f"{VARIABLE} holds commas and no key; give keys, or unset it")
        digests = tuple(_digest(place, entry) for place, entry in enumerate(entries, start=1))
        n_short = sum(len(entry) < SHORT for entry in entries)
        return cls(tuple(dict.fromkeys(digests)), n_short)

    def __bool__(self) -> bool:
        return bool(self.digests)

    def admit(self, key: bytes) -> bool:
        """Tell whether a key is valid, in a time that says nothing about any of those that are."""
        given, found = hashlib.sha256(key).digest(), False
        for digest in self.digests:
            found |= hmac.compare_digest(digest, given)
        return found

    def to_text(self) -> str:
        """Return what `of` reads, with nothing in it that a key could be read from."""
        return ",".join(f"{HASHED}{digest.hex()}" for digest in self.digests)


def _digest(place: int, entry: str) -> bytes:
    if entry.startswith(HASHED):
        if re.fullmatch("[0-9a-fA-F]{64}", entry[len(HASHED) :]) is None:
            raise ContractError(f"{VARIABLE}: entry {place} starts with {HASHED} but goes on with no 64 hex digits")
        return bytes.fromhex(entry[len(HASHED) :])
    if re.fullmatch("[!-~]+", entry) is None:
        raise ContractError(f"{VARIABLE}: entry {place} holds what no HTTP header can: use letters, digits and -._~+/=")
    return hashlib.sha256(entry.encode()).digest()
