"""Made-up features and outcomes, as the gate looks at them."""

import numpy as np
import pandas as pd

from refit.gate.alone import Features
from refit.training.split import hashes


def features(columns, label, *, n_classes=2, days=None, test_share=0.5):
    """Return features whose last records are the test."""
    n = len(label)
    cut = round(n * (1 - test_share))
    return Features(
        names=tuple(columns),
        matrix=np.column_stack([np.asarray(values, dtype=np.float32) for values in columns.values()]),
        label=np.asarray(label, dtype=float),
        n_classes=n_classes,
        before=np.arange(cut),
        test=np.arange(cut, n),
        days=None if days is None else np.asarray(days, dtype=float),
        equal=hashes(pd.DataFrame({**columns, "_label": label} | ({} if days is None else {"_day": days}))),
    )


def outcomes(n, seed, rate=0.2):
    """Return random outcomes and the generator that made them."""
    random = np.random.default_rng(seed)
    return (random.random(n) < rate).astype(float), random
