"""How the text of one cell becomes a value: the parse rules a use-case file may name.

One implementation serves the loader, the intake and the served model, so they cannot disagree.
"""

import math
import re
from calendar import isleap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from refit.errors import ContractError

Kind = Literal["number", "text", "date"]
Parsed = float | str | datetime

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_AMOUNT: Final = re.compile(
    r"""(?P<open>\()?\s*(?P<sign>[+-])?\s*
        (?:[A-Za-z]{1,4}\.?|[$\u00a2-\u00a5\u0e3f\u20a0-\u20cf])?\s*    # Rp, USD, or a currency sign
        (?P<inner>[+-])?
        (?P<digits>(?:\d+|\d{1,3}(?:,\d{2,3})*,\d{3})(?:\.\d*)?|\.\d+)    # 60,000.00, or 1,00,000 in India
        (?P<exponent>[eE][+-]?\d+)?\s*
        (?:[A-Z]{3}|kr|[$\u00a2-\u00a5\u0e3f\u20a0-\u20cf])?\s*(?P<close>\))?""",  # never the k of 5k
    re.VERBOSE,
)
_FIRST_NUMBER: Final = re.compile(r"[+-]?(\d{1,3}(,\d{3})+(?!\d)(\.\d+)?|(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)")
_INFINITE: Final = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_LONGEST_AMOUNT: Final = 100  # characters; a longer text is none, and would take the pattern long to refuse


@dataclass(frozen=True, slots=True)
class ParseRule:
    """A named way to read a cell.

    `parse` takes a stripped, non-empty text and returns the value, or None where the text holds none.
    It raises ValueError where the text is not what the rule expects. `of_date` makes the same value of a date, where a
    column holds dates already; `short_year` tells that the century of a text is a guess.
    """

    text: str
    kind: Kind
    parse: Callable[[str], Parsed | None]
    of_date: Callable[[datetime], float] | None = None
    short_year: bool = False

    def read(self, cell: str, unknown: tuple[str, ...] = ()) -> Parsed | None:
        """Return the value of a cell as it stands in a file or a request; an empty or `unknown` one holds none.

        Raises:
            ValueError: The text is not what the rule expects; says what it expects, never the text.
        """
        text = cell.strip()
        return None if not text or text in unknown else self.parse(text)

    def reads_itself(self, cell: str, unknown: tuple[str, ...] = ()) -> bool:
        """Tell whether what a cell is read as, put in a cell again, is read as the same; some `match:` does not.

        Raises:
            ValueError: As `read` does.
        """
        value = self.read(cell, unknown)
        return not isinstance(value, str) or self.read(value, unknown) == value


def parse_rule(text: str) -> ParseRule:
    """Return the rule that `text` names, like `money` or `date:%d-%b-%y`.

    Raises:
        ContractError: No such rule, or its argument is wrong.
    """
    name, colon, argument = text.partition(":")
    if name == "year":
        return _year(text, argument if colon else None)
    if name in _PLAIN and not colon:
        kind, parse = _PLAIN[name]
        return ParseRule(text, kind, parse)
    if name in _WITH_ARGUMENT and argument:
        kind, make = _WITH_ARGUMENT[name]
        return ParseRule(text, kind, make(argument))
    choices = ", ".join([*_PLAIN, "year", *(f"{name}:{hint}" for name, hint in _HINTS.items())])
    raise ContractError(f"unknown parse rule {text!r}; choose from {choices}")


def year(moment: datetime) -> float:
    """Return a date as a number of years, its day as the fraction.

    >>> year(datetime(1990, 7, 2, tzinfo=UTC))
    1990.4986301369863
    """
    return moment.year + (moment.timetuple().tm_yday - 1) / (366 if isleap(moment.year) else 365)


def _year(text: str, layout: str | None) -> ParseRule:
    parse = _iso_date if layout is None else _date(layout)
    return ParseRule(text, "number", lambda cell: year(parse(cell)), year, layout is not None and "%y" in layout)


def _number(text: str) -> float:
    if _INFINITE.fullmatch(text):
        raise ValueError("not a finite number")
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _money(text: str) -> float:
    """Read an amount with a currency sign, thousands commas, or brackets for a negative.

    A comma that parts no thousands is refused: `1.234,56` and `0,5` mean something else than they would be read as.

    >>> _money("$60,000.00 "), _money("Rp9295094.0"), _money("($1,200)")
    (60000.0, 9295094.0, -1200.0)
    """
    found = _AMOUNT.fullmatch(text) if len(text) <= _LONGEST_AMOUNT else None
    signs = 0 if found is None else sum(found[part] is not None for part in ("open", "sign", "inner"))
    if found is None or (found["open"] is None) != (found["close"] is None) or signs > 1:
        raise ValueError("not an amount of money")
    amount = _number(found["digits"].replace(",", "") + (found["exponent"] or ""))
    return -amount if "-" in (found["sign"], found["inner"]) or found["open"] else amount


def _percent(text: str) -> float:
    return _number(text.removesuffix("%").strip()) / 100


def _first_number(text: str) -> float:
    """Read the first number in a text.

    >>> _first_number("3 orang"), _first_number("10+ years"), _first_number("1,200 km")
    (3.0, 10.0, 1200.0)
    """
    found = _FIRST_NUMBER.search(text)
    if found is None:
        raise ValueError("holds no number")
    if re.match(r",\d", text[found.end() :]):
        raise ValueError("not clear: a comma that does not part thousands")
    return _number(found.group().replace(",", ""))


def _date(layout: str) -> Callable[[str], datetime]:
    try:
        trial = datetime.strptime(datetime(2001, 2, 1, tzinfo=UTC).strftime(layout), layout)  # noqa: DTZ007 - only the layout is on trial
    except ValueError as error:
        raise ContractError(f"'date:{layout}': {error}") from None
    if trial.replace(tzinfo=None) != datetime(2001, 2, 1):  # noqa: DTZ001 - as above
        raise ContractError(f"'date:{layout}': the layout lacks the year or the month")

    def parse(text: str) -> datetime:
        try:
            moment = datetime.strptime(text, layout)  # noqa: DTZ007 - a moment without zone is taken as UTC below
        except ValueError:
            raise ValueError(f"not a date like {layout}") from None
        return _in_utc(moment)

    return parse


def _iso_date(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not an ISO date") from None
    return _in_utc(moment)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # an hour before the year 1, or after the year 9999
        raise ValueError("a date out of range") from None


def _prefix(length: str) -> Callable[[str], str]:
    n = _length("prefix", length)
    return lambda text: text[:n]


def _suffix(length: str) -> Callable[[str], str]:
    n = _length("suffix", length)
    return lambda text: text[-n:]


def _length(rule: str, text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise ContractError(f"'{rule}:{text}': give a whole number of characters above 0")
    return int(text)


def _match(pattern: str) -> Callable[[str], str | None]:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ContractError(f"'match:{pattern}': {error}") from None
    group = 1 if compiled.groups else 0

    def parse(text: str) -> str | None:
        found = compiled.search(text)
        return found.group(group) if found else None

    return parse


_PLAIN: Final[dict[str, tuple[Kind, Callable[[str], Parsed | None]]]] = {
    "number": ("number", _number),
    "money": ("number", _money),
    "percent": ("number", _percent),
    "first_number": ("number", _first_number),
    "date": ("date", _iso_date),
    "text": ("text", str),
    "upper": ("text", str.upper),
}
_WITH_ARGUMENT: Final[dict[str, tuple[Kind, Callable[[str], Callable[[str], Parsed | None]]]]] = {
    "date": ("date", _date),
    "prefix": ("text", _prefix),
    "suffix": ("text", _suffix),
    "match": ("text", _match),
}
_HINTS: Final = {"date": "LAYOUT", "year": "LAYOUT", "prefix": "N", "suffix": "N", "match": "REGEX"}
