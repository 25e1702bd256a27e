"""What the gate is shown of a challenger: its test, the champion's answers, and how fast it is."""

import time
from statistics import median
from typing import Final

import numpy as np
import pandas as pd

from refit.gate.judge import Evidence, Verdict, judge
from refit.loop.classes import in_todays_classes
from refit.scoring.bundle import Bundle
from refit.scoring.metrics import Floats
from refit.training.recalibrate import learnt_from
from refit.training.split import Rows
from refit.training.train import Trained
from refit.usecase.model import UseCase

TIMED: Final = 50
"""So many single predictions are timed, after as many again to warm up."""


def judged(
    usecase: UseCase,
    trained: Trained,
    champion: Bundle | None,
    frame: pd.DataFrame,
    latency_ms: float | None,
    own: pd.DataFrame | None = None,
) -> Verdict:
    """Return the gate's verdict on what was trained.

    Args:
        frame: All records known, of which those that have not matured show whether a column is filled only later.
        own: The same records as the champion's own use case reads them, where that differs from today's.
    """
    newest = trained.matured["_event_time"].max()
    fresh = frame[~frame["_ripe"] & (frame["_event_time"] > newest)] if usecase.event_time is not None else None
    return judge(
        usecase,
        trained.test["_label"].to_numpy(dtype=np.float64),
        trained.probability,
        _answers(champion, usecase, trained, own) if champion is not None else None,
        threshold=trained.bundle.threshold,
        seed=usecase.seed,
        evidence=Evidence(
            bundle=trained.bundle,
            matured=trained.matured,
            before=_learnt_from(trained, champion),
            test=trained.parts.test,
            fresh=fresh,
            n_pairs=trained.duplicates.n_pairs,
            n_left_out=trained.duplicates.n_left_out,
            latency_ms=latency_ms,
        ),
        champion_threshold=None if champion is None else champion.threshold,
    )


def latency_ms(bundle: Bundle) -> float | None:
    """Return the median milliseconds of processor time of one record's prediction; None without a golden record.

    A clock on the wall would refuse a good model for what else the machine happens to do.
    """
    if not bundle.golden:
        return None
    records = [bundle.golden[k % len(bundle.golden)].inputs for k in range(TIMED)]
    taken = []
    for record in [*records, *records]:
        start = time.thread_time()
        bundle.predict([record])
        taken.append(time.thread_time() - start)
    return 1000 * median(taken[TIMED:])


def _learnt_from(trained: Trained, champion: Bundle | None) -> Rows:
    """Return the rows that the model learnt from, those of the champion too where only its calibrator is new."""
    before = trained.parts.before_test
    if champion is None or len(trained.parts.fit):
        return before
    return np.union1d(before, learnt_from(trained.matured, champion, trained.bundle.usecase))


def _answers(champion: Bundle, usecase: UseCase, trained: Trained, own: pd.DataFrame | None) -> Floats:
    """Return what the champion says of the test records; NaN where they lack a column it reads, or a class it knows."""
    test = trained.test if own is None else own.set_index("_key").loc[trained.test["_key"]]
    nothing = np.full(len(test), np.nan)
    if any(name not in test for name in champion.encoder.features):
        return nothing
    said = champion.predict_columns({name: test[name].to_numpy() for name in champion.encoder.features})
    said_today = in_todays_classes(said, champion.usecase, usecase)
    return nothing if said_today is None else said_today
