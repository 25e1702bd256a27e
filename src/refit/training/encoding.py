"""From matured records to what a learner takes, and the refusals on the way there."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from refit.errors import DataError
from refit.scoring.encoder import Encoder
from refit.training.crossfit import Encoded
from refit.training.maturity import columns
from refit.training.split import Parts
from refit.usecase.model import UseCase


def require_columns(frame: pd.DataFrame, usecase: UseCase) -> None:
    """Refuse a frame that lacks a column.

    Raises:
        DataError: Names it.
    """
    needed = ["_key", "_arrived_at", "_event_time", "_label", "_ripe", *usecase.features]
    if absent := [name for name in needed if name not in frame]:
        what = ["the label" if name == "_label" else name for name in absent]
        raise DataError(f"{usecase.name}: the records hold no column for {', '.join(what)}")


def encode(matured: pd.DataFrame, parts: Parts, usecase: UseCase) -> Encoded:
    """Encode the matured records by what those before the test alone show.

    Raises:
        DataError: A number is infinite, or a feature is missing in every record; names it.
    """
    known = parts.before_test
    names = tuple(usecase.features)
    encoder = Encoder.fit(columns(matured.iloc[known], names), usecase)
    _require_finite(matured, [name for name in names if name not in encoder.vocabularies], usecase)
    matrix = encoder.encode(columns(matured, names))
    absent = np.asarray(np.isnan(matrix[known]).all(axis=0), dtype=bool)
    if absent.any():
        missing = [name for name, is_absent in zip(names, absent, strict=True) if is_absent]
        which = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'}"
        raise DataError(
            f"{usecase.name}: {which} missing in each of the {len(known):,} records to learn from. "
            f"{_remedy(usecase, one=len(missing) == 1)}"
        )
    n_classes = len(usecase.classes or ("good", "bad"))
    return Encoded(encoder, matrix, matured["_label"].to_numpy(dtype=np.float64), n_classes)


def _remedy(usecase: UseCase, *, one: bool) -> str:
    """Say what to do; where the split leaves older records out, those may hold what the newer lack."""
    it = "it" if one else "them"
    if usecase.split.by == "random" or usecase.split.train_months is None:
        return f"Mend the feed, or leave {it} out of the features"
    return (
        f"Mend the feed, leave {it} out of the features, or learn from older records too, if those hold {it}: more "
        f"than the {usecase.split.train_months} months of split.train_months"
    )


def _require_finite(matured: pd.DataFrame, names: Sequence[str], usecase: UseCase) -> None:
    infinite = {name: int(np.isinf(matured[name].to_numpy(dtype=np.float64)).sum()) for name in names}
    if found := [f"{name} in {n:,} records" for name, n in infinite.items() if n]:
        raise DataError(
            f"{usecase.name}: infinite numbers: {', '.join(found)}. Correct them at the source, or give the feature "
            "'min' and 'max', so that the intake refuses such records"
        )
