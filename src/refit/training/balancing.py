"""Evening out the classes of training records. It distorts probabilities, so a calibrator must always follow."""

from typing import Any, Final

import numpy as np
from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.preprocessing import QuantileTransformer

from refit.scoring.encoder import Encoder, Matrix
from refit.scoring.metrics import Floats
from refit.usecase.policy import Balancing

NEIGHBOURS: Final = 5
RANKS: Final = 1000
MISSING: Final = -1.0


def balanced(matrix: Matrix, label: Floats, encoder: Encoder, balancing: Balancing, seed: int) -> tuple[Matrix, Floats]:
    """Return training records with as many of each class; use it inside a training fold, never on what is tested.

    Args:
        matrix: (n_records, n_features) as the encoder gives it.
        label: (n_records,) the class of each.
        balancing: `under` leaves out records of the larger classes, `over` repeats those of the smaller, `smote` makes
            new ones between neighbours of the same class; without a neighbour of their own it repeats them too.
    """
    if balancing == "none" or len(np.unique(label)) < 2:  # noqa: PLR2004 - nothing to even out
        return matrix, label
    if balancing == "smote":
        k = min(NEIGHBOURS, int(np.unique(label, return_counts=True)[1].min()) - 1)
        if k >= 1:
            return _smote(matrix, label, encoder, k, seed)
    sampler = RandomUnderSampler if balancing == "under" else RandomOverSampler
    drawn = sampler(random_state=seed)
    drawn.fit_resample(np.arange(len(label))[:, None], label)
    rows = np.sort(drawn.sample_indices_)
    return matrix[rows], label[rows]


def _smote(matrix: Matrix, label: Floats, encoder: Encoder, k: int, seed: int) -> tuple[Matrix, Floats]:
    """Make new records among ranks, where no enormous amount sets the distance, and turn them back into numbers.

    That a value is missing counts as a category: a new record misses what most of its neighbours miss. Chawla et al.
    2002, SMOTE, sections 4 and 6.1.
    """
    missing = np.isnan(matrix)
    present = ~missing.all(axis=0)
    numbers = np.flatnonzero(present & ~encoder.is_category)
    categories = np.flatnonzero(present & encoder.is_category)
    marked = numbers[missing[:, numbers].any(axis=0)]
    ranker = QuantileTransformer(n_quantiles=min(RANKS, len(matrix)), random_state=seed)
    ranks = ranker.fit_transform(matrix[:, numbers].astype(np.float64)) if len(numbers) else np.empty((len(matrix), 0))
    ranks = np.where(np.isnan(ranks), 0.5, ranks)
    codes = np.where(missing[:, categories], MISSING, matrix[:, categories])
    table = np.column_stack([ranks, codes, missing[:, marked]])
    made, labels = _sampler(len(numbers), table.shape[1], k, seed).fit_resample(table, label)
    made = made[len(matrix) :].astype(np.float64)
    new = np.full((len(made), matrix.shape[1]), np.nan, dtype=np.float32)
    if len(numbers):
        new[:, numbers] = ranker.inverse_transform(made[:, : len(numbers)])
    coded = made[:, len(numbers) : len(numbers) + len(categories)]
    new[:, categories] = np.where(coded == MISSING, np.nan, coded)
    marks = made[:, len(numbers) + len(categories) :] > 0
    new[:, marked] = np.where(marks, np.nan, new[:, marked])
    return np.concatenate([matrix, new]), labels.astype(np.float64)


def _sampler(n_numbers: int, n_columns: int, k: int, seed: int) -> Any:
    if n_numbers == n_columns:
        return SMOTE(k_neighbors=k, random_state=seed)
    if n_numbers == 0:
        return SMOTEN(k_neighbors=k, random_state=seed)
    return SMOTENC(list(range(n_numbers, n_columns)), k_neighbors=k, random_state=seed)
