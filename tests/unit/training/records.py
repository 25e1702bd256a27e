"""Made-up records as the encoder gives them: what counts, what misleads, what is missing."""

import numpy as np

from refit.scoring.encoder import Encoder
from refit.training.parallel import side_by_side

KINDS = ("a", "b", "c", "d")
ENCODER = Encoder(("amount", "noise", "kind", "empty"), {"kind": KINDS}, {}, {})


def records(n=1500, seed=3, n_classes=2):
    """Return an (n, 4) matrix and (n,) labels: a heavy-tailed amount and a kind decide, a share of each is missing."""
    random = np.random.default_rng(seed)
    size = random.standard_normal(n)
    kind = random.integers(0, len(KINDS) + 1, n).astype(np.float32)
    matrix = np.column_stack([np.exp(4 * size), random.standard_normal(n), kind, np.full(n, np.nan)]).astype(np.float32)
    matrix[random.random(n) < 0.1, 0] = np.nan
    matrix[random.random(n) < 0.1, 2] = np.nan
    strength = 1.5 * size + 3.0 * (kind == 2) + random.logistic(size=n)
    edges = np.quantile(strength, np.linspace(0, 1, n_classes + 1)[1:-1] if n_classes > 2 else [0.75])
    return matrix, np.searchsorted(edges, strength).astype(np.float64)


def fit(learner, matrix, label, encoder=ENCODER, seed=5, step=lambda _: None, **rest):
    """Return what the learner makes of it, as training calls it."""
    return side_by_side([lambda told: learner(matrix, label, encoder, seed, told, **{"params": {}, **rest})], step)[0]
