"""How good a model of several classes is: each class against the rest, and where one is taken for another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refit.scoring.intervals import metric_interval
from refit.scoring.metrics import Floats
from refit.training.curves import calibration, roc, thinned


def by_class(label: Floats, probability: Floats, names: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Return, of each class against the rest, how often it occurs and is said, its AUC, ROC and calibration."""
    rows = []
    for index, name in enumerate(names):
        one, said = (label == index).astype(np.float64), probability[:, index]
        rows.append(
            {
                "class": name,
                "n": int(one.sum()),
                "share": float(one.mean()) if len(one) else None,
                "mean_probability": float(said.mean()) if len(said) else None,
                "roc_auc": metric_interval("roc_auc", one, said, seed=seed).to_json(),
                "roc": thinned(roc(one, said), ("fpr", "tpr")),
                "calibration": calibration(one, said),
            }
        )
    return rows


def confusion(label: Floats, probability: Floats, names: Sequence[str]) -> Mapping[str, Any]:
    """Return the classes and `counts[i][j]`: records of class i of which class j was said."""
    said = probability.argmax(axis=1) if len(label) else np.empty(0, dtype=np.intp)
    k = len(names)
    counts = np.bincount(label.astype(np.intp) * k + said, minlength=k * k).reshape(k, k)
    return {"classes": list(names), "counts": counts.tolist()}
