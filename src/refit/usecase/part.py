"""What every part of a use-case file is made of."""

from functools import cached_property
from typing import Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from refit.errors import ContractError
from refit.usecase.parsing import parse_rule


class Part(BaseModel):
    """What every part of a use-case file has in common."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False, ignored_types=(cached_property,)
    )


def known_rule(text: str | None) -> str | None:
    """Let a parse rule pass that `parse_rule` knows; the ValueError of any other is pydantic's to tell."""
    if text is not None:
        try:
            parse_rule(text)
        except ContractError as error:
            raise ValueError(str(error)) from None
    return text


class Moment(Part):
    """A column that holds a date, and how its text is read."""

    column: str
    parse: str = "date"

    _rule = field_validator("parse")(known_rule)

    @model_validator(mode="after")
    def _is_a_date(self) -> Self:
        if parse_rule(self.parse).kind != "date":
            raise ValueError(f"{self.parse!r} gives no date; use 'date' or 'date:LAYOUT'")
        return self
