"""What a use case strives for and what it allows: objective, split, drift, retrain, gate."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from refit.usecase.part import Part

Metric = Literal["roc_auc", "average_precision", "log_loss", "brier", "accuracy"]
LearnerName = Literal["logistic_regression", "xgboost"]


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
    """What a challenger must reach."""

    floor: dict[Metric, float] = Field(default_factory=dict)
    min_gain: float = 0.0
    calibration_error_max: Annotated[float, Field(gt=0, le=1)] = 0.05
    min_test_records: Annotated[int, Field(gt=1)] = 200
