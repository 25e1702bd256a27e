"""The same model on newer records: only its calibrator and its threshold are fitted again."""

import dataclasses
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from pydantic import ValidationError

from refit.errors import DataError
from refit.monitoring.profile import profile
from refit.scoring.bundle import Bundle, named
from refit.training.attempts import Progress, scores, standing
from refit.training.calibration import calibrate
from refit.training.card import Origin, card
from refit.training.duplicates import distinct
from refit.training.golden import with_golden
from refit.training.hazard import NAME as HAZARD
from refit.training.maturity import MIN_RECORDS, columns
from refit.training.parallel import one_thread
from refit.training.split import Parts, Rows, matured_at, place, require_each
from refit.training.threshold import threshold
from refit.training.train import EVEN, Trained, quiet
from refit.training.unseen import unseen
from refit.usecase.model import UseCase

TEST_SHARE: Final = 0.4
"""Of the newly matured records the newest two fifths test, the rest calibrate."""
TODAYS: Final = ("label", "protected", "objective", "gate", "score")
"""What is asked of a model and does not change what it is. The rest is how it reads and what it was made from: its
features with their ranges are the contract of its requests, and by split and seed it is known what may test it."""


@one_thread()
def recalibrate(
    bundle: Bundle,
    frame: pd.DataFrame,
    usecase: UseCase,
    as_of: datetime,
    *,
    code_version: str,
    snapshot: str,
    progress: Progress = quiet,
) -> Trained:
    """Return the bundle with calibrator and threshold fitted on records that matured since it was made.

    By time the older part of those records calibrates and the newest tests. Where the split is at random those test
    that a training too would have tested on, and the rest calibrate. The model has seen none: see `unseen`.

    Args:
        frame: (n_records, n_columns) of an as-of read, its features as the bundle's own use case reads them.
        usecase: Today's: what is asked of the model is taken from it, what the model reads from the bundle.

    Raises:
        DataError: Too few records have matured since, or all have one outcome; says how many. Or the model does not
            fit today's use case: it tells other classes apart, or reads what is barred by now.
    """
    if bundle.learner == HAZARD:
        raise DataError(f"{usecase.name}: a hazard has learnt from the newly matured records too; retrain it instead")
    usecase = _as_asked_today(bundle, usecase)
    progress("Looking for newly matured records", 0.0)
    matured, duplicates = distinct(matured_at(frame, usecase, as_of), usecase)
    parts = _parts(matured, bundle, usecase)
    label = matured["_label"].to_numpy()
    for what, rows in (("calibrate", parts.calibration), ("test", parts.test)):
        require_each(label[rows], usecase, f"{usecase.name}: the {len(rows):,} newly matured records to {what} on")
    progress("Calibrating", 0.3)
    encoder, model = bundle.encoder, bundle.model
    older, test = (
        model.probability(encoder.encode(columns(matured.iloc[rows], encoder.features)))
        for rows in (parts.calibration, parts.test)
    )
    calibrated = calibrate(older, label[parts.calibration], usecase.seed)
    said, probability = (calibrated.calibrator.apply(raw) for raw in (older, test))
    line = EVEN if usecase.classes else threshold(label[parts.calibration], said, usecase.objective.decide)
    candidate = standing(bundle.learner, usecase, older, label[parts.calibration], calibrated)
    progress("Testing", 0.6)
    told = card(
        usecase,
        Origin(as_of, code_version, snapshot),
        matured,
        parts,
        learner=bundle.learner,
        params=bundle.card["params"],
        importance=bundle.card["importance"],
        threshold=line,
        probability=probability,
        calibrated=calibrated,
        candidates=[candidate],
        notes=[*bundle.card["notes"], f"recalibrated: the model is that of {bundle.version}"],
        search=bundle.card.get("search"),
    )
    told["parts"]["fit"] = bundle.card["parts"]["fit"]
    told["window"]["start"] = bundle.card["window"]["start"]
    done = dataclasses.replace(
        bundle,
        usecase=usecase,
        as_of=as_of,
        calibrator=calibrated.calibrator,
        threshold=line,
        profile=profile(
            _reference(matured, bundle), usecase, score=scores(np.concatenate([said, probability]))
        ).to_json(),
        card=told,
    )
    tested = matured.iloc[parts.test].reset_index(drop=True)
    progress("Recalibrated", 1.0)
    made = named(with_golden(done, tested, usecase.seed))
    return Trained(made, tested, probability, (candidate,), duplicates, matured, parts)


def learnt_from(matured: pd.DataFrame, bundle: Bundle, usecase: UseCase) -> Rows:
    """Return the rows of the records that a bundle was fitted and calibrated on, rising.

    By time those before its test. At random those that do not test: a record is placed the same every night. Where it
    was recalibrated, what tested the model before is among them: no card tells those apart any more.

    Args:
        matured: (n_records, n_columns) as `recalibrate` leaves them.
        usecase: By whose features, seed and split the bundle was made.
    """
    known = ~unseen(matured, bundle, usecase).to_numpy()
    event = matured["_event_time"]
    if usecase.event_time is not None:
        known &= (event >= pd.Timestamp(bundle.card["window"]["start"])).to_numpy()
    if usecase.split.by == "random":
        known &= place(matured, usecase) >= usecase.split.test_share
    else:
        known &= (event < pd.Timestamp(bundle.card["parts"]["test"]["start"])).to_numpy()
    return np.flatnonzero(known)


def _as_asked_today(bundle: Bundle, usecase: UseCase) -> UseCase:
    """Return the bundle's own use case with what today's asks of a model."""
    own = bundle.usecase
    if own.classes != usecase.classes:
        apart = ", ".join(own.classes or ("good", "bad"))
        raise DataError(
            f"{usecase.name}: {bundle.version} tells apart {apart}, in this order, and the use case names "
            f"{', '.join(usecase.classes or ('good', 'bad'))} by now; retrain it instead"
        )
    categories = {name for name, feature in own.features.items() if feature.type == "category"}
    asked = own.model_copy(update={name: getattr(usecase, name) for name in TODAYS}).model_dump(by_alias=True)
    asked["gate"]["segments"] = [name for name in usecase.gate.segments if name in categories]
    try:
        return UseCase.model_validate(asked)
    except ValidationError as error:
        why = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise DataError(
            f"{usecase.name}: {bundle.version} does not fit what the use case says now ({why}); retrain it instead"
        ) from None


def _parts(matured: pd.DataFrame, bundle: Bundle, usecase: UseCase) -> Parts:
    fresh = np.flatnonzero(unseen(matured, bundle, usecase).to_numpy())
    if len(fresh) < MIN_RECORDS:
        since = "matured" if usecase.event_time is not None else "arrived and matured"
        raise DataError(
            f"{usecase.name}: {len(fresh):,} records have {since} since "
            f"those of {bundle.version}, {MIN_RECORDS} are needed to recalibrate and to test"
        )
    if usecase.split.by == "random":
        tested = (place(matured, usecase) < usecase.split.test_share)[fresh]
        return Parts(fresh[:0], fresh[~tested], fresh[tested])
    cut = len(fresh) - round(len(fresh) * TEST_SHARE)
    return Parts(fresh[:0], fresh[:cut], fresh[cut:])


def _reference(matured: pd.DataFrame, bundle: Bundle) -> pd.DataFrame:
    """Return the records the model was made from and those that calibrate it now."""
    return matured[matured["_event_time"] >= pd.Timestamp(bundle.card["window"]["start"])]
