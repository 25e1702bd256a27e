"""Where the search looks for each learner's parameters: ranges sized to the records, the defaults always among them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from refit.training.learners.registry import DEFAULTS

LARGE: Final = 20_000
"""From so many records on, deep trees and wide neighbourhoods find enough of them."""


class Trial(Protocol):
    """What suggests: an Optuna trial."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number of the range."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Return a whole number of the range."""
        ...

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Return one of the choices."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """One trial's questions, each under the learner's own name: two learners may both have a `max_depth`."""

    learner: str
    trial: Trial

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self.trial.suggest_float(f"{self.learner}.{name}", low, high, log=log)

    def whole(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self.trial.suggest_int(f"{self.learner}.{name}", low, high, log=log)

    def choice(self, name: str, choices: tuple[Any, ...]) -> Any:
        return self.trial.suggest_categorical(f"{self.learner}.{name}", choices)


ALSO_GOOD: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    "xgboost": (
        {
            "trees": 400,
            "eta": 0.05,
            "max_depth": 8,
            "min_child_weight": 1.0,
            "lambda": 4.0,
            "subsample": 0.9,
            "colsample_bytree": 0.8,
            "max_cat_to_onehot": 64,
        },
        {
            "trees": 300,
            "eta": 0.02,
            "max_depth": 3,
            "min_child_weight": 20.0,
            "lambda": 20.0,
            "subsample": 0.6,
            "colsample_bytree": 0.3,
        },
        {"eta": 0.05, "max_depth": 2, "min_child_weight": 10.0, "max_cat_to_onehot": 64},
        {"trees": 150, "eta": 0.06, "max_depth": 5, "min_child_weight": 2.0, "lambda": 2.0, "colsample_bytree": 0.7},
        {"trees": 400, "eta": 0.08, "max_depth": 6, "min_child_weight": 1.0, "lambda": 2.0, "subsample": 0.9},
    ),
    "scorecard": ({"C": 0.02, "min_share": 0.1, "min_information": 0.001},),
    "logistic_regression": ({"C": 0.01},),
    "random_forest": ({"max_leaf_nodes": 256, "min_samples_leaf": 16, "max_features": 0.3, "max_samples": 0.7},),
}
"""Deep trees for where features act together, shallow ones for where each acts by itself.

Where the records say little, what is held firmly says most. On eight splits of loantap, none of them one that the
benchmark reports on, the log loss was .4509 to .4524 for shallow trees and scorecards so held, and .460 to .470 for
the learners as they come.
"""


def suggest(learner: str, trial: Trial, n_records: int, n_features: int) -> dict[str, Any]:
    """Return parameters for `LEARNERS[learner]`, asked of the trial as `LEARNER.PARAMETER`.

    Args:
        n_records: How many records the largest fit will see.
        n_features: How many columns the matrix has.
    """
    return SPACES[learner](_Asked(learner, trial), n_records, n_features)


def enqueue(learner: str) -> dict[str, Any]:
    """Return the defaults under the names `suggest` asks for: the first suggestion worth trying."""
    return starts(learner)[0]


def starts(learner: str) -> tuple[dict[str, Any], ...]:
    """Return what to try before anything is drawn, the best first: the defaults, then others known to do well."""
    changes: tuple[Mapping[str, Any], ...] = ({}, *ALSO_GOOD.get(learner, ()))
    return tuple({f"{learner}.{name}": v for name, v in {**DEFAULTS[learner], **change}.items()} for change in changes)


def _logistic_regression(asked: _Asked, n_records: int, n_features: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    return {
        "C": asked.number("C", 1e-3, 10.0, log=True),
        "bins": asked.whole("bins", 3, 20),
    }


def _xgboost(asked: _Asked, n_records: int, n_features: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    large = n_records >= LARGE
    return {
        "trees": asked.whole("trees", 50, 1000 if large else 400, log=True),
        "eta": asked.number("eta", 0.01, 0.2, log=True),
        "max_depth": asked.whole("max_depth", 2, 12 if large else 10),
        "max_leaves": asked.choice("max_leaves", (0, 8, 16, 31, 63)),
        "min_child_weight": asked.number("min_child_weight", 0.5, 100.0, log=True),
        "gamma": asked.number("gamma", 0.0, 5.0),
        "lambda": asked.number("lambda", 1e-2, 100.0, log=True),
        "alpha": asked.number("alpha", 0.0, 5.0),
        "subsample": asked.number("subsample", 0.4, 1.0),
        "colsample_bytree": asked.number("colsample_bytree", 0.3, 1.0),
        "max_cat_to_onehot": asked.whole("max_cat_to_onehot", 1, 64, log=True),
        "max_cat_threshold": asked.whole("max_cat_threshold", 4, 64, log=True),
    }


def _decision_tree(asked: _Asked, n_records: int, n_features: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    return {
        "max_depth": asked.whole("max_depth", 2, 12),
        "min_samples_leaf": asked.number("min_samples_leaf", 0.002, 0.1, log=True),
        "criterion": asked.choice("criterion", ("log_loss", "gini")),
        "smoothing": asked.number("smoothing", 1.0, 100.0, log=True),
    }


def _random_forest(asked: _Asked, n_records: int, n_features: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    return {
        "trees": asked.whole("trees", 50, 300, log=True),
        "max_leaf_nodes": asked.whole("max_leaf_nodes", 16, 2048 if n_records >= LARGE else 512, log=True),
        "min_samples_leaf": asked.whole("min_samples_leaf", 1, 64, log=True),
        "max_features": asked.number("max_features", 0.1, 1.0),
        "max_samples": asked.number("max_samples", 0.3, 1.0),
    }


def _k_nearest_neighbours(asked: _Asked, n_records: int, n_features: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    return {
        "neighbours": asked.whole("neighbours", 5, 500 if n_records >= LARGE else 100, log=True),
        "weights": asked.choice("weights", ("uniform", "distance")),
        "p": asked.choice("p", (1, 2)),
    }


def _multilayer_perceptron(asked: _Asked, n_records: int, n_features: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    return {
        "alpha": asked.number("alpha", 1e-5, 3.0, log=True),
        "learning_rate": asked.number("learning_rate", 1e-4, 1e-2, log=True),
        "batch": asked.choice("batch", (32, 64, 128, 256, 512)),
        "epochs": asked.whole("epochs", 10, 80),
        "patience": asked.whole("patience", 2, 8),
    }


def _scorecard(asked: _Asked, n_records: int, n_features: int) -> dict[str, Any]:  # noqa: ARG001 - as all
    return {
        "bins": asked.whole("bins", 3, 12),
        "min_share": asked.number("min_share", 0.005, 0.1, log=True),
        "monotone": asked.choice("monotone", (False, True)),
        "smoothing": asked.number("smoothing", 1.0, 100.0, log=True),
        "min_information": asked.number("min_information", 1e-4, 0.05, log=True),
        "C": asked.number("C", 1e-3, 10.0, log=True),
    }


SPACES: Final[Mapping[str, Callable[[_Asked, int, int], dict[str, Any]]]] = {
    "logistic_regression": _logistic_regression,
    "decision_tree": _decision_tree,
    "random_forest": _random_forest,
    "k_nearest_neighbours": _k_nearest_neighbours,
    "multilayer_perceptron": _multilayer_perceptron,
    "xgboost": _xgboost,
    "scorecard": _scorecard,
}
