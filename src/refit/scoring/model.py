"""What a learner leaves behind: something that turns the encoder's matrix into raw probabilities, and into bytes."""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from refit.errors import DataError
from refit.scoring import skops_file
from refit.scoring.blend import BLEND_FILE, BlendModel
from refit.scoring.hazard import HAZARD_FILE, HazardModel
from refit.scoring.scorecard import SCORECARD_FILE, ScorecardModel

XGBOOST_FILE: Final = "model.ubj"
SKOPS_FILE: Final = "model.skops"
MODEL_FILES: Final = (XGBOOST_FILE, SKOPS_FILE, SCORECARD_FILE, HAZARD_FILE, BLEND_FILE)
"""The names a model's bytes may go by; a bundle holds one of them."""


class Model(Protocol):
    """A trained learner."""

    @property
    def file(self) -> str:
        """The name its bytes go by."""
        ...

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the uncalibrated (n_records,) P(bad), or (n_records, n_classes) where there are more than two."""
        ...

    def to_bytes(self) -> bytes:
        """Return the same bytes for the same model."""
        ...


@dataclass(frozen=True, slots=True)
class XGBoostModel:
    """Boosted trees. One thread: more make a single record slower, and change no answer."""

    booster: Any
    file: str = XGBOOST_FILE
    n_classes: int = field(init=False)

    def __post_init__(self) -> None:
        self.booster.set_param({"nthread": 1})
        learner = json.loads(self.booster.save_config())["learner"]
        object.__setattr__(self, "n_classes", max(int(learner["learner_model_param"]["num_class"]), 2))

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the uncalibrated (n_records,) P(bad), or (n_records, n_classes) where there are more than two."""
        if not len(matrix):
            return _none(self.n_classes)
        p = np.asarray(self.booster.inplace_predict(matrix), dtype=np.float64)
        return p if self.n_classes == 2 else p / p.sum(axis=1, keepdims=True)  # noqa: PLR2004 - good and bad

    def to_bytes(self) -> bytes:
        """Return the trees as UBJSON."""
        return bytes(self.booster.save_raw(raw_format="ubj"))


@dataclass(frozen=True, slots=True)
class SklearnModel:
    """A scikit-learn pipeline of two steps: `columns` shapes the matrix, `estimator`, the last, has `predict_proba`.

    The estimator is a LogisticRegression, DecisionTreeClassifier, RandomForestClassifier, KNeighborsClassifier or
    MLPClassifier; `columns` is a ColumnTransformer whose parts are named `numbers` and `categories`.
    """

    pipeline: Any
    file: str = SKOPS_FILE

    @property
    def n_classes(self) -> int:
        """Into how many classes it sorts."""
        return len(self.pipeline.classes_)

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the uncalibrated (n_records,) P(bad), or (n_records, n_classes) where there are more than two."""
        if not len(matrix):
            return _none(self.n_classes)
        # Which of equally distant neighbours count hangs on the number of threads, and so on rows and cores.
        with _one_openmp_thread():
            p = np.asarray(self.pipeline.predict_proba(matrix.astype(np.float64)), dtype=np.float64)
        return p if p.shape[1] > 2 else p[:, 1]  # noqa: PLR2004 - good and bad

    def to_bytes(self) -> bytes:
        """Return the pipeline as a canonical skops file."""
        return skops_file.dumps(self.pipeline)


def read_model(file: str, content: bytes) -> Model:
    """Return the model that `to_bytes` gave.

    Raises:
        DataError: It cannot be read, or holds a type no model of ours needs.
    """
    if file == SKOPS_FILE:
        return SklearnModel(skops_file.loads(content))
    if file == SCORECARD_FILE:
        return ScorecardModel.from_bytes(content)
    if file == HAZARD_FILE:
        return HazardModel.from_bytes(content)
    if file == BLEND_FILE:
        return BlendModel.from_bytes(content, read_model)
    import xgboost  # noqa: PLC0415 - a heavy import that no other model needs

    if not content.startswith(b"{"):  # XGBoost ends the whole process where it is given nothing
        raise DataError(f"{file}: not an XGBoost model")
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError:
        raise DataError(f"{file}: not an XGBoost model") from None
    return XGBoostModel(booster)


@cache
def _libraries() -> Any:
    """Return the control of the libraries that are loaded; looking for them takes milliseconds."""
    import threadpoolctl  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with scikit-learn, has no types

    return threadpoolctl.ThreadpoolController()


def _one_openmp_thread() -> AbstractContextManager[Any]:
    control: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="openmp")
    return control


def _none(n_classes: int) -> NDArray[np.float64]:
    return np.empty((0, n_classes) if n_classes > 2 else 0)  # noqa: PLR2004 - good and bad
