"""One picture as inline SVG: the same bytes for the same figures, readable by a machine that reads aloud."""

import io
import re
import threading
import warnings
from collections.abc import Callable
from html import escape
from typing import Any, Final

INK: Final = "#1f2328"
QUIET: Final = "#57606a"
LINE: Final = "#d8dee4"
BLUE, ORANGE, GREEN, SKY, PURPLE, YELLOW = "#0072b2", "#d55e00", "#009e73", "#56b4e9", "#cc79a7", "#e69f00"
PALETTE: Final = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)
"""Told apart by every kind of colour vision. Okabe and Ito 2008, Color Universal Design."""

WIDTH, WIDE = 6.0, 9.0
"""Inches: two of the first stand side by side, so that letters come out alike."""
_DPI: Final = 72
_LOOK: Final[dict[str, Any]] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, searchable
    "text.parse_math": False,  # a dollar sign is a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that the layout is the same everywhere
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#eaeef2",
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
}
_one_at_a_time = threading.Lock()
_ID: Final = re.compile(r' id="([^"]+)"')
_REFERENCE: Final = re.compile(r'(url\(#|xlink:href="#)([^")]+)')
_TAG: Final = re.compile(r"<[^>]+>")
_NUMBER: Final = re.compile(r"-?\d+\.\d{3,}")


def picture(
    name: str, title: str, text: str, draw: Callable[[Any], None], *, height: float = 3.2, wide: bool = False
) -> str:
    """Return what `draw` draws on the matplotlib axes it is given, as an `<svg>` element.

    Args:
        name: Letters, digits and '-'; told apart from those of other pictures of the page.
        title: What it is; shown by the page, read aloud by a machine.
        text: What is to be seen in it, for who cannot see it.
        height: In inches.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that no font has is no reason to fail
        import matplotlib as mpl  # noqa: PLC0415 - half a second, only where a picture is wanted
        from matplotlib.figure import Figure  # noqa: PLC0415

        # The look is global in matplotlib, as are the warning filters: one picture at a time.
        with mpl.rc_context({**_LOOK, "svg.hashsalt": name}):
            figure = Figure(figsize=(WIDE if wide else WIDTH, height), dpi=_DPI, layout="constrained")
            figure.patch.set_visible(False)
            draw(figure.add_subplot())
            file = io.StringIO()
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(file.getvalue(), name, title, text)


def _inline(content: str, name: str, title: str, text: str) -> str:
    """Return the bare element: ids that no other picture has, no style for the whole page, and words."""
    start = content.index(">", content.index("<svg")) + 1
    body = content[start : content.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    used = {found[1] for found in _REFERENCE.findall(body)}
    body = _ID.sub(lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = _REFERENCE.sub(lambda found: f"{found[1]}{name}-{found[2]}", body)
    body = body.replace("xlink:href", "href").replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    body = _TAG.sub(lambda tag: _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", tag[0]), body)  # never in a text
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    box = re.search(r'viewBox="([^"]+)"', content)
    return (
        f'<svg viewBox="{box[1] if box else "0 0 432 230"}" role="img" aria-labelledby="{name}-title {name}-text" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-text">{escape(text)}</desc>\n{body}\n</svg>'
    )
