"""One use case as its file declares it. Frozen; a key the model does not know is refused."""

import math
from functools import cached_property
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from refit.errors import ContractError
from refit.usecase.expression import Expression, parse_expression
from refit.usecase.label import Label, Multiclass, OutcomeClass, OutcomeDate, OutcomeRule
from refit.usecase.parsing import ParseRule, parse_rule
from refit.usecase.part import Moment, Part, known_rule
from refit.usecase.policy import (
    Balancing,
    Drift,
    Gate,
    LearnerName,
    Maturity,
    Objective,
    Retrain,
    Score,
    Search,
    Split,
)
from refit.usecase.reason import SidedReason, text_or_sides

RECORD_ID: Final = "record_id"
LOADED_AT: Final = "loaded_at"
DATE: Final = parse_rule("date")
RESERVED = "_"
"""Column names that start so belong to `refit`: `_key`, `_arrived_at`, `_event_time`."""


class Source(Part):
    """The lender's table, its key, and the column by which it orders what is new.

    A file may have neither: `refit load` then adds a `record_id`, made from the row's content, and `loaded_at`.
    A record may be committed some time after the moment it bears; for `settle_minutes` it is looked for.
    """

    table: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$")]
    key: str = RECORD_ID
    arrived_at: str = LOADED_AT
    settle_minutes: Annotated[float, Field(ge=0, le=100_000)] = 0

    @model_validator(mode="after")
    def _two_columns(self) -> Self:
        if self.key == self.arrived_at:
            raise ValueError(f"{self.key} cannot be both 'key' and 'arrived_at'")
        return self


class Feature(Part):
    """One input of the model, or a value derived from several columns.

    It reads the column of its own name, or the one named in `column`. A value outside `min` and `max` or not among
    `choices` is refused; a value in `unknown` counts as missing. `reason` is what an applicant is told where its value
    is known and spoke most against them; of a number that may depend on which side of the typical record's it lies.
    """

    type: Literal["number", "category"]
    column: str | None = None
    parse: str | None = None
    from_: Annotated[str | None, Field(alias="from")] = None
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()
    required: bool = False
    title: str | None = None
    unit: str | None = None
    reason: str | SidedReason | None = None

    _rule = field_validator("parse")(known_rule)
    _reason = field_validator("reason", mode="before")(text_or_sides)

    @field_validator("unknown", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, (str, bool, int, float)) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.from_ is not None:
            try:
                parse_expression(self.from_)
            except ContractError as error:
                raise ValueError(str(error)) from None
            if self.type != "number":
                raise ValueError("a feature with 'from' is a number")
            if self.column is not None:
                raise ValueError("'from' names its columns itself; leave 'column' out")
        if self.type == "category" and (self.min is not None or self.max is not None):
            raise ValueError("'min' and 'max' belong to a number; a category takes 'choices'")
        if self.type == "number" and self.choices is not None:
            raise ValueError("'choices' belong to a category; a number takes 'min' and 'max'")
        if self.type == "category" and isinstance(self.reason, SidedReason):
            raise ValueError("reason: 'low' and 'high' belong to a number; a category takes a text")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        kind = parse_rule(self.parse).kind if self.parse else None
        if kind is not None and kind != ("number" if self.type == "number" else "text"):
            raise ValueError(f"parse {self.parse!r} gives a {kind}, the feature is a {self.type}")
        return self


class InputColumn(Part):
    """One input, by the name a request sends and the lake keeps; the source column it stands in, and how it is read."""

    name: str
    column: str
    type: Literal["number", "category"]
    rule: str
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()
    required: bool = False
    title: str | None = None
    unit: str | None = None


def _as_sent(value: object) -> object:
    """Let pass what a request can hold: YAML makes true of a yes, and pydantic would make a 1 of that."""
    if isinstance(value, bool):
        raise ValueError(  # noqa: TRY004 - only a ValueError is pydantic's to tell
            "true or false, where a number or a text belongs; put a text like 'yes' in quotes"
        )
    if value is not None and not isinstance(value, (int, float, str)):
        raise ValueError("must be a number, a text or null; put a date in quotes")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


class UseCase(Part):
    """One model's world. Read it from a file with `refit.usecase.catalogue`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
    title: str
    task: Literal["binary", "multiclass"] = "binary"
    source: Source
    event_time: Moment | None = None
    label: Label
    features: Annotated[dict[str, Feature], Field(min_length=1)]
    known_later: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    objective: Objective = Objective()
    split: Split = Split()
    drift: Drift = Drift()
    retrain: Retrain = Retrain()
    gate: Gate = Gate()
    learners: Annotated[tuple[LearnerName, ...], Field(min_length=1)] = ("logistic_regression", "xgboost")
    balancing: Annotated[tuple[Balancing, ...], Field(min_length=1)] = ("none",)
    search: Search = Search()
    maturity: Maturity = Maturity()
    score: Score = Score()
    schedule: Annotated[str, Field(pattern=r"^\S+( \S+){4}$")] = "0 2 * * *"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20
    example: dict[str, Annotated[float | str | None, BeforeValidator(_as_sent)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_label_and_its_day(self) -> Self:
        if (self.task == "multiclass") != isinstance(self.label, Multiclass):
            raise ValueError("task 'multiclass' and a label with 'classes' go together")
        if self.task == "multiclass" and "scorecard" in self.learners:
            raise ValueError("learners: scorecard tells good from bad only; take it out, or choose another")
        if self.event_time is None and isinstance(self.label, OutcomeDate):
            raise ValueError("label.within_months counts from the event: give 'event_time'")
        if self.event_time is None and self.split.by == "time":
            raise ValueError("split.by time needs 'event_time'; without one say 'split: {by: random}'")
        if self.maturity.unripe == "hazard" and not isinstance(self.label, OutcomeDate):
            raise ValueError("maturity.unripe hazard needs a label with 'happened_on'")
        known_on = getattr(self.label, "known_on", None)
        if known_on is not None and self.label_columns.get(known_on.column, DATE).kind != "date":
            raise ValueError(f"label.known_on: {known_on.column} is no date")
        return self

    @model_validator(mode="after")
    def _names_what_is_there(self) -> Self:
        categories = [name for name, feature in self.features.items() if feature.type == "category"]
        if strange := [name for name in self.gate.segments if name not in categories]:
            raise ValueError(
                f"gate.segments: {', '.join(strange)}: no category feature; choose from {', '.join(categories)}"
            )
        for name, expression in self.expressions.items():
            if derived := [operand for operand in expression.names if operand in self.expressions]:
                raise ValueError(f"features.{name}: {', '.join(derived)} is derived itself; name source columns only")
        if shown := set(self.protected) & set(self.label_columns):
            raise ValueError(f"protected: {', '.join(sorted(shown))}: the label is made from it")
        if unknown := sorted(set(self.example) - set(self.inputs)):
            raise ValueError(
                f"example: {', '.join(unknown)}: no input of the model; inputs are {', '.join(self.inputs)}"
            )
        return self

    @model_validator(mode="after")
    def _no_feature_reads_what_it_must_not(self) -> Self:
        source = self.source
        inputs = {*self.inputs, *(column.column for column in self.inputs.values())}
        barred = {
            **dict.fromkeys(self.protected, "protected, so no feature may read it"),
            source.key: "the key identifies a record and is no feature",
            **dict.fromkeys(
                [*self.known_later, *self.label_columns], "known only after the decision, so no feature may read it"
            ),
        }
        if source.arrived_at != self.event_column:
            barred[source.arrived_at] = "moves when the outcome comes in, so no feature may read it"
        for why in dict.fromkeys(barred.values()):
            if names := sorted(name for name in inputs if barred.get(name) == why):
                raise ValueError(f"features: {', '.join(names)}: {why}")
        if taken := sorted(set(self.expressions) & {*barred, self.event_column}):
            raise ValueError(f"features: {', '.join(taken)}: a column already; give what is derived another name")
        named = dict.fromkeys([*self.features, *sorted(inputs), *self.protected, *self.label_columns])
        if not all(name.strip() for name in named):
            raise ValueError("features: a name is empty; give each feature and column the name it has in the source")
        if reserved := [name for name in named if name.startswith(RESERVED)]:
            raise ValueError(f"features: {', '.join(reserved)}: names that start with '_' belong to refit")
        return self

    @property
    def event_column(self) -> str:
        """The column that dates a record; that of its arrival where the use case has no other."""
        return self.source.arrived_at if self.event_time is None else self.event_time.column

    @property
    def outcome_known_too_early(self) -> str | None:
        """Why an outcome counts as known on the day of its own decision; None where it does not."""
        if self.event_time is None or isinstance(self.label, OutcomeDate) or self.label.known_on is not None:
            return None
        if self.source.arrived_at != self.event_column:
            return None
        return (
            f"`arrived_at` and `event_time` are both {self.event_column}, and the label has no `known_on`: an outcome "
            "counts as known on the day of its own decision, so that a training as of a past day sees what nobody knew "
            "then"
        )

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes of a multiclass use case, in the order of their indexes; None for a binary one."""
        return self.label.classes if isinstance(self.label, Multiclass) else None

    @cached_property
    def expressions(self) -> dict[str, Expression]:
        """The derived features, by name."""
        return {name: parse_expression(f.from_) for name, f in self.features.items() if f.from_ is not None}

    @cached_property
    def inputs(self) -> dict[str, InputColumn]:
        """What the features read, by the name a request sends it under, in order of appearance.

        A column read by an expression alone is a number, parsed by the feature's own rule, or else as the first column
        of the same expression that has one.
        """
        found: dict[str, InputColumn] = {}
        for name, feature in self.features.items():
            if feature.from_ is None:
                shared = set(InputColumn.model_fields) & set(Feature.model_fields)
                rule = feature.parse or ("number" if feature.type == "number" else "text")
                given = feature.model_dump(include=shared) | {"column": feature.column or name}
                found[name] = InputColumn(name=name, rule=rule, **given)
        for name, expression in self.expressions.items():
            rules = [found[operand].rule for operand in expression.names if operand in found]
            rule = self.features[name].parse or (rules[0] if rules else "number")
            for operand in expression.names:
                if operand not in found:
                    found[operand] = InputColumn(name=operand, column=operand, type="number", rule=rule)
                elif found[operand].type != "number":
                    raise ValueError(f"features.{name}: {operand} is a category and cannot stand in an expression")
        return found

    @cached_property
    def label_columns(self) -> dict[str, ParseRule]:
        """The source columns the label is made from, and how each is read; the event's own day is kept as such."""
        match self.label:
            case OutcomeDate(happened_on=moment):
                columns = {moment.column: moment.parse}
            case OutcomeRule(columns=declared):
                columns = {name: column.rule for name, column in declared.items()}
            case OutcomeClass(column=column) | Multiclass(column=column):
                columns = {column: "text"}
        known_on = getattr(self.label, "known_on", None)
        if known_on is not None and known_on.column != self.event_column:
            columns.setdefault(known_on.column, known_on.parse)
        return {name: parse_rule(rule) for name, rule in columns.items()}
