"""The same model on newer records: only its calibrator and its threshold are fitted again."""

import dataclasses
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

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
from refit.training.split import Parts, first_arrivals, matured_at, place, require_each
from refit.training.threshold import threshold
from refit.training.train import EVEN, Trained, quiet

TEST_SHARE: Final = 0.4
"""Of the newly matured records the newest two fifths test, the rest calibrate."""


def recalibrate(
    bundle: Bundle,
    frame: pd.DataFrame,
    as_of: datetime,
    *,
    code_version: str,
    snapshot: str,
    progress: Progress = quiet,
) -> Trained:
    """Return the bundle with calibrator and threshold fitted on records that matured since it was made.

    By time the older part of those records calibrates and the newest tests. Where the split is at random they are the
    records that arrived since, and those test that a training too would have tested on. The model has seen none.

    Args:
        frame: (n_records, n_columns) of an as-of read.

    Raises:
        DataError: Too few records have matured since, or all have one outcome; says how many.
    """
    usecase = bundle.usecase
    if bundle.learner == HAZARD:
        raise DataError(f"{usecase.name}: a hazard has learnt from the newly matured records too; retrain it instead")
    progress("Looking for newly matured records", 0.0)
    matured, duplicates = distinct(matured_at(frame, usecase, as_of), usecase)
    parts = _parts(matured, bundle)
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


def _parts(matured: pd.DataFrame, bundle: Bundle) -> Parts:
    usecase = bundle.usecase
    by_time = usecase.split.by == "time"
    since = pd.Timestamp(bundle.window_end if by_time else bundle.as_of)
    new = (matured["_event_time"] if by_time else first_arrivals(matured)) > since
    fresh = np.flatnonzero(new.to_numpy())
    if len(fresh) < MIN_RECORDS:
        raise DataError(
            f"{usecase.name}: {len(fresh):,} records have {'matured' if by_time else 'arrived and matured'} since "
            f"those of {bundle.version}, {MIN_RECORDS} are needed to recalibrate and to test"
        )
    if not by_time:
        tested = (place(matured, usecase) < usecase.split.test_share)[fresh]
        return Parts(fresh[:0], fresh[~tested], fresh[tested])
    cut = len(fresh) - round(len(fresh) * TEST_SHARE)
    return Parts(fresh[:0], fresh[:cut], fresh[cut:])


def _reference(matured: pd.DataFrame, bundle: Bundle) -> pd.DataFrame:
    """Return the records the model was made from and those that calibrate it now."""
    return matured[matured["_event_time"] >= pd.Timestamp(bundle.card["window"]["start"])]
