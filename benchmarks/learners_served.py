"""CPU microseconds from checked inputs to a probability, one record and a thousand, for each learner against XGBoost.

All see the same 4,000 records of 28 features and are what `refit retrain` makes of them with the parameters they come
with. HTTP, validation and the decision log cost each the same and are not in these figures; `serving.py` has them.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from served import bundle, record

from refit.training.learners.registry import DEFAULTS, LEARNERS


def microseconds(work: Callable[[], object], n: int) -> float:
    """Return what one call uses of the processor."""
    found = []
    for _ in range(n):
        start = time.process_time_ns()
        work()
        found.append(time.process_time_ns() - start)
    return median(found) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    plain = bundle(1)
    records = [record(seed) for seed in range(4000)]
    matrix = plain.encoder.encode_records(records)
    label = (np.random.default_rng(1).normal(0, 300, 4000) + matrix[:, 2] + matrix[:, 3] > 1000).astype(float)
    costs: dict[str, dict[str, float]] = {}
    for name, learner in LEARNERS.items():
        fitted = learner(matrix, label, plain.encoder, 1, lambda *_: None, params=DEFAULTS[name])
        made = dataclasses.replace(plain, model=fitted.model)
        made.predict(records[:1])
        costs[name] = {
            "one": microseconds(lambda made=made: made.predict(records[:1]), options.calls),
            "a_thousand": microseconds(lambda made=made: made.predict(records[:1000]), max(options.calls // 20, 5)),
        }
    base = costs["xgboost"]
    shown = {
        name: {kind: round(value) for kind, value in cost.items()}
        | {f"{kind}_times_xgboost": round(value / base[kind], 1) for kind, value in cost.items()}
        for name, cost in costs.items()
    }
    print(json.dumps({"benchmark": "learners served, CPU microseconds", **shown}))


if __name__ == "__main__":
    main()
