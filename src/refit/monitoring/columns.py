"""Which columns a use case has, and how each is read from a frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.usecase.model import UseCase

Kind = Literal["number", "category"]
Role = Literal["feature", "operand", "protected", "score"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A column of the contract: what it holds, and what it is there for.

    `operand`: read only by a derived feature. `protected`: no model reads it; its drift is shown, and decides nothing.
    """

    kind: Kind
    role: Role


@dataclass(frozen=True, slots=True)
class Categories:
    """A category column: `codes` (n_records,) into `texts`, -1 for missing."""

    codes: NDArray[np.integer]
    texts: tuple[str, ...]


class UnsupportedError(ValueError):
    """A column holds something other than its contract says; the message says what."""


def watched(usecase: UseCase) -> Mapping[str, Watched]:
    """Return every column of the contract, once, in its order: features, then raw operands, then protected ones."""
    found = {name: Watched(feature.type, "feature") for name, feature in usecase.features.items()}
    for name, column in usecase.inputs.items():
        found.setdefault(name, Watched(column.type, "operand"))
    for name in usecase.protected:
        found.setdefault(name, Watched("category", "protected"))
    return found


def numbers(column: pd.Series) -> NDArray[np.generic]:
    """Return the (n_records,) numbers of a column, without a copy where it is one plain array already.

    Raises:
        UnsupportedError: It holds something else.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return column.to_numpy()
    if pd.api.types.infer_dtype(column, skipna=True) in {
        "boolean",
        "decimal",
        "empty",
        "floating",
        "integer",
        "mixed-integer-float",
    }:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    raise UnsupportedError(f"a number by contract, but held as {column.dtype}")


def categories(column: pd.Series) -> Categories:
    """Return the codes of a category column, and the text of each.

    Raises:
        UnsupportedError: It holds something other than text.
    """
    if not isinstance(column.dtype, pd.CategoricalDtype):
        if pd.api.types.infer_dtype(column, skipna=True) not in {"string", "boolean", "empty"}:
            raise UnsupportedError(f"a category by contract, but held as {column.dtype}")
        column = column.astype("category")
    return Categories(column.cat.codes.to_numpy(), tuple(str(value) for value in column.cat.categories))
