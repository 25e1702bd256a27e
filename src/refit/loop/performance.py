"""How a champion did on what it has not seen."""

import math

import numpy as np
import pandas as pd

from refit.loop.classes import in_todays_classes
from refit.loop.sides import predicted
from refit.monitoring.triage import Performance
from refit.scoring.bundle import Bundle
from refit.scoring.intervals import metric_interval
from refit.scoring.metrics import expected_calibration_error
from refit.training.unseen import unseen
from refit.usecase.model import UseCase


def performance(champion: Bundle, frame: pd.DataFrame, usecase: UseCase) -> Performance | None:
    """Return how the champion did on what matured since, None where that is too little to tell.

    Nothing is told of a hazard: it has learnt from the first quarters of what matured since. Nor of a champion that
    tells other classes apart than the use case names by now.
    """
    if "reference" in champion.card:
        return None
    newer = frame[frame["_ripe"] & frame["_label"].notna() & unseen(frame, champion, usecase)]
    label = newer["_label"].to_numpy()
    if len(newer) < usecase.drift.min_records or len(np.unique(label)) < 2:  # noqa: PLR2004 - both classes
        return None
    probability = in_todays_classes(predicted(champion, newer), champion.usecase, usecase)
    if probability is None:
        return None
    metric = usecase.objective.metric
    promised = champion.card["metrics"][metric]["value"]
    seen = metric_interval(metric, label, probability, champion.threshold, seed=usecase.seed)
    return Performance(
        metric=metric,
        promised=math.nan if promised is None else promised,
        seen=seen.value,
        low=seen.low,
        high=seen.high,
        n=len(newer),
        calibration_error=expected_calibration_error(label, probability) if probability.ndim == 1 else None,
    )
