"""Whether a challenger may take the champion's place, check by check, on records neither was fitted on."""

import numpy as np

from refit.gate import copies, filling, groups, leaks, serving, signal
from refit.gate.calibration import calibration
from refit.gate.check import Check, Verdict
from refit.gate.evidence import Evidence
from refit.scoring.intervals import intervals
from refit.scoring.metrics import Floats
from refit.usecase.model import UseCase

__all__ = ["Check", "Evidence", "Verdict", "judge"]


def judge(
    usecase: UseCase,
    label: Floats,
    challenger: Floats,
    champion: Floats | None,
    threshold: float,
    seed: int,
    evidence: Evidence | None = None,
    champion_threshold: float | None = None,
) -> Verdict:
    """Return the verdict on a challenger. Pure: what takes a clock was measured before.

    Args:
        label: (n_records,) outcomes of the newest matured records, 1.0 bad, 0.0 good; or class indexes.
        challenger: (n_records,) its P(bad) of them; or (n_records, n_classes).
        champion: The same of the live model, NaN where it cannot answer; None where there is none.
        threshold: The challenger's, for metrics of decisions.
        evidence: The records and the bundle; without, only the probabilities are judged.
        champion_threshold: The live model's own, for the same metrics; the challenger's where it is None.
    """
    gate = usecase.gate
    names = tuple(dict.fromkeys(("roc_auc", *gate.floor)))
    seen = intervals(label, challenger, threshold, seed=seed, names=names)
    checks = [
        signal.enough_records(usecase, label),
        signal.no_signal(label, challenger, seen["roc_auc"]),
        *(signal.floor(metric, allowed, seen[metric]) for metric, allowed in gate.floor.items()),
        signal.gain(usecase, label, challenger, champion, threshold, seed, champion_threshold),
        calibration(label, challenger, gate.calibration_error_max, seed),
    ]
    if evidence is not None:
        checks += _of_records(usecase, label, challenger, champion, threshold, evidence)
        checks += _of_bundle(usecase, evidence)
    return Verdict("refuse" if any(check.outcome == "fail" for check in checks) else "promote", tuple(checks))


def _of_records(
    usecase: UseCase,
    label: Floats,
    challenger: Floats,
    champion: Floats | None,
    threshold: float,
    evidence: Evidence,
) -> list[Check]:
    features = evidence.features()
    if not np.array_equal(features.label[features.test], label):
        raise AssertionError("the test rows are not those that were judged")
    return [
        groups.segments(usecase, evidence.tested, label, challenger, champion),
        *groups.impact(usecase, evidence.tested, challenger, threshold),
        leaks.single_feature(usecase, features),
        leaks.lagged(usecase, features),
        filling.known_later(usecase),
        filling.outcome_known(usecase),
        filling.filled_later(features, evidence.fresh),
        copies.exact(features, evidence.n_pairs, evidence.n_left_out),
        copies.near(features, challenger, unknown=usecase.gate.new_borrowers),
    ]


def _of_bundle(usecase: UseCase, evidence: Evidence) -> list[Check]:
    return [
        serving.agreement(evidence.bundle, evidence.tested),
        serving.size(evidence.bundle, usecase.gate.bundle_mb_max),
        serving.latency(evidence.latency_ms, usecase.gate.latency_ms_max),
    ]
