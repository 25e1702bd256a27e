"""What the encoder's matrix becomes for learners that take neither codes nor missing values."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, TargetEncoder

from refit.training.learners.fitted import Task

RANKS: Final = 200
FOLDS: Final = 5
MOSTLY_NOUGHT: Final = 0.3
"""A design of which less is filled is kept sparse: a column a category, it would outgrow the memory of a large book."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """Fitted `columns`, the (n_records, n_columns) design they make, and the feature each of its columns came from.

    With a column a category the design may be sparse, of compressed rows; by rates it never is.
    """

    columns: Any
    design: Any
    owners: NDArray[np.intp]


def shaped(
    task: Task, *, ranks: Literal["uniform", "normal"] | None, categories: Literal["rates", "one hot"]
) -> Shaped:
    """Return the matrix without codes and missing values. A feature that is missing in every record is left out.

    A missing number takes the median and a mark of its own; a missing category is one more category.

    Args:
        ranks: Numbers by their rank, spread evenly or as a normal curve; None leaves them as they are.
        categories: Each by the shrunken rate of every class among its records (Micci-Barreca 2001), of records it was
            not learned from while fitting; or a column a category.
    """
    wide = task.matrix.astype(np.float64)
    present = np.asarray(~np.isnan(wide).all(axis=0), dtype=bool)
    numbers = np.flatnonzero(present & ~task.encoder.is_category).tolist()
    named = np.flatnonzero(present & task.encoder.is_category).tolist()
    parts = [("numbers", _numbers(task, ranks), numbers), ("categories", _categories(task, categories), named)]
    columns = ColumnTransformer([part for part in parts if part[2]], sparse_threshold=MOSTLY_NOUGHT)
    design = columns.fit_transform(wide, task.label.astype(np.intp))
    return Shaped(columns, design, _owners(columns, numbers, named))


def _numbers(task: Task, ranks: str | None) -> Any:
    imputed = SimpleImputer(strategy="median", add_indicator=True)
    if ranks is None:
        return imputed
    ranked = QuantileTransformer(
        n_quantiles=min(RANKS, len(task.matrix)), output_distribution=ranks, random_state=task.seed
    )
    return Pipeline([("imputed", imputed), ("ranked", ranked)])


def _categories(task: Task, way: str) -> Any:
    if way == "one hot":
        return OneHotEncoder(handle_unknown="ignore")
    folds = min(FOLDS, max(2, int(np.unique(task.label, return_counts=True)[1].min())))
    kind = "binary" if task.n_classes == 2 else "multiclass"  # noqa: PLR2004 - good and bad
    return TargetEncoder(target_type=kind, cv=StratifiedKFold(folds, shuffle=True, random_state=task.seed))


def _owners(columns: Any, numbers: list[int], categories: list[int]) -> NDArray[np.intp]:
    owners: list[int] = []
    if numbers:
        part = columns.named_transformers_["numbers"]
        imputed = part["imputed"] if isinstance(part, Pipeline) else part
        owners += [*numbers, *(numbers[mark] for mark in imputed.indicator_.features_)]
    if categories:
        part = columns.named_transformers_["categories"]
        if isinstance(part, OneHotEncoder):
            sizes = [len(values) for values in part.categories_]
        else:
            sizes = [len(part.encodings_) // len(categories)] * len(categories)
        owners += np.repeat(categories, sizes).tolist()
    return np.array(owners, dtype=np.intp)
