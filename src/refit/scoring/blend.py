"""Several models of the same records as one: the average of what each says, in log odds."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from refit.errors import DataError
from refit.scoring.calibration import expit, logit, logs, softmax

BLEND_FILE: Final = "model.blend"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest moment a zip can hold: a file must not say when it was written."""


@dataclass(frozen=True, slots=True)
class BlendModel:
    """Models that each had the same records, weighed alike.

    What adds up to the log odds of each adds up to those of the blend, so it is explained as exactly as its members.
    """

    members: tuple[Any, ...]
    file: str = BLEND_FILE

    @property
    def n_classes(self) -> int:
        """Into how many classes it sorts."""
        return int(self.members[0].n_classes)

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the uncalibrated (n_records,) P(bad), or (n_records, n_classes) where there are more than two."""
        return mixed([member.probability(matrix) for member in self.members])

    def to_bytes(self) -> bytes:
        """Return a zip of the members' own files, in order."""
        packed = io.BytesIO()
        with ZipFile(packed, "w") as written:
            for number, member in enumerate(self.members):
                written.writestr(ZipInfo(f"{number}/{member.file}", EPOCH), member.to_bytes())
        return packed.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, read: Callable[[str, bytes], Any]) -> Self:
        """Return the blend that `to_bytes` gave.

        Args:
            content: The zip.
            read: From a member's file name and bytes to the member.

        Raises:
            DataError: It is no such zip, or a member cannot be read.
        """
        try:
            with ZipFile(io.BytesIO(content)) as packed:
                names = sorted(packed.namelist(), key=lambda name: int(name.partition("/")[0]))
                members = tuple(read(name.partition("/")[2], packed.read(name)) for name in names)
        except (BadZipFile, ValueError):
            raise DataError(f"{BLEND_FILE}: no blend of models") from None
        if not members or any(isinstance(member, cls) for member in members):
            raise DataError(f"{BLEND_FILE}: no blend of models")
        return cls(members)


def mixed(said: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the probabilities whose log odds are the average of those given, each (n,) or (n, n_classes)."""
    if said[0].ndim == 1:
        return expit(np.mean([logit(p) for p in said], axis=0))
    return softmax(np.mean([logs(p) for p in said], axis=0))
