"""The pictures of a model card, each with the sentence that says what is to be seen in it."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from refit.drawing import charts
from refit.drawing.charts import Line, Spot
from refit.drawing.page import Picture, percent, shown

MOST_FEATURES: Final = 15
Card = Mapping[str, Any]


def pictures(card: Card) -> tuple[Picture, ...]:
    """Return every picture the card holds the figures for, in the order of the page."""
    return tuple(_all(card))


def _all(card: Card) -> Iterator[Picture]:
    curves = card.get("curves") or {}
    if (curves.get("roc") or {}).get("fpr"):
        yield _roc(card, curves["roc"])
    if (curves.get("precision_recall") or {}).get("recall"):
        yield _precision_recall(card, curves["precision_recall"])
    if curves.get("calibration"):
        yield _calibration(curves["calibration"])
    if (curves.get("gains") or {}).get("share"):
        yield _gains(curves["gains"])
    if (curves.get("scores") or {}).get("edges"):
        yield _scores(curves["scores"])
    if curves.get("trade_off"):
        yield _trade_off(card, curves["trade_off"])
    if card.get("classes"):
        yield from _classes(card["classes"])
    if card.get("importance") and any(card["importance"].values()):
        yield _importance(card)


def _roc(card: Card, curve: Card) -> Picture:
    auc = (card["metrics"].get("roc_auc") or {}).get("value")
    text = "How many of the bad are declined for each share of the good that is declined with them."
    if auc is not None:
        text += f" The area under it is {auc:.3f}; 0.5 is chance."
    at = _now(card)
    mark = None
    if at.get("recall") is not None:
        declined_good = _declined_good(card, at)
        mark = None if declined_good is None else (declined_good, at["recall"], "the threshold")
    svg = charts.lines(
        "roc", "ROC curve", text, [Line("this model", curve["fpr"], curve["tpr"])],
        x="Good records declined", y="Bad records declined", diagonal=True, mark=mark,
    )  # fmt: skip
    return shown("ROC curve", text, svg)


def _precision_recall(card: Card, curve: Card) -> Picture:
    rate = _test_rate(card)
    text = f"Of the declined, the share that is bad. Declining at random would give {percent(rate)} throughout."
    at = _now(card)
    mark = (
        (at["recall"], at["precision"], "the threshold")
        if None not in (at.get("recall"), at.get("precision"))
        else None
    )
    drawn = [Line("this model", curve["recall"], curve["precision"])]
    if rate is not None:
        drawn.append(Line("at random", [0.0, 1.0], [rate, rate]))
    svg = charts.lines(
        "precision-recall", "Precision and recall", text, drawn,
        x="Recall: bad records declined", y="Precision: declined that are bad", mark=mark,
    )  # fmt: skip
    return shown("Precision and recall", text, svg)


def _calibration(groups: list[Card]) -> Picture:
    inside = sum(row["low"] <= row["expected"] <= row["high"] for row in groups)
    sizes = [row["n"] for row in groups]
    text = (
        f"Groups by probability: on the line, as many are bad as was said. {inside} of {len(groups)} lie there "
        f"within their interval; a group holds {min(sizes):,} to {max(sizes):,} records."
    )
    drawn = [("this model", [(row["expected"], _spot("", row)) for row in groups])]
    return shown("Calibration", text, charts.calibration("calibration", "Calibration", text, drawn))


def _gains(curve: Card) -> Picture:
    found = next((y for x, y in zip(curve["share"], curve["found"], strict=True) if x >= 0.1), None)  # noqa: PLR2004
    text = f"The tenth of the records with the worst scores holds {percent(found, 0)} of the bad."
    svg = charts.lines(
        "gains", "Cumulative gains", text, [Line("this model", curve["share"], curve["found"])],
        x="Share of all records, worst score first", y="Share of the bad found", diagonal=True,
    )  # fmt: skip
    return shown("Cumulative gains", text, svg)


def _scores(found: Card) -> Picture:
    text = (
        "Where good and bad records lie by probability, each outcome's shares adding up to one; even steps in log odds."
    )
    edges = found["edges"]
    labels = [_short_percent((low * high) ** 0.5) for low, high in pairwise(edges)]
    series = [(name, [n / (sum(found[name]) or 1) for n in found[name]]) for name in ("good", "bad")]
    svg = charts.columns(
        "scores", "Scores by outcome", text, labels, series, x="Probability of going bad", y="Share of the outcome"
    )
    return shown("Scores by outcome", text, svg)


def _trade_off(card: Card, curve: Card) -> Picture:
    at = _now(card)
    text = (
        f"What each approval rate would give. At the threshold {percent(at.get('approval_rate'))} are approved, "
        f"{percent(at.get('recall'))} of the bad are declined, and of the declined "
        f"{percent(at.get('precision'))} are bad."
    )
    rates = curve["approval_rate"]
    drawn = []
    for name in ("precision", "recall", "f1"):
        pairs = [(x, y) for x, y in zip(rates, curve[name], strict=True) if y is not None]
        drawn.append(Line("F1" if name == "f1" else name, [x for x, _ in pairs], [y for _, y in pairs]))
    line = None if at.get("approval_rate") is None else (at["approval_rate"], "the threshold")
    svg = charts.lines("trade-off", "Trade-off", text, drawn, x="Approval rate", y="", at=line)
    return shown("Trade-off by approval rate", text, svg)


def _classes(classes: list[Card]) -> Iterator[Picture]:
    text = "Each class against all others: " + ", ".join(
        f"{row['class']} {value:.3f}" for row in classes if (value := row["roc_auc"]["value"]) is not None
    ) + " of the area; 0.5 is chance."  # fmt: skip
    drawn = [Line(row["class"], row["roc"]["fpr"], row["roc"]["tpr"]) for row in classes if row["roc"]["fpr"]]
    svg = charts.lines(
        "roc", "ROC curves, one class against the rest", text, drawn,
        x="Records of other classes taken for it", y="Records of the class found", diagonal=True,
    )  # fmt: skip
    yield shown("ROC curves, one class against the rest", text, svg)
    text = "Ten groups by each class's probability: on the line, as many are of the class as was said."
    series = [
        (r["class"], [(g["expected"], _spot("", g)) for g in r["calibration"]]) for r in classes if r["calibration"]
    ]
    yield shown("Calibration by class", text, charts.calibration("calibration", "Calibration by class", text, series))


def _importance(card: Card) -> Picture:
    ordered = sorted(card["importance"].items(), key=lambda item: (-item[1], item[0]))[:MOST_FEATURES]
    text = f"What the model looks at: the {len(ordered)} features it leans on most, as shares of all."
    svg = charts.bars("importance", "Importance", text, [(name, value) for name, value in ordered], x="", percent=True)
    return shown("Importance", text, svg)


def _spot(label: str, row: Card) -> Spot:
    return Spot(label, row["seen"], row["low"], row["high"])


def _now(card: Card) -> Card:
    """Return the figures at the threshold; older cards have them among the metrics alone."""
    if card.get("at_threshold"):
        return dict(card["at_threshold"])
    metrics = card["metrics"]
    return {name: (metrics.get(name) or {}).get("value") for name in ("precision", "recall", "approval_rate")}


def _declined_good(card: Card, at: Card) -> float | None:
    test, rate = card["parts"]["test"], at.get("approval_rate")
    good = test["n"] - (test["bad"] or 0)
    if rate is None or not good:
        return None
    return float(min(1.0, max(0.0, ((1 - rate) * test["n"] - at["recall"] * test["bad"]) / good)))


def _test_rate(card: Card) -> float | None:
    test = card["parts"]["test"]
    return test["bad"] / test["n"] if test["n"] and test["bad"] is not None else None


def _short_percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"  # noqa: PLR2004 - below 10 % whole percents are too coarse
