"""What follows from a threshold: approval, precision, recall, cost and impact, read off a model's own trade-off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 640
HEIGHT: Final = 240
LINES: Final = (("approval_rate", "approval rate"), ("precision", "precision"), ("recall", "recall"))


@dataclass(frozen=True, slots=True)
class TradeOff:
    """The points of a model's trade-off, the one chosen, and the lines of the picture in its own units."""

    points: Sequence[Mapping[str, Any]]
    place: int
    own: int
    lines: tuple[tuple[str, str, str], ...]
    x: float
    own_x: float

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The point at the chosen threshold."""
        return self.points[self.place]


def trade_off(card: Mapping[str, Any], wanted: float | None) -> TradeOff | None:
    """Return the trade-off of a model's card at the point nearest to the threshold wanted, its own without one.

    None where the card holds none: several classes have no threshold.
    """
    columns = (card.get("curves") or {}).get("trade_off") or {}
    points = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if not points:
        return None
    own = _nearest(points, float(card["threshold"]))
    place = own if wanted is None else _nearest(points, wanted)
    span = max(len(points) - 1, 1)
    lines = tuple((name, title, _line(points, name)) for name, title in LINES)
    return TradeOff(points, place, own, lines, WIDTH * place / span, WIDTH * own / span)


def _nearest(points: Sequence[Mapping[str, Any]], wanted: float) -> int:
    return min(range(len(points)), key=lambda place: abs(float(points[place]["threshold"]) - wanted))


def _line(points: Sequence[Mapping[str, Any]], name: str) -> str:
    """Return the points of an SVG polyline; where the value is undefined there is none."""
    span = max(len(points) - 1, 1)
    return " ".join(
        f"{WIDTH * place / span:.1f},{HEIGHT * (1 - float(point[name])):.1f}"
        for place, point in enumerate(points)
        if point.get(name) is not None
    )
