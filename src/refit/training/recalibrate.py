"""The same model on newer records: only its calibrator and its threshold are fitted again."""

import dataclasses
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from refit.errors import DataError
from refit.monitoring.profile import profile
from refit.scoring.bundle import Bundle, named
from refit.training.calibration import calibrate
from refit.training.card import Origin, card
from refit.training.golden import with_golden
from refit.training.maturity import MIN_RECORDS, columns, require_both, ripe
from refit.training.split import Parts
from refit.training.threshold import threshold
from refit.training.train import Progress, Trained, quiet, standing

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

    The older part of those records calibrates, the newest tests: the model has seen none of them.

    Args:
        frame: (n_records, n_columns) of an as-of read.

    Raises:
        DataError: Too few records have matured since, or all have one outcome; says how many.
    """
    usecase = bundle.usecase
    progress("Looking for newly matured records", 0.0)
    matured = ripe(frame, usecase, as_of)
    parts = _parts(matured, bundle)
    label = matured["_label"].to_numpy()
    for what, rows in (("calibrate", parts.calibration), ("test", parts.test)):
        require_both(label[rows], f"{usecase.name}: the {len(rows):,} newly matured records to {what} on")
    progress("Calibrating", 0.3)
    raw = bundle.model.probability(bundle.encoder.encode(columns(matured.iloc[parts.used], bundle.encoder.features)))
    older, n_older = label[parts.calibration], len(parts.calibration)
    calibrated = calibrate(raw[:n_older], older, usecase.seed)
    probability = calibrated.calibrator.apply(raw)
    line = threshold(older, probability[:n_older], usecase.objective.decide)
    candidate = standing(bundle.learner, usecase, raw[:n_older], older, calibrated)
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
        probability=probability[n_older:],
        calibrated=calibrated,
        candidates=[candidate],
        notes=[*bundle.card["notes"], f"recalibrated: the model is that of {bundle.version}"],
    )
    told["parts"]["fit"] = bundle.card["parts"]["fit"]
    told["window"]["start"] = bundle.card["window"]["start"]
    done = dataclasses.replace(
        bundle,
        as_of=as_of,
        calibrator=calibrated.calibrator,
        threshold=line,
        profile=profile(_reference(matured, bundle), usecase, score=probability).to_json(),
        card=told,
    )
    test = matured.iloc[parts.test].reset_index(drop=True)
    progress("Recalibrated", 1.0)
    return Trained(named(with_golden(done, test, usecase.seed)), test, probability[n_older:], (candidate,))


def _parts(matured: pd.DataFrame, bundle: Bundle) -> Parts:
    fresh = np.flatnonzero((matured["_event_time"] > pd.Timestamp(bundle.window_end)).to_numpy())
    if len(fresh) < MIN_RECORDS:
        raise DataError(
            f"{bundle.usecase.name}: {len(fresh):,} records have matured since those of {bundle.version}, "
            f"{MIN_RECORDS} are needed to recalibrate and to test"
        )
    cut = len(fresh) - round(len(fresh) * TEST_SHARE)
    return Parts(fresh[:0], fresh[:cut], fresh[cut:])


def _reference(matured: pd.DataFrame, bundle: Bundle) -> pd.DataFrame:
    """Return the records the model was made from and those that calibrate it now."""
    return matured[matured["_event_time"] >= pd.Timestamp(bundle.card["window"]["start"])]
