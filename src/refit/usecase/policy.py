"""What a use case strives for and what it allows: objective, split, search, maturity, score, drift, retrain, gate."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from refit.usecase.part import Part

Metric = Literal["roc_auc", "average_precision", "log_loss", "brier", "accuracy"]
LearnerName = Literal[
    "logistic_regression",
    "decision_tree",
    "random_forest",
    "k_nearest_neighbours",
    "xgboost",
    "multilayer_perceptron",
    "scorecard",
]
Balancing = Literal["none", "under", "over", "smote"]


class Cost(Part):
    """What each kind of wrong decision costs, in any one unit."""

    false_negative: Annotated[float, Field(gt=0)]
    false_positive: Annotated[float, Field(gt=0)]


class Decide(Part):
    """How the threshold is chosen: exactly one of the four."""

    minimise: Literal["cost"] | None = None
    cost: Cost | None = None
    maximise: Literal["f1"] | None = None
    recall_at_least: Annotated[float | None, Field(gt=0, le=1)] = None
    approval_rate: Annotated[float | None, Field(gt=0, lt=1)] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        ways = [self.minimise, self.maximise, self.recall_at_least, self.approval_rate]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("name exactly one of 'minimise', 'maximise', 'recall_at_least', 'approval_rate'")
        if (self.minimise is None) != (self.cost is None):
            raise ValueError("'minimise: cost' and 'cost' go together")
        return self


class Objective(Part):
    """What the model is chosen by, and how its probability becomes a decision."""

    metric: Metric = "roc_auc"
    decide: Decide = Decide(maximise="f1")


class Split(Part):
    """Which matured records are held out for the test."""

    by: Literal["time", "random"] = "time"
    test_months: Annotated[int, Field(gt=0)] = 6
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    train_months: Annotated[int | None, Field(gt=0)] = None


class Search(Part):
    """How long to look for a better learner, balancing and hyperparameters: until the first of the two is used up.

    Only a budget of trials alone gives the same model every time. With 0 trials each learner is fitted once, as it
    comes, without balancing.
    """

    trials: Annotated[int | None, Field(ge=0, le=100_000)] = 16
    seconds: Annotated[float | None, Field(gt=0)] = None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.trials is None and self.seconds is None:
            raise ValueError("give 'trials', 'seconds' or both: a search without a budget never ends")
        return self


class Maturity(Part):
    """What is made of records whose outcome is not final yet, and how old the newest matured record may be.

    `leave_out` trains on matured records alone. `hazard` learns from every month a record was watched (a discrete-time
    hazard), so that young vintages count as far as they are known and no further.
    """

    unripe: Literal["leave_out", "hazard"] = "leave_out"
    max_age_months: Annotated[int | None, Field(gt=0)] = None


class Score(Part):
    """Points from the calibrated odds, and the least points of each band.

    `base` points stand for `base_odds` good to one bad; each `to_double` more points double the odds.

    Siddiqi 2006, Credit Risk Scorecards, chapter 6, Scaling.
    """

    base: float = 600
    base_odds: Annotated[float, Field(gt=0)] = 50
    to_double: Annotated[float, Field(gt=0)] = 20
    bands: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _falling(self) -> Self:
        least = list(self.bands.values())
        if any(after >= before for before, after in pairwise(least)):
            raise ValueError("bands: name the best first, each with fewer points than the one before")
        return self


class Drift(Part):
    """When a difference between reference and current counts. Shares are 0 to 1, points are percentage points."""

    method: Literal["psi"] = "psi"
    warn: Annotated[float, Field(gt=0)] = 0.10
    act: Annotated[float, Field(gt=0)] = 0.25
    min_records: Annotated[int, Field(gt=1)] = 500
    missing_points: Annotated[float, Field(gt=0, le=100)] = 5
    block_missing_points: Annotated[float, Field(gt=0, le=100)] = 50
    block_unseen_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    block_reject_share: Annotated[float, Field(gt=0, le=1)] = 0.2

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.act <= self.warn:
            raise ValueError(f"act {self.act} must lie above warn {self.warn}")
        return self


class Retrain(Part):
    """When a champion is replaced without drift: its age, and how many new labels make it worth while."""

    max_age_days: Annotated[int, Field(gt=0)] = 90
    min_new_labels: Annotated[int, Field(gt=0)] = 500
    max_metric_drop: Annotated[float, Field(gt=0)] = 0.03


class Gate(Part):
    """What a challenger must reach.

    `segments` are category features in each of which it must hold up; `leak_auc_max` is how much one feature alone may
    know; `impact_ratio_min` the least approval rate of a protected group against that of the best treated one;
    `new_borrowers` whether a test that tells nothing of borrowers unlike those learnt from is warned of or refused.
    """

    floor: dict[Metric, float] = Field(default_factory=dict)
    min_gain: float = 0.0
    calibration_error_max: Annotated[float, Field(gt=0, le=1)] = 0.05
    min_test_records: Annotated[int, Field(gt=1)] = 200
    segments: tuple[str, ...] = ()
    segment_drop_max: Annotated[float, Field(gt=0, le=1)] = 0.10
    impact_ratio_min: Annotated[float, Field(gt=0, le=1)] = 0.8
    leak_auc_max: Annotated[float, Field(gt=0.5, le=1)] = 0.85
    new_borrowers: Literal["warn", "refuse"] = "warn"
    bundle_mb_max: Annotated[float, Field(gt=0)] = 100
    latency_ms_max: Annotated[float, Field(gt=0)] = 100

    @field_validator("floor")
    @classmethod
    def _can_be_reached(cls, floor: dict[Metric, float]) -> dict[Metric, float]:
        for metric, value in floor.items():
            if metric == "log_loss" and value < 0:
                raise ValueError("log_loss is never below 0")
            if metric != "log_loss" and not 0 <= value <= 1:
                raise ValueError(f"{metric} lies from 0 to 1, and {value:g} does not")
        return floor
