"""A model card as one page that can be sent, printed and read years later."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from refit.drawing.page import NONE, Table, day, number, percent, render
from refit.training import card_tables
from refit.training.card_pictures import pictures
from refit.training.card_tables import METRICS, OF_CLASSES

TEMPLATE: Final = Path(__file__).parent / "card.html"
Card = Mapping[str, Any]

REFUSALS: Final = {
    "enough records": "too few records with a known outcome were there to test it on",
    "no signal": "it cannot be told from a model that guesses",
    "gain": "it is not for certain better than the model that is live",
    "calibration": "its probabilities do not mean what they say",
    "size": "its bundle is larger than allowed",
    "latency": "it answers more slowly than allowed",
}
"""A failed check in the words of the sentence on top; any other is told by its own reason."""


def page(card: Card, verdict: Mapping[str, Any] | None) -> str:
    """Return the card as a self-contained HTML page, the verdict first.

    Args:
        card: What `card.card` returned, read back from JSON or not; one of an older version shows what it has.
        verdict: What the gate concluded, as plain data (`outcome`, `checks`, and `override` where there was one);
            None where it was not judged.
    """
    return render(
        TEMPLATE,
        title=f"Model card: {card['title']}",
        card=card,
        outcome="" if verdict is None else str(verdict["outcome"]),
        sentence=sentence(verdict),
        overridden=_override(verdict),
        facts=tuple(_facts(card)),
        checks=_checks(verdict),
        metrics=card_tables.metrics(card),
        pictures=pictures(card),
        sections=tuple(card_tables.sections(card)),
        data=tuple(card_tables.data(card)),
        parameters=tuple(card_tables.parameters(card)),
        impact=tuple(card_tables.impact(card)),
        notes=tuple(card.get("notes") or ()),
        limits=tuple(_limits(card)),
        made_by=tuple(_made_by(card)),
    )


def sentence(verdict: Mapping[str, Any] | None) -> str:
    """Return the verdict in one sentence.

    Examples:
        >>> sentence({"outcome": "refuse", "checks": [{"name": "no signal", "outcome": "fail", "why": "..."}]})
        'Refused: it cannot be told from a model that guesses.'
    """
    if verdict is None:
        return "Not judged: no gate has seen this model."
    checks = verdict["checks"]
    failed = [check for check in checks if check["outcome"] == "fail"]
    if verdict["outcome"] == "promote":
        if failed:
            return f"Promoted, although {_count(len(failed), 'check')} failed: {'; '.join(_told(c) for c in failed)}."
        return f"Promoted: it passed {_passed(checks)}."
    if not failed:
        return "Refused."
    more = len(failed) - 1
    rest = f", and {_count(more, 'more check')} failed" if more else ""
    return f"Refused: {_told(failed[0])}{rest}."


def _passed(checks: Sequence[Mapping[str, Any]]) -> str:
    passed = _count(sum(check["outcome"] == "pass" for check in checks), "check")
    warned = [_reason(check) for check in checks if check["outcome"] == "warning"]
    if not warned:
        return f"{passed}, every one that applies"
    return f"{passed}, with {_count(len(warned), 'warning')}: {'; '.join(warned)}"


def _told(check: Mapping[str, Any]) -> str:
    return REFUSALS.get(check["name"]) or _reason(check)


def _reason(check: Mapping[str, Any]) -> str:
    return f"{check['name']}: {check['why']}".rstrip(".")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _override(verdict: Mapping[str, Any] | None) -> str:
    override = (verdict or {}).get("override")
    if not isinstance(override, Mapping):
        return ""
    return f"Overridden by {override.get('by', 'somebody')}: {override.get('reason', 'no reason given')}"


def _facts(card: Card) -> Iterator[tuple[str, str, str]]:
    seen = card["metrics"]
    yield "Learner", card["learner"].replace("_", " "), f"as of {day(card['as_of'])}"
    if card.get("bad_rate") is not None:
        yield "Records", f"{card['n_records']:,}", f"{percent(card['bad_rate'])} of them bad"
    else:
        yield "Records", f"{card['n_records']:,}", ""
    names = METRICS if card.get("task") != "multiclass" else METRICS | OF_CLASSES
    for name in ("roc_auc", "precision", "recall", "approval_rate", "log_loss", "accuracy"):
        found = seen.get(name)
        if found is None or found["value"] is None or (name == "accuracy" and card.get("task") != "multiclass"):
            continue
        as_text = percent if name in ("precision", "recall", "approval_rate", "accuracy") else number
        yield names[name][0], as_text(found["value"]), f"{as_text(found['low'])} to {as_text(found['high'])}"
    if card.get("task") != "multiclass":
        yield "Threshold", number(card["threshold"]), "declined from here up"


def _checks(verdict: Mapping[str, Any] | None) -> Table | None:
    if verdict is None:
        return None
    rows = [
        (c["outcome"], c["name"], number(c["seen"]) if c["seen"] is not None else NONE, c["allowed"], c["why"])
        for c in verdict["checks"]
    ]
    marks = {"pass": "pass", "fail": "fail", "warning": "watch", "not applicable": "na"}
    return Table(("Outcome", "Check", "Seen", "Allowed", "Why"), rows, frozenset({2}), marks)


def _limits(card: Card) -> Iterator[str]:
    if card.get("split") == "random":
        yield (
            "It was tested on records drawn at random, not on later ones: how it holds up as times change was not "
            "measured."
        )
    else:
        yield "It was tested on records later than those it learned from; times after those may differ again."
    yield "It learned from records that were taken in. Of those that were turned away before, nothing is known."
    yield "Importance and segments say what goes together with the outcome, not what causes it."
    if card.get("impact"):
        yield "Impact ratios compare approval rates. " + card["impact"][0]["words"]
    yield "Groups of fewer than 20 records are not shown by name."


def _made_by(card: Card) -> Iterator[tuple[str, str]]:
    window = card.get("window") or {}
    if card.get("dated", True):
        yield "Records of", f"{day(window.get('start'))} to {day(window.get('end'))}"
    else:
        yield "Records", "without a date of their own"
    yield "Split", f"by {card['split']}" if card["split"] == "time" else "at random"
    yield "Seen as of", str(card["as_of"])
    yield "Snapshot", str(card["snapshot"])
    yield "Code", str(card["code_version"])
    libraries = card.get("libraries") or {}
    if libraries:
        yield "Libraries", ", ".join(f"{name} {version}" for name, version in libraries.items())
    if card.get("seed") is not None:
        yield "Seed", str(card["seed"])
