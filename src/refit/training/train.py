"""From a frame to a bundle: fit every learner, calibrate each, keep the best, test it on the newest records."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from refit.errors import ContractError
from refit.monitoring.profile import profile
from refit.scoring.bundle import Bundle, named
from refit.scoring.encoder import Encoder, Matrix
from refit.scoring.metrics import Floats, better, evaluate, log_loss
from refit.training.calibration import Calibrated, calibrate
from refit.training.card import Candidate, Origin, card
from refit.training.crossfit import crossfit
from refit.training.golden import with_golden
from refit.training.learners import LEARNERS, Fitted
from refit.training.maturity import columns, ripe
from refit.training.split import Parts, split
from refit.training.threshold import threshold
from refit.usecase.model import UseCase

Progress = Callable[[str, float], None]
OF_RANKS: Final = frozenset({"roc_auc", "average_precision"})


@dataclass(frozen=True, slots=True)
class Trained:
    """A bundle, the records it was tested on, its probabilities for them, and every learner that was tried."""

    bundle: Bundle
    test: pd.DataFrame
    probability: Floats
    candidates: tuple[Candidate, ...]


def quiet(_text: str, _fraction: float) -> None:
    """Tell nobody how far it is."""


def train(
    frame: pd.DataFrame,
    usecase: UseCase,
    as_of: datetime,
    *,
    code_version: str,
    snapshot: str,
    progress: Progress = quiet,
) -> Trained:
    """Return a calibrated, tested bundle made from the records that have matured at `as_of`.

    The learner is chosen on the calibration records, each held out of a fit. The test records decide nothing here.

    Args:
        frame: (n_records, n_columns) of an as-of read, one row a key.
        progress: Told what is being done and how much of the whole is done, 0 to 1.

    Raises:
        ContractError: The use case has more than two classes.
        DataError: The matured records cannot train a model; says what is missing.
    """
    if usecase.task != "binary":
        raise ContractError(f"{usecase.name}: only binary use cases can be trained yet, task is {usecase.task!r}")
    progress("Looking for matured records", 0.0)
    matured = ripe(frame, usecase, as_of)
    parts = split(matured, usecase)
    encoded = _encode(matured, parts, usecase)
    tried = _try_all(encoded, usecase, progress)
    best = _best(tried, usecase)
    progress("Testing", 0.85)
    raw = best.fitted.model.probability(encoded.matrix[parts.test])
    probability = best.calibrated.calibrator.apply(raw)
    candidates = tuple(attempt.candidate for attempt in tried)
    origin = Origin(as_of, code_version, snapshot)
    test = matured.iloc[parts.test].reset_index(drop=True)
    bundle = _bundle(usecase, origin, matured, encoded, best, probability, candidates)
    done = named(with_golden(bundle, test, usecase.seed))
    progress("Trained", 1.0)
    return Trained(done, test, probability, candidates)


@dataclass(frozen=True, slots=True)
class _Encoded:
    encoder: Encoder
    matrix: Matrix
    label: Floats
    parts: Parts
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A learner's last model, its calibrator, and what both say of the calibration records, each held out."""

    candidate: Candidate
    fitted: Fitted
    calibrated: Calibrated
    calibration_probability: Floats


def _encode(matured: pd.DataFrame, parts: Parts, usecase: UseCase) -> _Encoded:
    """Encode the matured records by what those before the test alone show."""
    known = parts.before_test
    names = tuple(usecase.features)
    encoder = Encoder.fit(columns(matured.iloc[known], names), usecase)
    matrix = encoder.encode(columns(matured, names))
    absent = np.asarray(np.isnan(matrix[known]).all(axis=0), dtype=bool)
    notes = [
        f"{name} is missing in every record the model was fitted on, so the model does not use it"
        for name, is_absent in zip(names, absent, strict=True)
        if is_absent
    ]
    numbers = (name for name in names if name not in encoder.vocabularies)
    infinite = {name: int(np.isinf(matured[name].to_numpy()).sum()) for name in numbers}
    notes += [f"{name} is infinite in {n:,} records, where it counts as missing" for name, n in infinite.items() if n]
    return _Encoded(encoder, matrix, matured["_label"].to_numpy(), parts, tuple(notes))


def _try_all(encoded: _Encoded, usecase: UseCase, progress: Progress) -> tuple[_Attempt, ...]:
    text = f"Fitting {' and '.join(name.replace('_', ' ') for name in usecase.learners)}"
    found = crossfit(
        {name: LEARNERS[name] for name in usecase.learners},
        encoded.encoder,
        encoded.matrix,
        encoded.label,
        encoded.parts,
        usecase.seed,
        lambda done: progress(text, 0.05 + 0.75 * done),
    )
    label = encoded.label[encoded.parts.calibration]
    attempts = []
    for name, crossed in found.items():
        calibrated = calibrate(crossed.held_out, label, usecase.seed)
        candidate = standing(name, usecase, crossed.held_out, label, calibrated)
        said = calibrated.calibrator.apply(crossed.held_out)
        attempts.append(_Attempt(candidate, crossed.fitted, calibrated, said))
    return tuple(attempts)


def _bundle(
    usecase: UseCase,
    origin: Origin,
    matured: pd.DataFrame,
    encoded: _Encoded,
    best: _Attempt,
    probability: Floats,
    candidates: tuple[Candidate, ...],
) -> Bundle:
    parts, said = encoded.parts, best.calibration_probability
    line = threshold(encoded.label[parts.calibration], said, usecase.objective.decide)
    notes = [*encoded.notes, *best.fitted.notes]
    if not (said >= line).any():
        notes.append("at this threshold every calibration record is approved: by the objective none is worth declining")
    reference = profile(matured.iloc[parts.used], usecase, score=np.concatenate([said, probability]))
    return Bundle(
        usecase=usecase,
        version="",
        as_of=origin.as_of,
        learner=best.candidate.learner,
        model=best.fitted.model,
        encoder=encoded.encoder,
        calibrator=best.calibrated.calibrator,
        threshold=line,
        profile=reference.to_json(),
        card=card(
            usecase,
            origin,
            matured,
            parts,
            learner=best.candidate.learner,
            params=best.fitted.params,
            importance=best.fitted.importance,
            threshold=line,
            probability=probability,
            calibrated=best.calibrated,
            candidates=candidates,
            notes=notes,
        ),
    )


def standing(learner: str, usecase: UseCase, raw: Floats, label: Floats, calibrated: Calibrated) -> Candidate:
    """Return how a learner does on records it was not fitted on.

    A calibrator keeps ranks, so raw probabilities serve for those; all else is fair only where it was held out too.
    """
    metric = usecase.objective.metric
    value = evaluate(metric, label, raw if metric in OF_RANKS else calibrated.held_out)
    return Candidate(learner, metric, value, log_loss(label, calibrated.held_out))


def _best(attempts: tuple[_Attempt, ...], usecase: UseCase) -> _Attempt:
    """Return the attempt with the best metric; of equals, the one the use case names first."""
    best = attempts[0]
    for attempt in attempts[1:]:
        if better(usecase.objective.metric, attempt.candidate.value, best.candidate.value):
            best = attempt
    return best
