"""From a frame to a bundle: search, fit the best on all records, calibrate, keep the best, test it on the newest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from refit.monitoring.profile import Profile, profile
from refit.scoring.bundle import Bundle, named
from refit.scoring.encoder import Encoder
from refit.scoring.metrics import Floats, evaluate
from refit.training.attempts import Attempt, Progress, ahead, best_of, scores, standing, try_all
from refit.training.calibration import Calibrated
from refit.training.card import Candidate, Origin, card
from refit.training.crossfit import held
from refit.training.duplicates import Duplicates, distinct, near_across, unlike_note
from refit.training.encoding import encode, require_columns
from refit.training.golden import with_golden
from refit.training.hazard import AS_IT_IS, NAME, hazard_candidate
from refit.training.learners.fitted import Fitted
from refit.training.maturity import age_note
from refit.training.parallel import one_thread
from refit.training.search import search as find
from refit.training.split import Parts, Rows, matured_at, split
from refit.training.threshold import threshold
from refit.usecase.model import UseCase
from refit.usecase.policy import Search

EVEN: Final = 0.5
"""The threshold of a use case with several classes, which has no use for one."""
SECONDS_NOTE: Final = "the search was given {:g} seconds, so another run may try more or less and keep another model"

START_NOTE: Final = "the search found nothing clearly better than a learner as it comes, so that one is kept"


@dataclass(frozen=True, slots=True)
class Trained:
    """A bundle, the records it was tested on, its probabilities for them, and every learner that was tried.

    `matured` are all distinct matured records, oldest first, and `parts` the row numbers in it that fitted, calibrated
    and tested; `probability` is (n_test,), or (n_test, n_classes).
    """

    bundle: Bundle
    test: pd.DataFrame
    probability: Floats
    candidates: tuple[Candidate, ...]
    duplicates: Duplicates
    matured: pd.DataFrame
    parts: Parts


def quiet(_text: str, _fraction: float) -> None:
    """Tell nobody how far it is."""


@one_thread()
def train(
    frame: pd.DataFrame,
    usecase: UseCase,
    as_of: datetime,
    *,
    code_version: str,
    snapshot: str,
    search: Search | None = None,
    storage: Any = None,
    progress: Progress = quiet,
) -> Trained:
    """Return a calibrated, tested bundle made from the records that have matured at `as_of`.

    Learner, balancing and parameters are chosen on records before the test, each held out of a fit. The test records
    decide nothing here. The same frame, use case, seed, budget of trials and versions give the same bundle, byte for
    byte and on any number of cores; a budget of seconds does not, and the card says so.

    Args:
        frame: (n_records, n_columns) of an as-of read, one row a key.
        search: How long to search; the use case's own budget where it is None.
        storage: An optuna storage that keeps the trials: a search that was stopped then goes on.
        progress: Told what is being done and how much of the whole is done, 0 to 1.

    Raises:
        DataError: The matured records cannot train a model; says what is missing.
    """
    budget = usecase.search if search is None else search
    origin = Origin(as_of, code_version, snapshot)
    progress("Looking for matured records", 0.0)
    require_columns(frame, usecase)
    matured, duplicates = distinct(matured_at(frame, usecase, as_of), usecase)
    parts = split(matured, usecase)
    duplicates = replace(duplicates, n_near_across=near_across(matured, usecase, parts.before_test, parts.test))
    if usecase.maturity.unripe == "hazard":
        made = _by_hazard(frame, matured, parts, usecase, as_of, progress)
    else:
        name = f"{usecase.name} {snapshot} {usecase.seed}"
        made = _searched(matured, parts, usecase, budget, storage, name, progress)
    unlike = unlike_note(matured, usecase, parts.before_test, parts.test)
    told = (age_note(matured, usecase, as_of), duplicates.note, unlike)
    made = replace(made, notes=(*made.notes, *(note for note in told if note is not None)))
    test = matured.iloc[parts.test].reset_index(drop=True)
    bundle = named(with_golden(_bundle(made, usecase, origin, matured, parts), test, usecase.seed))
    progress("Trained", 1.0)
    return Trained(bundle, test, made.probability, made.candidates, duplicates, matured, parts)


@dataclass(frozen=True, slots=True)
class _Made:
    """All that a bundle and its card are put together from; `held` are the records that calibrate."""

    encoder: Encoder
    best: Attempt
    candidates: tuple[Candidate, ...]
    held: Rows
    probability: Floats
    reference: Profile
    told: Mapping[str, Any] | None
    notes: tuple[str, ...]
    window: Mapping[str, str] | None = None
    """Of which records the reference is, where not of those that fitted, calibrated and tested."""


def _searched(
    matured: pd.DataFrame, parts: Parts, usecase: UseCase, budget: Search, storage: Any, name: str, progress: Progress
) -> _Made:
    encoded = encode(matured, parts, usecase)
    searched = find(
        encoded,
        parts,
        usecase,
        budget,
        lambda text, done: progress(text, 0.02 + 0.6 * done),
        storage=storage,
        name=name,
    )
    tried = try_all(encoded, parts, usecase, searched.tried, progress, blend=searched.told["trials"] > 0)
    calibrates = held(parts, usecase)
    left = tried if searched.start is None else ahead(tried, encoded.label[calibrates])
    best = best_of(left, usecase)
    progress("Testing", 0.85)
    probability = best.calibrated.calibrator.apply(best.fitted.model.probability(encoded.matrix[parts.test]))
    said = scores(np.concatenate([best.calibration_probability, probability]))
    return _Made(
        encoder=encoded.encoder,
        best=best,
        candidates=tuple(attempt.candidate for attempt in tried),
        held=calibrates,
        probability=probability,
        reference=profile(matured.iloc[parts.used], usecase, score=said),
        told=searched.told,
        notes=_of_search(budget, kept_start=searched.start is not None and best is tried[0]),
    )


def _of_search(budget: Search, *, kept_start: bool) -> tuple[str, ...]:
    notes = [] if budget.seconds is None else [SECONDS_NOTE.format(budget.seconds)]
    return (*notes, START_NOTE) if kept_start else tuple(notes)


def _by_hazard(
    frame: pd.DataFrame, matured: pd.DataFrame, parts: Parts, usecase: UseCase, as_of: datetime, progress: Progress
) -> _Made:
    """Let young records teach as far as they are known: no search, no calibration, see `hazard`."""
    found = hazard_candidate(
        frame,
        matured,
        usecase,
        as_of,
        parts,
        usecase.seed,
        lambda done: progress("Fitting a hazard over quarters of life", 0.02 + 0.8 * done),
    )
    progress("Testing", 0.85)
    label = matured["_label"].to_numpy(dtype=np.float64)[parts.calibration]
    said, probability = (AS_IT_IS.apply(p) for p in (found.calibration_probability, found.test_probability))
    calibrated = Calibrated(AS_IT_IS, {"as it is": evaluate("brier", label, said)}, said)
    candidate = standing(NAME, usecase, said, label, calibrated)
    fitted = Fitted(found.served.model, found.params, found.served.importance, found.notes)
    return _Made(
        encoder=found.served.encoder,
        best=Attempt(NAME, candidate, fitted, calibrated, said),
        candidates=(candidate,),
        held=parts.calibration,
        probability=probability,
        reference=found.reference,
        told=None,
        notes=(),
        window=found.reference_window,
    )


def _bundle(made: _Made, usecase: UseCase, origin: Origin, matured: pd.DataFrame, parts: Parts) -> Bundle:
    best = made.best
    line, notes = _line(made, usecase, matured)
    reference = {} if made.window is None else {"reference": dict(made.window)}
    return Bundle(
        usecase=usecase,
        version="",
        as_of=origin.as_of,
        learner=best.learner,
        model=best.fitted.model,
        encoder=made.encoder,
        calibrator=best.calibrated.calibrator,
        threshold=line,
        profile=made.reference.to_json(),
        card=reference
        | card(
            usecase,
            origin,
            matured,
            parts,
            learner=best.learner,
            params=best.fitted.params,
            importance=best.fitted.importance,
            threshold=line,
            probability=made.probability,
            calibrated=best.calibrated,
            candidates=made.candidates,
            notes=notes,
            search=made.told,
        ),
    )


def _line(made: _Made, usecase: UseCase, matured: pd.DataFrame) -> tuple[float, list[str]]:
    """Return the threshold, and the card's notes."""
    notes = [*made.notes, *made.best.fitted.notes]
    if usecase.classes is not None:
        return EVEN, notes
    said = made.best.calibration_probability
    label = matured["_label"].to_numpy(dtype=np.float64)[made.held]
    line = threshold(label, said, usecase.objective.decide)
    if not (said >= line).any():
        notes.append("at this threshold every calibration record is approved: by the objective none is worth declining")
    return line, notes
