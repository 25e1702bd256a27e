"""Where a search tries its configurations: folds of the records before the test, in time order where there is one."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from refit.scoring.metrics import Floats
from refit.training.crossfit import FEW, FOLDS, FOLDS_OF_FEW, Encoded, dealt
from refit.training.split import Parts, Rows
from refit.usecase.model import UseCase

BLOCKS: Final = 3
BLOCK_SHARE: Final = 0.15
"""By time each of three rising blocks of so many records is foretold from all before it."""
MOST: Final = 40_000
"""A search learns from so many records a fold; the best it finds are fitted on all of them afterwards."""
MOST_JUDGED: Final = 20_000
ENOUGH: Final = 1_000
"""More than that are kept where an outcome is rare, until they hold so many of it.

Of SBA loans matured by the end of 1999 three in a thousand are bad: 40,000 of them held 125, too few to learn a
parameter from, and 20,000 held 60, by which no two configurations could be told apart.
"""


@dataclass(frozen=True, slots=True)
class Fold:
    """Row numbers to learn from and to be judged on."""

    fit: Rows
    judge: Rows


def folds(encoded: Encoded, parts: Parts, usecase: UseCase) -> list[Fold]:
    """Return the folds of a search, the most telling first: by time that is the newest.

    At random every record is judged once; records alike in every feature stay in one fold.
    """
    rows = parts.before_test
    found = _by_time(rows) if usecase.split.by == "time" else _at_random(encoded, rows, usecase.seed)
    random = np.random.default_rng(usecase.seed)
    label = encoded.label
    thinned = [
        Fold(_some(fold.fit, label, MOST, random), _some(fold.judge, label, MOST_JUDGED, random)) for fold in found
    ]
    classes = np.arange(encoded.n_classes)
    return [f for f in thinned if all(np.isin(classes, encoded.label[part]).all() for part in (f.fit, f.judge))]


def _by_time(rows: Rows) -> Iterator[Fold]:
    size = max(int(len(rows) * BLOCK_SHARE), 1)
    for end in range(len(rows), len(rows) - BLOCKS * size, -size):
        yield Fold(rows[: end - size], rows[end - size : end])


def _at_random(encoded: Encoded, rows: Rows, seed: int) -> Iterator[Fold]:
    count = FOLDS_OF_FEW if len(rows) < FEW else FOLDS
    fold = dealt(encoded.matrix[rows], encoded.label[rows], seed, count)
    for number in range(count):
        yield Fold(rows[fold != number], rows[fold == number])


def _some(rows: Rows, label: Floats, most: int, random: np.random.Generator) -> Rows:
    if len(rows) <= most:
        return rows
    counts = np.bincount(label[rows].astype(np.intp))
    enough = math.ceil(len(rows) * ENOUGH / max(int(counts[counts > 0].min()), 1))
    kept = max(most, enough)
    return rows if len(rows) <= kept else np.sort(random.choice(rows, kept, replace=False))
