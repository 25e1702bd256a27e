"""SBA loans at 2003-06-30, tested on the loans approved in the months after: ours beside plain XGBoost.

    python benchmarks/sba_training.py ../shared/data/sba_loans_fy1990_2004.csv.gz [--trials N] [--months 6] [--as-of D]

Settings are chosen on earlier days, up to 1999-12-31: how the loans of the six months after it ended was known by
2003-06-30, before any loan of that test was made.

Both learn from what had matured on that day; how the later loans ended is read three years on. Plain XGBoost has 200
trees of depth 6 and else its own defaults, and it may learn from the loans that ours holds back as its test too. Prints
JSON: AUC, log loss, seconds of the clock and of the processor, and the memory at its highest.
"""

import argparse
import json
import resource
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from reading import records

from refit.intake.frame import frame
from refit.scoring.encoder import Encoder
from refit.scoring.metrics import Floats, evaluate
from refit.training.train import train
from refit.usecase.catalogue import find
from refit.usecase.model import UseCase

AS_OF = "2003-06-30"
LATER = pd.DateOffset(years=4)


def plain(matured: pd.DataFrame, later: pd.DataFrame, usecase: UseCase) -> Floats:
    """Return what 200 trees of depth 6 say of the later loans."""
    names = tuple(usecase.features)
    known, new = ({name: part[name].to_numpy() for name in names} for part in (matured, later))
    encoder = Encoder.fit(known, usecase)
    types = ["c" if category else "q" for category in encoder.is_category]
    data, test = (
        xgboost.DMatrix(encoder.encode(part), label=label, feature_types=types, enable_categorical=True)
        for part, label in ((known, matured["_label"].to_numpy()), (new, None))
    )
    settings = {"objective": "binary:logistic", "max_depth": 6, "seed": usecase.seed, "nthread": 2}
    return np.asarray(xgboost.train(settings, data, 200).predict(test), dtype=np.float64)


def scored(label: Floats, probability: Floats, seconds: float) -> dict[str, Any]:
    values = {metric: round(evaluate(metric, label, probability), 5) for metric in ("roc_auc", "log_loss")}
    return {**values, "mean": round(float(probability.mean()), 4), "seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--trials", type=int, help="the use case's own where it is not given")
    parser.add_argument("--months", type=int, default=6)
    parser.add_argument("--as-of", default=AS_OF)
    asked = parser.parse_args()
    usecase = find("sba")
    as_of = datetime.fromisoformat(f"{asked.as_of}T23:59:59+00:00")
    after = pd.Timestamp(as_of)
    known = (after + LATER).to_pydatetime()
    everything = records(asked.file, usecase, known)
    seen = frame(everything, usecase, as_of)
    later = frame(everything, usecase, known)
    later = later[(later["_event_time"] > after) & (later["_event_time"] <= after + pd.DateOffset(months=asked.months))]
    later = later[later["_ripe"] & later["_label"].notna()].reset_index(drop=True)
    del everything
    label = later["_label"].to_numpy()
    search = usecase.search if asked.trials is None else usecase.search.model_copy(update={"trials": asked.trials})
    began, busy = time.monotonic(), time.process_time()
    done = train(seen, usecase, as_of, code_version="0", snapshot="0", search=search)
    took, cpu = time.monotonic() - began, time.process_time() - busy
    ours = done.bundle.predict_columns({name: later[name].to_numpy() for name in usecase.features})
    began = time.monotonic()
    theirs = plain(done.matured, later, usecase)
    print(
        json.dumps(
            {
                "as_of": asked.as_of,
                "months": asked.months,
                "matured": len(done.matured),
                "tested": len(later),
                "bad_rate": round(float(label.mean()), 4),
                "trials": search.trials,
                "learner": done.bundle.learner,
                "refit": {**scored(label, ours, took), "cpu_seconds": round(cpu, 1)},
                "xgboost_200_depth_6": scored(label, theirs, time.monotonic() - began),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
