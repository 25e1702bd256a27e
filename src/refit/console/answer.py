"""One applicant's answer as the page tells it: the decision, how far from the threshold, and each input's part."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from refit.loop.score import Scored
from refit.scoring.explain import Contribution
from refit.usecase.model import UseCase

ROOM: Final = 1.5
"""The gauge ends so many times beyond the threshold or the probability, so that both can be seen."""
MOST_REASONS: Final = 4


@dataclass(frozen=True, slots=True)
class Gauge:
    """Where the probability and the threshold stand on a line, in per cent of its length."""

    probability: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One input's part: its bar as a share of the longest, in per cent, to the side that is worse or better."""

    title: str
    value: str
    length: float
    is_against: bool
    figure: str


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason in words, with the bar and the figure of its input."""

    text: str
    bar: Bar


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page shows of one scored applicant. `gauge` is None where there are several classes."""

    scored: Scored
    at: datetime
    gauge: Gauge | None
    said: str
    reasons: tuple[Reason, ...]
    bars: tuple[Bar, ...]

    @property
    def is_of_classes(self) -> bool:
        """Whether the outcome has several classes: then nothing is approved or declined."""
        return self.scored.probabilities is not None


def answer(scored: Scored, usecase: UseCase, at: datetime) -> Answer:
    """Return the answer in the page's words."""
    parts = scored.explanation.contributions
    longest = max((abs(part.contribution) for part in parts), default=0.0) or 1.0
    bars = [_bar(part, longest, usecase) for part in parts]
    reasons = [Reason(part.reason, bar) for part, bar in zip(parts, bars, strict=True) if part.reason is not None]
    gauge = None if scored.probabilities is not None else _gauge(scored)
    return Answer(scored, at, gauge, _said(scored, usecase), tuple(reasons[:MOST_REASONS]), tuple(bars))


def _said(scored: Scored, usecase: UseCase) -> str:
    probability = scored.explanation.probability
    if usecase.classes is not None:
        return f"The most likely of {len(usecase.classes)}, with a probability of {probability:.1%}."
    side = "above" if probability > scored.threshold else "at" if probability == scored.threshold else "below"
    outcome = usecase.label.name.replace("_", " ")
    told = f"The probability of \u201c{outcome}\u201d is {probability:.2%}"
    return f"{told}, {side} the threshold of {scored.threshold:.2%}."


def _gauge(scored: Scored) -> Gauge:
    probability = scored.explanation.probability
    most = min(1.0, ROOM * max(scored.threshold, probability)) or 1.0
    return Gauge(100 * probability / most, 100 * min(scored.threshold / most, 1.0))


def _bar(part: Contribution, longest: float, usecase: UseCase) -> Bar:
    feature = usecase.features.get(part.feature)
    unit = "" if feature is None or feature.unit is None else f" {feature.unit}"
    match part.value:
        case None:
            value = "not known"
        case str(text):
            value = text if feature is None or feature.choices is None else text.replace("_", " ")
        case number:
            value = f"{number:,.6g}{unit}"
    figure = f"{part.contribution:+.2f}" if part.points is None else f"{part.points:+.1f}"
    length = round(100 * abs(part.contribution) / longest, 1)
    return Bar(part.title, value, length, part.contribution > 0, figure)
