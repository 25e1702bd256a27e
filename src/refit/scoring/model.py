"""What a learner leaves behind: something that turns the encoder's matrix into raw probabilities, and into bytes."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from refit.errors import DataError
from refit.scoring import skops_file

XGBOOST_FILE: Final = "model.ubj"
SKOPS_FILE: Final = "model.skops"


class Model(Protocol):
    """A trained learner."""

    @property
    def file(self) -> str:
        """The name its bytes go by."""
        ...

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the (n_records,) uncalibrated P(bad)."""
        ...

    def to_bytes(self) -> bytes:
        """Return the same bytes for the same model."""
        ...


@dataclass(frozen=True, slots=True)
class XGBoostModel:
    """Boosted trees. One thread: more make a single record slower, and change no answer."""

    booster: Any
    file: str = XGBOOST_FILE

    def __post_init__(self) -> None:
        self.booster.set_param({"nthread": 1})

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the (n_records,) uncalibrated P(bad)."""
        if not len(matrix):
            return np.empty(0)
        return np.asarray(self.booster.inplace_predict(matrix), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Return the trees as UBJSON."""
        return bytes(self.booster.save_raw(raw_format="ubj"))


@dataclass(frozen=True, slots=True)
class SklearnModel:
    """A scikit-learn pipeline with `predict_proba`."""

    pipeline: Any
    file: str = SKOPS_FILE

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the (n_records,) uncalibrated P(bad)."""
        if not len(matrix):
            return np.empty(0)
        return np.asarray(self.pipeline.predict_proba(matrix.astype(np.float64))[:, 1], dtype=np.float64)

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
    import xgboost  # noqa: PLC0415 - a heavy import that a scikit-learn model does not need

    if not content.startswith(b"{"):  # XGBoost ends the whole process where it is given nothing
        raise DataError(f"{file}: not an XGBoost model")
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError:
        raise DataError(f"{file}: not an XGBoost model") from None
    return XGBoostModel(booster)
