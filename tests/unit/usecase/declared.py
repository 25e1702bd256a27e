"""A sound use case, and how to change one thing in it."""

from collections.abc import Mapping
from typing import Any

from refit.usecase.model import UseCase

DECLARED: Mapping[str, Any] = {
    "name": "loans",
    "title": "Loans",
    "source": {"table": "source.loans", "key": "id", "arrived_at": "changed_at"},
    "event_time": {"column": "asked_on"},
    "label": {"name": "bad", "happened_on": {"column": "lost_on"}, "within_months": 12},
    "features": {
        "amount": {"type": "number", "min": 0, "required": True},
        "income": {"type": "number", "parse": "money"},
        "share": {"type": "number", "from": "amount / income", "max": 10},
        "region": {"type": "category", "unknown": "n/a"},
        "purpose": {"type": "category", "choices": ["car", "home"]},
    },
    "known_later": ["paid"],
    "protected": ["sex"],
}


def content(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the file's content with `{"gate.floor": ...}` changed; None takes a key out."""
    made = _copied(DECLARED)
    for place, value in (changes or {}).items():
        *above, key = place.split(".")
        part = made
        for step in above:
            part = part.setdefault(step, {})
        if value is None:
            part.pop(key)
        else:
            part[key] = value
    return made


def usecase(changes: Mapping[str, Any] | None = None) -> UseCase:
    return UseCase.model_validate(content(changes))


def _copied(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in part.items()}
