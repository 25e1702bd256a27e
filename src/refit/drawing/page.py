"""Pages that stand alone: one HTML file, no script, no network, everything in it escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

HERE: Final = Path(__file__).parent / "templates"
NONE: Final = "-"
"""Stands where there is no figure."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts. `numeric` columns stand to the right; a cell whose text is in `classes` is marked by it."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    classes: Mapping[str, str] = field(default_factory=dict)
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An `<svg>` element of ours with what is said beside it; a `whole` one has the width for itself."""

    title: str
    text: str
    svg: Markup
    whole: bool = False


def shown(title: str, text: str, svg: str, *, whole: bool = False) -> Picture:
    """Return a picture made by `charts`, which escapes every text in it itself."""
    return Picture(title, text, Markup(svg), whole)  # noqa: S704 - made by svg.picture, from figures and escaped texts


def render(template: Path, **values: Any) -> str:
    """Return the page a template makes of the values; it extends `page.html`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def number(value: float | None, digits: int = 4) -> str:
    """Return a figure as it is read: thousands parted, no more digits than mean something.

    Examples:
        >>> number(1234567.0), number(0.123456), number(None), number(3.0), number(0.0000123)
        ('1,234,567', '0.1235', '-', '3', '1.23e-05')
    """
    if value is None:
        return NONE
    if float(value).is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - above, digits are made up
        return f"{value:,.0f}"
    size = abs(value)
    if size < 10**-digits or size >= 1e15:  # noqa: PLR2004
        return f"{value:.3g}"
    return f"{value:,.{digits if size < 10 else 1 if size < 10_000 else 0}f}"  # noqa: PLR2004


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share in percent.

    Examples:
        >>> percent(0.0423), percent(None)
        ('4.2 %', '-')
    """
    return NONE if share is None else f"{share * 100:.{decimals}f} %"


def day(moment: str | None) -> str:
    """Return the day of an ISO moment."""
    return NONE if moment is None else moment[:10]
