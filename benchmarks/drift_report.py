"""The drift decision against Evidently's PSI preset on the same records; and decision with full page, CPU seconds."""

import argparse
import json
import os
import statistics
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
from drift_decision import N_NUMBERS, cpu_seconds, records, usecase

from refit.monitoring.profile import Profile, profile
from refit.monitoring.psi import drift
from refit.monitoring.report import render
from refit.monitoring.triage import Evidence, triage
from refit.usecase.model import UseCase


def decide_and_render(stored: Profile, reference: pd.DataFrame, current: pd.DataFrame, case: UseCase) -> int:
    today = datetime(2024, 6, 30, tzinfo=UTC)
    found = drift(stored, current, case)
    evidence = Evidence(
        as_of=today,
        n_new=len(current),
        drift=found,
        champion_as_of=today - timedelta(days=30),
        new_matured=10_000,
        newest_ripe=today,
    )
    decision = triage(evidence, case)
    return len(render(reference, current, case, found, decision=decision, as_of=today).html)


def preset(reference: Any, current: Any) -> None:
    from evidently import Report  # noqa: PLC0415 - imported before the clock starts
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    Report([DataDriftPreset(method="psi")]).run(current, reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=1, help="of Evidently, which takes about 30 s each")
    options = parser.parse_args()
    os.environ.setdefault("DO_NOT_TRACK", "1")
    warnings.simplefilter("ignore")  # Evidently's own
    from evidently import DataDefinition, Dataset  # noqa: PLC0415
    from evidently.presets import DataDriftPreset  # noqa: F401, PLC0415

    case = usecase()
    reference, current = records(options.records, seed=1), records(options.records, seed=2, shift=0.05)
    stored = profile(reference, case)
    names = list(case.features)
    definition = DataDefinition(numerical_columns=names[:N_NUMBERS], categorical_columns=names[N_NUMBERS:])
    sides = [Dataset.from_pandas(side, definition) for side in (reference, current)]

    decision = statistics.median(cpu_seconds(lambda: drift(stored, current, case)) for _ in range(7))
    page = statistics.median(cpu_seconds(lambda: decide_and_render(stored, reference, current, case)) for _ in range(3))
    evidently = statistics.median(cpu_seconds(lambda: preset(*sides)) for _ in range(options.repeats))
    result = {
        "benchmark": "drift decision against Evidently's PSI preset; decision with full page",
        "records": options.records,
        "columns": len(case.features),
        "decision_cpu_seconds": round(decision, 4),
        "evidently_preset_cpu_seconds": round(evidently, 2),
        "times_faster": round(evidently / decision, 1),
        "times_faster_reach": ">= 60",
        "decision_and_page_cpu_seconds": round(page, 2),
        "decision_and_page_reach": "< 6",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
