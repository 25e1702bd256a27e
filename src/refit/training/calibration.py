"""Fitting a calibrator: isotonic or Platt, whichever is closer to the truth on records it has not seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from refit.scoring.calibration import Calibrator, expit, logit
from refit.scoring.metrics import Floats, brier

FOLDS: Final = 5
STEPS: Final = 50
END: Final = 0.1
"""Beyond its outer knots an isotonic map goes a tenth of the way to 0 and 1: ranks are kept, little is claimed."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The chosen calibrator, each way's held-out Brier score, and the held-out probabilities of the chosen one."""

    calibrator: Calibrator
    brier: Mapping[str, float]
    held_out: Floats


def calibrate(raw: Floats, label: Floats, seed: int) -> Calibrated:
    """Return the way of calibrating with the lower Brier score under cross-fitting; a tie goes to Platt.

    Args:
        raw: (n_records,) a learner's probabilities of records it was not fitted on.
        label: (n_records,) 1.0 bad, 0.0 good, both present.
    """
    fold = folds(label, seed, FOLDS)
    held_out = {}
    for kind, fit in FITS.items():
        held_out[kind] = np.empty(len(raw))
        for number in range(FOLDS):
            out = fold == number
            held_out[kind][out] = fit(raw[~out], label[~out]).apply(raw[out])
    scores = {kind: brier(label, values) for kind, values in held_out.items()}
    chosen = min(FITS, key=lambda kind: scores[kind])
    return Calibrated(FITS[chosen](raw, label), scores, held_out[chosen])


def platt(raw: Floats, label: Floats) -> Calibrator:
    """Return slope and intercept on the log odds. The slope is never negative: a calibrator does not turn ranks round.

    Platt 1999, Probabilistic outputs for support vector machines, with its smoothed targets; Newton's method as in
    Lin, Lin and Weng 2007.
    """
    n_bad = label.sum()
    n_good = len(label) - n_bad
    target = np.where(label == 1, (n_bad + 1) / (n_bad + 2), 1 / (n_good + 2))
    odds = logit(raw)
    design = np.column_stack([odds, np.ones_like(odds)])
    beta = np.array([0.0, float(logit(np.array(target.mean())))])
    loss = _cross_entropy(design @ beta, target)
    for _ in range(STEPS):
        p = expit(design @ beta)
        gradient = design.T @ (p - target)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while _cross_entropy(design @ (beta - step), target) > loss and np.abs(step).max() > 1e-10:  # noqa: PLR2004 - done
            step /= 2
        beta = beta - step
        loss = _cross_entropy(design @ beta, target)
        if np.abs(step).max() < 1e-10:  # noqa: PLR2004 - converged
            break
    if beta[0] <= 0:
        beta = np.array([0.0, float(logit(np.array(target.mean())))])
    return Calibrator("platt", (), (float(beta[0]), float(beta[1])))


def isotonic(raw: Floats, label: Floats) -> Calibrator:
    """Return the knots of a centred isotonic regression: each level stands at the mean of its records.

    Straight lines between the levels keep records apart that plain isotonic regression would tie. Oron and Flournoy
    2017, Centered isotonic regression. A level of 0 or 1 is held off by half a record.
    """
    order = np.lexsort((label, raw))
    raw, label = raw[order], label[order]
    distinct, start, count = np.unique(raw, return_index=True, return_counts=True)
    rate = np.add.reduceat(label, start) / count
    level = isotonic_regression(rate, sample_weight=count.astype(np.float64))
    first = np.flatnonzero(np.concatenate([[True], level[1:] > level[:-1]]))
    size = np.add.reduceat(count, first)
    x = np.add.reduceat(distinct * count, first) / size
    half = 0.5 / (size + 1)
    y = np.clip(level[first], np.minimum(half, label.mean()), np.maximum(1 - half, label.mean()))
    y = np.maximum.accumulate(y)
    higher = np.concatenate([[True], y[1:] > y[:-1]])
    x, y = x[higher], y[higher]
    x, y = _with_ends(x, y)
    return Calibrator("isotonic", tuple(x.tolist()), tuple(y.tolist()))


FITS: Final[Mapping[str, Callable[[Floats, Floats], Calibrator]]] = {"platt": platt, "isotonic": isotonic}


def _with_ends(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if x[0] > 0:
        x, y = np.concatenate([[0.0], x]), np.concatenate([[y[0] * (1 - END)], y])
    if x[-1] < 1:
        x, y = np.concatenate([x, [1.0]]), np.concatenate([y, [y[-1] + END * (1 - y[-1])]])
    return x, y


def folds(label: Floats, seed: int, count: int) -> NDArray[np.intp]:
    """Return the (n_records,) fold of each, 0 up: dealt out at random, the bad ones and the good ones evenly."""
    fold = np.empty(len(label), dtype=np.intp)
    random = np.random.default_rng(seed)
    for outcome in (0.0, 1.0):
        rows = random.permutation(np.flatnonzero(label == outcome))
        fold[rows] = np.arange(len(rows)) % count
    return fold


def _cross_entropy(odds: Floats, target: Floats) -> float:
    return float(np.sum(np.logaddexp(0, odds) - target * odds))
