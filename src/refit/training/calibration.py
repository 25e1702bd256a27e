"""Fitting a calibrator: whichever way comes closer to the truth on records it has not seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import isotonic_regression

from refit.scoring.calibration import AnyCalibrator, Calibrator, ClassCalibrator, expit, logit, logs, softmax
from refit.scoring.metrics import EPSILON, Floats, evaluate, one_hot

FOLDS: Final = 5
STEPS: Final = 50
HELD: Final = 1e-4
"""How firmly slopes and intercepts of several classes are held to 1 and 0: what is never mistaken stays finite."""
END: Final = 0.1
"""Beyond its outer knots an isotonic map goes a tenth of the way to 0 and 1: ranks are kept, little is claimed."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The chosen calibrator, each way's held-out Brier score, and the held-out probabilities of the chosen one."""

    calibrator: AnyCalibrator
    brier: Mapping[str, float]
    held_out: Floats


def calibrate(raw: Floats, label: Floats, seed: int) -> Calibrated:
    """Return the way of calibrating that does best under cross-fitting, or a simpler one that is as good by all signs.

    Two classes choose by the Brier score, several by log loss: there a class hardly ever said counts most in it. Of
    the ways within one standard error of the best the one with the fewest numbers is taken (Breiman et al. 1984,
    section 3.4.3): on a few thousand records isotonic regression wins by chance, and then costs log loss.

    Args:
        raw: (n_records,) a learner's probabilities of records it was not fitted on, or (n_records, n_classes).
        label: (n_records,) 1.0 bad, 0.0 good, or the class index; each present.
    """
    fits: Mapping[str, Fit] = CLASS_FITS if raw.ndim > 1 else FITS
    fold = folds(label, seed, FOLDS)
    held_out = {}
    for kind, fit in fits.items():
        held_out[kind] = np.empty(raw.shape)
        for number in range(FOLDS):
            out = fold == number
            held_out[kind][out] = fit(raw[~out], label[~out]).apply(raw[out])
    chosen = _simplest({kind: _losses(label, said) for kind, said in held_out.items()})
    scores = {kind: evaluate("brier", label, said) for kind, said in held_out.items()}
    return Calibrated(fits[chosen](raw, label), scores, held_out[chosen])


def _losses(label: Floats, said: Floats) -> Floats:
    """Return (n_records,) what each record adds to the score that chooses."""
    if said.ndim == 1:
        return np.asarray((said - label) ** 2, dtype=np.float64)
    return log_losses(label, said)


def log_losses(label: Floats, said: Floats) -> Floats:
    """Return (n_records,) what each record adds to the log loss."""
    of_truth = np.where(label == 1, said, 1 - said) if said.ndim == 1 else said[_each(label)]
    return np.asarray(-np.log(np.maximum(of_truth, EPSILON)), dtype=np.float64)


def error(values: Floats) -> float:
    """Return the standard error of the mean of (n_records,) values."""
    return float(values.std() / np.sqrt(len(values)))


def _each(label: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.arange(len(label)), label.astype(np.intp)


def _simplest(losses: Mapping[str, Floats]) -> str:
    """Return the first that is no more than a standard error of their difference behind the best."""
    best = min(losses, key=lambda kind: float(losses[kind].mean()))
    for kind, loss in losses.items():
        behind = loss - losses[best]
        if behind.mean() <= error(behind):
            return kind
    return best


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


def identity(raw: Floats, label: Floats) -> ClassCalibrator:  # noqa: ARG001 - as the other ways
    """Return the calibrator that leaves probabilities as they are."""
    return ClassCalibrator("identity")


def temperature(raw: Floats, label: Floats) -> ClassCalibrator:
    """Return the one slope on the log probabilities that makes the classes that came most likely."""
    slope = _likeliest(logs(raw), label, tied=True)[0]
    return ClassCalibrator("temperature", (), ((float(slope[0]),),))


def vector(raw: Floats, label: Floats) -> ClassCalibrator:
    """Return a slope and an intercept a class on the log probabilities: Platt's way for several classes."""
    slope, intercept = _likeliest(logs(raw), label, tied=False)
    return ClassCalibrator("vector", (), (tuple(slope.tolist()), tuple(intercept.tolist())))


def one_vs_rest(raw: Floats, label: Floats) -> ClassCalibrator:
    """Return the knots of a centred isotonic regression of each class against the rest."""
    each = [isotonic(raw[:, k], of) for k, of in enumerate(one_hot(label, raw.shape[1]).T)]
    return ClassCalibrator("one_vs_rest", tuple(c.x for c in each), tuple(c.y for c in each))


def _likeliest(log_p: Floats, label: Floats, *, tied: bool) -> tuple[Floats, Floats]:
    """Return slopes and intercepts of least cross-entropy, held a little towards 1 and 0; a slope is never negative."""
    k = log_p.shape[1]
    hot = one_hot(label, k)

    def loss(beta: Floats) -> tuple[float, Floats]:
        slope, intercept = (beta, np.zeros(k)) if tied else (beta[:k], beta[k:])
        p = softmax(slope * log_p + intercept)
        gap = (p - hot) / len(label)
        by_slope, by_intercept = (gap * log_p).sum(axis=0), gap.sum(axis=0)
        gradient = by_slope.sum(keepdims=True) if tied else np.concatenate([by_slope, by_intercept])
        away = beta - start
        cross_entropy = -float(np.mean(np.log(np.maximum(p, EPSILON))[hot > 0]))
        return cross_entropy + HELD * float(away @ away) / 2, gradient + HELD * away

    start = np.ones(1) if tied else np.concatenate([np.ones(k), np.zeros(k)])
    bounds = [(0.0, None)] * (1 if tied else k) + [(None, None)] * (0 if tied else k)
    beta = np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x, dtype=np.float64)
    return (np.full(k, beta[0]), np.zeros(k)) if tied else (beta[:k], beta[k:])


Fit = Callable[[Floats, Floats], AnyCalibrator]
FITS: Final[Mapping[str, Callable[[Floats, Floats], Calibrator]]] = {"platt": platt, "isotonic": isotonic}
CLASS_FITS: Final[Mapping[str, Callable[[Floats, Floats], ClassCalibrator]]] = {
    "identity": identity,
    "temperature": temperature,
    "vector": vector,
    "one_vs_rest": one_vs_rest,
}


def _with_ends(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if x[0] > 0:
        x, y = np.concatenate([[0.0], x]), np.concatenate([[y[0] * (1 - END)], y])
    if x[-1] < 1:
        x, y = np.concatenate([x, [1.0]]), np.concatenate([y, [y[-1] + END * (1 - y[-1])]])
    return x, y


def folds(label: Floats, seed: int, count: int) -> NDArray[np.intp]:
    """Return the (n_records,) fold of each, 0 up: dealt out at random, the records of each outcome evenly."""
    fold = np.empty(len(label), dtype=np.intp)
    random = np.random.default_rng(seed)
    for outcome in np.unique(label):
        rows = random.permutation(np.flatnonzero(label == outcome))
        fold[rows] = np.arange(len(rows)) % count
    return fold


def _cross_entropy(odds: Floats, target: Floats) -> float:
    return float(np.sum(np.logaddexp(0, odds) - target * odds))
