"""The forms in which a use case says what its outcome is."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from refit.errors import ContractError
from refit.usecase.expression import parse_condition
from refit.usecase.parsing import parse_rule
from refit.usecase.part import Moment, Part, known_rule


class KnownOn(Moment):
    """When an outcome is known: at a date, or so many days after it."""

    after_days: Annotated[int, Field(ge=0)] = 0


class OutcomeDate(Part):
    """Bad if it happened within so many months of the event; final when it happened, or once the months are over."""

    name: str
    happened_on: Moment
    within_months: Annotated[int, Field(gt=0, le=1200)]


class OutcomeClass(Part):
    """Bad or good by the value of a column; any other value is not known yet."""

    name: str
    column: str
    bad: Annotated[tuple[str, ...], Field(min_length=1)]
    good: Annotated[tuple[str, ...], Field(min_length=1)]
    known_on: KnownOn | None = None

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        if both := set(self.bad) & set(self.good):
            raise ValueError(f"{', '.join(sorted(both))}: both bad and good")
        return self


class LabelColumn(Part):
    """A column a label rule reads."""

    type: Literal["number", "date"]
    parse: str | None = None

    _rule = field_validator("parse")(known_rule)

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        if (kind := parse_rule(self.rule).kind) != self.type:
            raise ValueError(f"parse {self.parse!r} gives a {kind}, the column is a {self.type}")
        return self

    @property
    def rule(self) -> str:
        """The parse rule, the type's own where none is named."""
        return self.parse or self.type


class OutcomeRule(Part):
    """Bad where an expression over amounts and dates (counted in days) holds."""

    name: str
    bad_when: str
    columns: dict[str, LabelColumn]
    known_on: KnownOn | None = None

    @model_validator(mode="after")
    def _reads_declared_columns(self) -> Self:
        try:
            names = parse_condition(self.bad_when).names
        except ContractError as error:
            raise ValueError(f"bad_when: {error}") from None
        if unknown := [name for name in names if name not in self.columns]:
            raise ValueError(f"'bad_when' reads {', '.join(unknown)}; declare each under 'columns'")
        return self


class Multiclass(Part):
    """One of several classes, by the value of a column; any other value is not known yet."""

    name: str
    column: str
    classes: Annotated[tuple[str, ...], Field(min_length=3)]
    known_on: KnownOn | None = None

    @field_validator("classes")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{', '.join(sorted(twice))}: stands twice")
        return names


def _label_form(value: object) -> str | None:
    """Tell the label's form by the one key that only it has."""
    if isinstance(value, Part):
        return type(value).__name__
    keys = set(value) if isinstance(value, Mapping) else set()
    for key, form in _LABEL_FORMS.items():
        if key in keys:
            return form
    return None


_LABEL_FORMS: Final = {
    "happened_on": "OutcomeDate",
    "bad_when": "OutcomeRule",
    "classes": "Multiclass",
    "bad": "OutcomeClass",
    "good": "OutcomeClass",
}

Label = Annotated[
    Annotated[OutcomeDate, Tag("OutcomeDate")]
    | Annotated[OutcomeClass, Tag("OutcomeClass")]
    | Annotated[OutcomeRule, Tag("OutcomeRule")]
    | Annotated[Multiclass, Tag("Multiclass")],
    Discriminator(
        _label_form,
        custom_error_type="label_form",
        custom_error_message="give one of happened_on (with within_months), bad and good, bad_when, or classes",
    ),
]
