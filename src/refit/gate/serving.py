"""Whether the bundle can be served: both doors say the same, it is small, and it is quick."""

import math
from collections.abc import Hashable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from refit.gate.check import Check, listed, not_applicable, passed
from refit.scoring.bundle import Bundle, to_files
from refit.scoring.encoder import Cell

GOLDEN: Final = "train and serve agree"
TOLERANCE: Final = 1e-9
COMPARED: Final = 200
MEGABYTE: Final = 1_000_000


def agreement(bundle: Bundle, test: pd.DataFrame | None) -> Check:
    """Ask that golden records get their probability, and that a frame and a request get the same for one record.

    Args:
        test: Records as training saw them; None compares the golden records alone.
    """
    allowed = f"every probability within {TOLERANCE:g}"
    if not bundle.golden:
        return Check(GOLDEN, "fail", None, allowed, _without_golden(bundle, test))
    expected = np.array([record.probability for record in bundle.golden], dtype=np.float64)
    answered = bundle.predict([record.inputs for record in bundle.golden])
    golden = float(np.abs(answered - expected).max()) if answered.shape == expected.shape else math.inf
    doors, n_compared = (0.0, 0) if test is None else _doors(bundle, test)
    apart = max(golden, doors)
    why = (
        f"{len(bundle.golden)} golden records and {n_compared} test records, sent as a client sends them, lie "
        f"{apart:.1g} at most from what training saw"
    )
    # NaN is no agreement either.
    return Check(GOLDEN, passed(true=apart <= TOLERANCE), apart if math.isfinite(apart) else None, allowed, why)


def _without_golden(bundle: Bundle, test: pd.DataFrame | None) -> str:
    """Say why nothing proves that the bundle serves right, and what its owner can do about it."""
    why = "the bundle holds no golden record, so nothing proves it serves right"
    barred = [
        f"{name} ({column.rule})"
        for name, column in bundle.usecase.inputs.items()
        if column.required and not _can_be_sent(bundle, name, test)
    ]
    if not barred and test is not None and len(test):
        return f"{why}: no test record is one a client could send by now, see the ranges and choices"
    if not barred:
        return why
    those = "each is required and its" if len(barred) > 1 else "it is required and the"
    return (
        f"{why}: no test record can be sent as it was read, for want of {listed(barred)}, since {those} rule does not "
        "read its own result; say 'required: false', or give a rule that reads its own result too"
    )


def _can_be_sent(bundle: Bundle, name: str, test: pd.DataFrame | None) -> bool:
    """Tell whether all that the records hold of an input, or all that the model knows of it, is read as itself."""
    values = bundle.encoder.vocabularies.get(name, ()) if test is None else test[name].unique()
    return all(bundle.encoder.round_trips(name, value) for value in values if isinstance(value, str))


def _doors(bundle: Bundle, test: pd.DataFrame) -> tuple[float, int]:
    """Return how far the frame's answers and a request's lie apart at most, and on how many records that was seen."""
    step = max(1, len(test) // COMPARED)
    chosen = test.iloc[::step][:COMPARED]
    sent = [_inputs(bundle, record) for record in chosen.to_dict("records")]
    able = [row for row, inputs in enumerate(sent) if inputs is not None]
    if not able:
        return 0.0, 0
    columns = {name: chosen[name].to_numpy()[able] for name in bundle.encoder.features}
    answered = bundle.predict([inputs for inputs in sent if inputs is not None])
    return float(np.abs(answered - bundle.predict_columns(columns)).max()), len(able)


def _inputs(bundle: Bundle, record: Mapping[Hashable, Any]) -> dict[str, Cell] | None:
    """Return a record as a client sends it; None where a category is no longer what its parse rule reads."""
    found: dict[str, Cell] = {}
    for name in bundle.usecase.inputs:
        value = record[name]
        if isinstance(value, str):
            if not bundle.encoder.round_trips(name, value):
                return None
            found[name] = value
        else:
            found[name] = float(value) if math.isfinite(value) else None
    return found


def size(bundle: Bundle, most: float) -> Check:
    """Ask for a bundle that is quick to copy and to load."""
    seen = sum(len(content) for content in to_files(bundle).values()) / MEGABYTE
    why = f"its files take {seen:,.2f} MB"
    return Check("size", passed(true=seen <= most), seen, f"at most {most:g} MB", why)


def latency(seen: float | None, most: float) -> Check:
    """Ask for an answer to one record in time."""
    allowed = f"at most {most:g} ms"
    if seen is None:
        return not_applicable("latency", allowed, "it was not measured")
    why = f"one record takes {seen:,.2f} ms of processor time, the median of many"
    return Check("latency", passed(true=seen <= most), seen, allowed, why)
