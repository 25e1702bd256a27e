"""What an applicant is told of a feature that spoke against them, and of which of its values that is true."""

from collections.abc import Mapping
from typing import Self

from pydantic import model_validator

from refit.usecase.part import Part


class SidedReason(Part):
    """Words for a number, one for each side of the typical record's; a side without words has none of its own."""

    low: str | None = None
    high: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = {"low": self.low, "high": self.high}
        if empty := [side for side, text in said.items() if text is not None and not text.strip()]:
            raise ValueError(f"{' and '.join(empty)}: empty; say what an applicant is told, or leave it out")
        if self.low is None and self.high is None:
            raise ValueError("give what an applicant is told of a low value, of a high one, or of both")
        return self

    def of(self, value: float, usual: float) -> str | None:
        """Return what is true of a value beside the usual one; None where they are equal or either is not known.

        Examples:
            >>> reason = SidedReason(low="Income is low")
            >>> reason.of(900, 1200)
            'Income is low'
            >>> reason.of(1500, 1200) is reason.of(900, float("nan")) is None
            True
        """
        if value < usual:
            return self.low
        return self.high if value > usual else None


def text_or_sides(value: object) -> object:
    """Read a mapping as the two sides, so that a fault in it is named by its own key; a text stands as it is."""
    if isinstance(value, Mapping):
        return SidedReason.model_validate(value)
    if value is None or isinstance(value, str | SidedReason):
        return value
    raise ValueError("must be a text, in quotes if need be; for a number also {low: ..., high: ...}")
