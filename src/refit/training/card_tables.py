"""The tables of a model card."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from refit.drawing.page import NONE, Table, day, number, percent
from refit.training.card_pictures import MOST_FEATURES

Card = Mapping[str, Any]

METRICS: Final = {
    "roc_auc": ("ROC AUC", "chance that a bad record scores worse than a good one; 0.5 is guessing"),
    "average_precision": ("Average precision", "mean precision over all recalls; guessing gives the bad rate"),
    "log_loss": ("Log loss", "lower is better"),
    "brier": ("Brier score", "mean squared error of the probability; lower is better"),
    "expected_calibration_error": ("Calibration error", "mean gap between expected and seen, ten groups"),
    "accuracy": ("Accuracy", "at the threshold"),
    "precision": ("Precision", "of the declined, the share that is bad"),
    "recall": ("Recall", "of the bad, the share that is declined"),
    "approval_rate": ("Approval rate", "share that is approved"),
}
OF_CLASSES: Final = {
    "roc_auc": ("ROC AUC", "one class against the rest, mean of the classes; 0.5 is guessing"),
    "accuracy": ("Accuracy", "share of records whose most probable class is the true one"),
}


def metrics(card: Card) -> Table:
    """Return every metric with its interval and what it means."""
    names = METRICS if card.get("task") != "multiclass" else METRICS | OF_CLASSES
    rows = []
    for name, found in card["metrics"].items():
        title, means = names.get(name, (name.replace("_", " "), ""))
        rows.append((title, number(found["value"]), number(found["low"]), number(found["high"]), means))
    n = card["parts"]["test"]["n"]
    caption = f"On the {n:,} test records, which decided nothing in training. 95 % intervals: bootstrap over records."
    return Table(("Metric", "Value", "From", "To", "Meaning"), rows, frozenset({1, 2, 3}), caption=caption)


def sections(card: Card) -> Iterator[tuple[str, Table]]:
    """Yield the tables on classes and segments that the card holds the figures for, each with its heading."""
    if card.get("classes"):
        yield "Classes", _classes(card["classes"])
    if card.get("confusion"):
        yield "Which class is taken for which", _confusion(card["confusion"])
    if card.get("segments"):
        yield "Segments", _segments(card["segments"])


def _classes(classes: Sequence[Card]) -> Table:
    heads = ("Class", "Records", "Share", "Mean probability", "AUC against the rest")
    rows = [
        (c["class"], f"{c['n']:,}", percent(c["share"]), percent(c["mean_probability"]), _interval(c["roc_auc"]))
        for c in classes
    ]
    return Table(heads, rows, frozenset({1, 2, 3, 4}))


def _confusion(found: Card) -> Table:
    names = found["classes"]
    rows = [(name, *(f"{n:,}" for n in counts)) for name, counts in zip(names, found["counts"], strict=True)]
    caption = "A row for each true class, a column for the class the model said."
    return Table(("True class", *names), rows, frozenset(range(1, len(names) + 1)), caption=caption)


def _segments(segments: Sequence[Card]) -> Table:
    heads = ("Column", "Value", "Records", "Bad rate", "95 % interval", "Mean probability", "AUC")
    rows = [
        (
            one["column"],
            one["value"],
            f"{one['n']:,}",
            percent(one["bad_rate"]),
            f"{percent(one['low'])} to {percent(one['high'])}",
            percent(one["mean_probability"]),
            number(one["roc_auc"]),
        )
        for one in segments
    ]
    return Table(heads, rows, frozenset({2, 3, 4, 5, 6}))


def impact(card: Card) -> Iterator[tuple[str, Table, str]]:
    """Yield a table for each protected column, with its name and what is to be said of it."""
    for one in card.get("impact") or ():
        rows = [
            (group["group"], f"{group['n']:,}", percent(group["approval_rate"]), number(group["ratio"]))
            for group in one["groups"]
        ]
        lowest = one["lowest_ratio"]
        below = lowest is not None and lowest < one["allowed"]
        said = (
            f"The lowest ratio is {number(lowest)}, {'below' if below else 'not below'} the {one['allowed']:g} "
            f"under which it is to be looked at closer. {one['words']}"
        )
        table = Table(("Group", "Records", "Approval rate", "Ratio to the best"), rows, frozenset({1, 2, 3}))
        yield one["column"], table, said


def data(card: Card) -> Iterator[Table]:
    """Yield the tables on records and features."""
    uses = {"fit": "fitted on", "calibration": "calibrated on", "test": "tested on"}
    rows = []
    for name, part in card["parts"].items():
        bad = NONE if part.get("bad") is None else f"{part['bad']:,}"
        rows.append((uses.get(name, name), f"{part['n']:,}", bad, day(part.get("start")), day(part.get("end"))))
    yield Table(("Records", "Number", "Bad", "From", "To"), rows, frozenset({1, 2}))
    importance = card.get("importance") or {}
    described = card.get("features") or {name: {} for name in importance}
    ordered = sorted(described, key=lambda name: (-(importance.get(name) or 0.0), name))
    features = [
        (name, described[name].get("title") or "", _kind(described[name]), percent(importance.get(name)))
        for name in ordered
    ]
    caption = f"The picture above shows the first {MOST_FEATURES}." if len(features) > MOST_FEATURES else ""
    yield Table(("Feature", "What it is", "Type", "Importance"), features, frozenset({3}), caption=caption)


def _kind(feature: Mapping[str, Any]) -> str:
    kind = str(feature.get("type") or "")
    unit = f", {feature['unit']}" if feature.get("unit") else ""
    return f"{kind}{unit}" + (f", {feature['from']}" if feature.get("from") else "")


def parameters(card: Card) -> Iterator[tuple[str, Table]]:
    """Yield the tables on how the model was made, each with its heading."""
    yield "Parameters", _pairs(card.get("params") or {})
    if card.get("search"):
        yield "Search", _pairs({name: value for name, value in card["search"].items() if not _is_table(value)})
        yield from ((f"Search: {name}", _rows(value)) for name, value in card["search"].items() if _is_table(value))
    if len(card.get("candidates") or ()) > 0:
        rows = [
            (c["learner"].replace("_", " "), c["metric"], number(c["value"]), number(c["log_loss"]))
            for c in card["candidates"]
        ]
        caption = "On the calibration records, each held out of the fit."
        yield (
            "What was tried",
            Table(("Learner", "Metric", "Value", "Log loss"), rows, frozenset({2, 3}), caption=caption),
        )
    brier = card["calibration"]["held_out_brier"]
    rows_of_kinds = [(kind, number(value, 5)) for kind, value in brier.items()]
    caption = f"Chosen: {card['calibration']['kind']}."
    yield "Calibration", Table(("Kind", "Held-out Brier"), rows_of_kinds, frozenset({1}), caption=caption)
    yield "Threshold by", _pairs(card.get("decide") or {})


def _pairs(found: Mapping[str, Any]) -> Table:
    return Table(("Name", "Value"), [(str(name), _value(value)) for name, value in found.items()])


def _is_table(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(isinstance(one, Mapping) for one in value)


def _rows(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return rows of one kind, a column for each name that occurs in them."""
    heads = tuple(dict.fromkeys(name for row in found for name in row))
    return Table(tuple(map(str, heads)), [tuple(_value(row.get(name)) for name in heads) for row in found])


def _value(value: Any) -> str:
    match value:
        case bool() | None:
            return {True: "yes", False: "no"}.get(value, NONE) if value is not None else NONE
        case int() | float():
            return f"{value:.6g}" if abs(value) < 1e6 else number(value)  # noqa: PLR2004 - read as it was set
        case Mapping():
            return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
        case str():
            return value
        case Sequence():
            return ", ".join(_value(one) for one in value)
    return str(value)


def _interval(found: Mapping[str, float | None]) -> str:
    if found["value"] is None:
        return NONE
    return f"{number(found['value'])} ({number(found['low'])} to {number(found['high'])})"
