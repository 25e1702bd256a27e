"""The applicant form, made from the contract: what each field is called, holds, allows, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from refit.scoring.bundle import Bundle
from refit.scoring.request import Problem
from refit.usecase.model import InputColumn, UseCase

MOST_OFFERED: Final = 60


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `id` is its place in the form: an input's own name may hold what no id may."""

    id: str
    name: str
    label: str
    type: Literal["number", "category"]
    choices: tuple[str, ...]
    offered: tuple[str, ...]
    value: str
    unit: str | None
    hint: str
    is_needed: bool
    wrong: str | None

    @property
    def described_by(self) -> str:
        """The ids of what a screen reader reads after the label: the error first."""
        parts = [("error", self.wrong), ("hint", self.hint)]
        return " ".join(f"{self.id}-{part}" for part, text in parts if text)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One line above the form, and the field it leads to."""

    label: str
    why: str
    field: str | None


def fields(
    contract: UseCase, bundle: Bundle | None, given: Mapping[str, str], problems: Sequence[Problem]
) -> list[Field]:
    """Return the fields in the order of the contract.

    Args:
        given: What was written, by input.
    """
    wrong = {problem.field: problem.why for problem in problems}
    return [
        _field(f"field-{place}", column, bundle, given.get(column.name, ""), wrong.get(column.name))
        for place, column in enumerate(contract.inputs.values(), 1)
    ]


def troubles(contract: UseCase, shown: Sequence[Field], problems: Sequence[Problem]) -> list[Trouble]:
    """Return every problem with the field to mend; that of a computed feature leads to the first input it reads."""
    by_name = {field.name: field for field in shown}
    found = []
    for problem in problems:
        field = by_name.get(problem.field)
        if field is not None:
            found.append(Trouble(field.label, problem.why, field.id))
            continue
        feature, expression = contract.features.get(problem.field), contract.expressions.get(problem.field)
        title = problem.field if feature is None or feature.title is None else feature.title
        first = None if expression is None else by_name.get(expression.names[0])
        found.append(Trouble(title, problem.why, None if first is None else first.id))
    return found


def written(value: object) -> str:
    """Return a value as a person would write it into its field.

    >>> written(4.5), written(None), written(9000.0)
    ('4.5', '', '9000')
    """
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _field(place: str, column: InputColumn, bundle: Bundle | None, value: str, wrong: str | None) -> Field:
    known = () if bundle is None else bundle.encoder.vocabularies.get(column.name, ())
    return Field(
        id=place,
        name=column.name,
        label=column.title or column.name.replace("_", " "),
        type=column.type,
        choices=column.choices or (),
        offered=tuple(known[:MOST_OFFERED]) if column.type == "category" and column.choices is None else (),
        value=value,
        unit=column.unit,
        hint=_hint(column),
        is_needed=column.required,
        wrong=wrong,
    )


def _hint(column: InputColumn) -> str:
    """Say the unit and the range of a number."""
    parts = [] if column.unit is None else [column.unit]
    if column.min is not None and column.max is not None:
        parts.append(f"{column.min:g} to {column.max:g}")
    elif column.min is not None:
        parts.append(f"{column.min:g} or more")
    elif column.max is not None:
        parts.append(f"at most {column.max:g}")
    return ", ".join(parts)
