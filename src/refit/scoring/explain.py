"""Why one record got its score: every feature's part in it, in log odds, in points and in words."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from refit.scoring.bundle import Bundle
from refit.scoring.calibration import expit, logit, softmax
from refit.scoring.contributions import Contributions, contributions
from refit.scoring.encoder import Cell, Matrix
from refit.scoring.points import band, points_of_log_odds, points_per_log_odds
from refit.usecase.model import Feature
from refit.usecase.parsing import parse_rule
from refit.usecase.reason import SidedReason

Floats = NDArray[np.float64]

STEPS: Final = 64
NEAR: Final = 1e-6
"""Scores nearer to their baseline than this have a slope, but no secant."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One feature's part in the score.

    `contribution` is in calibrated log odds, positive towards bad; `points` are negative where they are lost. `value`
    is as the model reads it, None where not known. Of several classes: towards the chosen one, and without points.
    `reason` calls a number low or high only where it lies on that side of the `typical` record's.
    """

    feature: str
    title: str
    value: Cell
    contribution: float
    points: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`baseline` and all contributions add up to the log odds of `probability`; the largest come first.

    `against` says what the baseline is. Of several classes `probability` is that of `chosen`.
    """

    probability: float
    points: float | None
    band: str | None
    baseline_points: float | None
    baseline: float
    contributions: tuple[Contribution, ...]
    against: str = ""
    chosen: str | None = None

    def reasons(self, count: int = 4) -> tuple[str, ...]:
        """Return what spoke most against the record (or for the chosen class), the strongest first."""
        return tuple(part.reason for part in self.contributions if part.reason is not None)[:count]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, with the four strongest reasons."""
        plain = asdict(self)
        plain["contributions"] = list(plain["contributions"])
        return plain | {"reasons": list(self.reasons())}


def explain(bundle: Bundle, inputs: Mapping[str, Cell]) -> Explanation:
    """Return why the bundle answers what it answers to one record.

    Raises:
        DataError: A field holds the wrong type; names it.
    """
    matrix = bundle.encoder.encode_records([inputs])
    if bundle.usecase.classes is not None:
        return _of_class(bundle, inputs, matrix)
    usual = typical(bundle)
    found = contributions(bundle.model, matrix, usual)
    raw = np.asarray(bundle.model.probability(matrix), dtype=np.float64)
    probability = float(bundle.calibrator.apply(raw)[0])

    def calibrated(score: Floats) -> Floats:
        return logit(bundle.calibrator.apply(expit(score)))

    def against_them(place: int, title: str, value: Cell) -> str:
        feature = bundle.usecase.features[bundle.encoder.features[place]]
        # of a value that is not known the file's words may be untrue
        own = None if value is None else _own_words(feature, float(matrix[0, place]), float(usual[place]))
        return _counts_against(feature, title, value) if own is None else own

    baseline, values = _calibrated(found, float(logit(np.array(probability))), calibrated)
    score = bundle.usecase.score
    parts = _parts(bundle, inputs, matrix[0], values, -points_per_log_odds(score), against_them)
    total = points_of_log_odds(float(logit(np.array(probability))), score)
    return Explanation(
        probability=probability,
        points=total,
        band=band(total, score),
        baseline_points=points_of_log_odds(baseline, score),
        baseline=baseline,
        contributions=parts,
        against=found.against,
    )


def typical(bundle: Bundle) -> Matrix:
    """Return the (n_features,) record of the reference's medians and commonest categories, as the model reads it.

    A feature that is mostly missing there, or of which the profile tells nothing, is missing.
    """
    columns = bundle.profile.get("columns", {})
    record = [_typical(name, columns.get(name), bundle) for name in bundle.encoder.features]
    return np.array(record, dtype=np.float32)


def _typical(name: str, column: Mapping[str, Any] | None, bundle: Bundle) -> float:
    if column is None:
        return np.nan
    if column["kind"] == "number":
        return _median(column["edges"], column["counts"], column["missing"])
    commonest = column["counts"][0] if column["counts"] else None
    if commonest is None or commonest[1] < column["missing"]:
        return np.nan
    known = bundle.encoder.vocabularies.get(name, ())
    return known.index(commonest[0]) + 1.0 if commonest[0] in known else 0.0


def _median(edges: list[float], counts: list[int], missing: int) -> float:
    """Return the first edge with at least half of the numbers at or below it: the median, since edges are deciles."""
    present = sum(counts)
    if not edges or present < missing:
        return np.nan
    below = accumulate(counts)
    return next((edge for edge, n in zip(edges, below, strict=False) if 2 * n >= present), edges[-1])


def _calibrated(found: Contributions, score: float, calibrated: Callable[[Floats], Floats]) -> tuple[float, Floats]:
    """Return baseline and values in calibrated log odds: those of the raw score, scaled by the calibrator's secant."""
    values = found.values[0]
    start, moved = found.baseline, float(values.sum())
    baseline = float(calibrated(np.array([start]))[0])
    if abs(moved) > NEAR:
        return baseline, values * ((score - baseline) / moved)
    around = calibrated(np.array([start - 1e-3, start + 1e-3]))
    return baseline, values * float(np.diff(around)[0] / 2e-3)


def _of_class(bundle: Bundle, inputs: Mapping[str, Cell], matrix: Matrix) -> Explanation:
    """Explain the class with the highest probability, by the straight way from the baseline's margins to the record's.

    Each class's margin adds up; the log odds of the chosen one follow from all of them. Along the way each margin is
    credited with what its change brings: Sundararajan, Taly and Yan 2017, Axiomatic attribution for deep networks.
    """
    classes = bundle.usecase.classes or ()
    start_at = typical(bundle)
    each = [contributions(bundle.model, matrix, start_at, of) for of in range(len(classes))]
    start, end = (np.array(side) for side in zip(*((c.baseline, c.scores()[0]) for c in each), strict=True))
    raw = np.asarray(bundle.model.probability(matrix), dtype=np.float64)
    answered = np.asarray(bundle.calibrator.apply(raw), dtype=np.float64)[0]
    chosen = int(answered.argmax())

    def calibrated(margins: Floats) -> Floats:
        return logit(np.asarray(bundle.calibrator.apply(softmax(margins)), dtype=np.float64)[:, chosen])

    baseline = float(calibrated(start[None, :])[0])
    score = float(logit(np.array(answered[chosen])))
    values: Floats = along(calibrated, start, end) @ np.vstack([c.values[0] for c in each])
    values = _made_whole(values, score - baseline)

    def spoke_for(_place: int, title: str, value: Cell) -> str:
        return f"{_shown(title, value)} speaks for {classes[chosen]}"

    parts = _parts(bundle, inputs, matrix[0], values, None, spoke_for)
    return Explanation(
        probability=float(answered[chosen]),
        points=None,
        band=None,
        baseline_points=None,
        baseline=baseline,
        contributions=parts,
        against=each[0].against,
        chosen=classes[chosen],
    )


def along(answer: Callable[[Floats], Floats], start: Floats, end: Floats) -> Floats:
    """Return the (n,) mean slope of `answer` in each of its n arguments, on the straight way from `start` to `end`."""
    n = len(start)
    share = (np.arange(STEPS) + 0.5) / STEPS
    points = start + share[:, None] * (end - start)
    width = 1e-4
    around = points[:, None, None, :] + width * np.stack([np.eye(n), -np.eye(n)])
    answers = answer(around.reshape(-1, n)).reshape(STEPS, 2, n)
    return np.asarray(((answers[:, 0] - answers[:, 1]) / (2 * width)).mean(axis=0), dtype=np.float64)


def _made_whole(values: Floats, total: float) -> Floats:
    """Spread what the steps of the way left over, by size, so that the values add up exactly."""
    size = np.abs(values)
    left = total - values.sum()
    return np.asarray(values + left * (size / size.sum() if size.sum() else np.full(len(values), 1 / len(values))))


def _parts(
    bundle: Bundle,
    inputs: Mapping[str, Cell],
    row: Matrix,
    values: Floats,
    per_unit: float | None,
    worded: Callable[[int, str, Cell], str],
) -> tuple[Contribution, ...]:
    found = []
    for place in np.argsort(-np.abs(values), kind="stable"):  # of equals, the one the use case names first
        name, moved = bundle.encoder.features[place], float(values[place])
        title = bundle.usecase.features[name].title or name
        value = _value(bundle, name, inputs, float(row[place]))
        reason = worded(int(place), title, value) if moved > 0 else None
        cost = None if per_unit is None else per_unit * moved
        found.append(Contribution(name, title, value, moved, cost, reason))
    return tuple(found)


def _value(bundle: Bundle, name: str, inputs: Mapping[str, Cell], coded: float) -> Cell:
    """Return a feature's value as the model reads it: a category's text, also one it never saw."""
    if np.isnan(coded):
        return None
    if name not in bundle.encoder.vocabularies:
        sent = inputs.get(name)
        return coded if isinstance(sent, str) or sent is None else float(sent)
    if coded >= 1:
        return bundle.encoder.vocabularies[name][int(coded) - 1]
    column = bundle.encoder.inputs[name]
    parsed = parse_rule(column.rule).read(str(inputs[name]), column.unknown)
    return None if parsed is None else str(parsed)


def _own_words(feature: Feature, coded: float, usual: float) -> str | None:
    """Return the file's words where they are true of the value, both as the model reads them."""
    if isinstance(feature.reason, SidedReason):
        return feature.reason.of(coded, usual)
    return feature.reason


def _counts_against(feature: Feature, title: str, value: Cell) -> str:
    unit = f" {feature.unit}" if feature.unit is not None and value is not None else ""
    return f"{_shown(title, value)}{unit} counts against"


def _shown(title: str, value: Cell) -> str:
    if value is None:
        return f"{title}: not known, which"
    return f"{title}: {value if isinstance(value, str) else f'{value:,.6g}'}"
