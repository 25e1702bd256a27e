"""What a learner takes and what it hands back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from refit.scoring.encoder import Encoder, Matrix
from refit.scoring.metrics import Floats
from refit.scoring.model import Model
from refit.training.parallel import Step


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, its parameters for the card, each feature's share of its importance, and what the card should note."""

    model: Model
    params: Mapping[str, Any]
    importance: Mapping[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """All that a fit depends on.

    `matrix` is (n_records, n_features), `label` (n_records,) holds 0.0 up to n_classes - 1, `params` is complete, and
    `weight` (n_records,) says for how many records each stands.
    """

    matrix: Matrix
    label: Floats
    encoder: Encoder
    seed: int
    step: Step
    params: Mapping[str, Any]
    n_classes: int = 2
    weight: Floats | None = None


class Learner(Protocol):
    """From a matrix, its labels, the encoder, a seed and somebody to tell, to a model."""

    def __call__(
        self,
        matrix: Matrix,
        label: Floats,
        encoder: Encoder,
        seed: int,
        step: Step,
        *,
        params: Mapping[str, Any],
        n_classes: int = 2,
        weight: Floats | None = None,
    ) -> Fitted:
        """Return the fitted model.

        Args:
            matrix: (n_records, n_features) as the encoder gives it: categories as codes, NaN missing.
            label: (n_records,) the class of each, 0.0 good and 1.0 bad or 0.0 up to n_classes - 1.
            params: What to change about the learner's defaults; {} for none.
            weight: (n_records,) for how many records each counts; None for one each.

        Raises:
            ContractError: The learner cannot tell so many classes apart, or has no such parameter.
            DataError: A class has no record, or the records have no values.
        """
        ...
