"""The drift decision on a million current records against plain numpy of the same statistic, in CPU seconds."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from refit.monitoring.profile import NumberProfile, Profile, profile
from refit.monitoring.psi import drift, psi
from refit.usecase.model import UseCase

N_NUMBERS = 18
VALUES = (2, 3, 5, 12, 20, 51, 51, 100, 180)
"""How many values each of the nine categories has."""


def usecase() -> UseCase:
    numbers = {f"number_{i}": {"type": "number"} for i in range(N_NUMBERS)}
    categories = {f"category_{i}": {"type": "category"} for i in range(len(VALUES))}
    return UseCase.model_validate(
        {
            "name": "bench",
            "title": "Benchmark",
            "source": {"table": "source.bench", "key": "id", "arrived_at": "day"},
            "event_time": {"column": "day"},
            "label": {"name": "bad", "column": "status", "bad": ["late"], "good": ["paid"]},
            "features": numbers | categories,
        }
    )


def records(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Return (n, 27): skewed amounts, 2 % missing, and categories of 2 to 180 values."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for i in range(N_NUMBERS):
        amounts = rng.lognormal(shift * (i % 3), 1, n)
        amounts[rng.random(n) < 0.02] = np.nan
        columns[f"number_{i}"] = amounts
    for i, n_values in enumerate(VALUES):
        codes = np.minimum(rng.integers(-1, n_values, n), rng.integers(0, n_values, n)).astype(np.int16)
        columns[f"category_{i}"] = pd.Categorical.from_codes(codes, [f"value {j}" for j in range(n_values)])
    return pd.DataFrame(columns)


def plain(reference: Profile, current: pd.DataFrame) -> list[float]:
    """Return the PSI of each column as one would write it in numpy."""
    found = []
    for name, column in reference.columns.items():
        if isinstance(column, NumberProfile):
            values = current[name].to_numpy()
            counts = np.bincount(np.searchsorted(column.edges, values), minlength=len(column.edges) + 1)
            missing = np.count_nonzero(np.isnan(values))
            counts[-1] -= missing  # searchsorted puts NaN last
            found.append(psi(column.binned(), np.append(counts, missing)))
        else:
            side = current[name].cat
            counts = np.bincount(side.codes.to_numpy() + 1, minlength=len(side.categories) + 1)
            by_value = dict(zip(side.categories, counts[1:], strict=True))
            found.append(psi(column.binned(), [*(by_value[value] for value in column.counts), 0, 0, counts[0]]))
    return found


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()

    case = usecase()
    stored = Profile.from_json(json.loads(json.dumps(profile(records(options.records, seed=1), case).to_json())))
    current = records(options.records, seed=2, shift=0.05)
    ours = [column.psi for column in drift(stored, current, case).columns]
    np.testing.assert_allclose(ours, plain(stored, current), rtol=1e-9)

    pairs = [
        (cpu_seconds(lambda: drift(stored, current, case)), cpu_seconds(lambda: plain(stored, current)))
        for _ in range(options.pairs)
    ]
    result = {
        "benchmark": "drift decision against plain numpy of the same statistic",
        "records": options.records,
        "columns": len(case.features),
        "cpu_seconds": round(statistics.median(ours for ours, _ in pairs), 4),
        "plain_numpy_cpu_seconds": round(statistics.median(theirs for _, theirs in pairs), 4),
        "ratio": round(statistics.median(ours / theirs for ours, theirs in pairs), 3),
        "reach": "<= 1.5",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
