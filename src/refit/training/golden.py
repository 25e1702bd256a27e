"""A few real records with the probability they must get, wherever the model runs."""

import dataclasses
import math
from collections.abc import Hashable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from refit.scoring.bundle import Bundle, GoldenRecord
from refit.scoring.encoder import Cell
from refit.scoring.request import Checker

COUNT: Final = 20


def golden(bundle: Bundle, test: pd.DataFrame, seed: int) -> tuple[GoldenRecord, ...]:
    """Return up to 20 test records as a client would send them, each with the bundle's own answer.

    A category that its parse rule would read otherwise once it is parsed already (some `match:`) is sent as missing, so
    that the record means the same to every reader; a record where it is required is passed over, and so is one that
    breaks the contract as it stands by now. Where that leaves none, the gate refuses the bundle and names the columns.
    """
    order = np.random.default_rng(seed).permutation(len(test))
    chosen: list[dict[str, Cell]] = []
    checker = Checker(bundle.usecase)
    for row in order:
        inputs = _inputs(bundle, test.iloc[int(row)].to_dict())
        if inputs is not None and not checker.check(inputs)[1]:
            chosen.append(inputs)
        if len(chosen) == COUNT:
            break
    expected = bundle.predict(chosen)
    answers = [tuple(p) if isinstance(p, list) else p for p in expected.tolist()]
    return tuple(GoldenRecord(inputs, answer) for inputs, answer in zip(chosen, answers, strict=True))


def with_golden(bundle: Bundle, test: pd.DataFrame, seed: int) -> Bundle:
    """Return the bundle with golden records of its test."""
    return dataclasses.replace(bundle, golden=golden(bundle, test, seed))


def _inputs(bundle: Bundle, record: Mapping[Hashable, Any]) -> dict[str, Cell] | None:
    found: dict[str, Cell] = {}
    for name, column in bundle.usecase.inputs.items():
        value = record[name]
        if isinstance(value, str):
            cell: Cell = value if bundle.encoder.round_trips(name, value) else None
        else:
            cell = float(value) if math.isfinite(value) else None
        if cell is None and column.required:
            return None
        found[name] = cell
    return found
