"""A file of applicants as people's spreadsheets write it, and the same file with the answers beside each line.

The scorer takes one plain kind of CSV. Here stands what lies between: the byte-order mark, other delimiters, an older
encoding, blank lines at the end, rows of the wrong width; and on the way back, that no cell becomes a formula.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from refit.errors import DataError

DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}
ENCODINGS: Final = {"utf-8": "UTF-8", "cp1252": "Windows, Western Europe"}
"""By the name of Python's codec, and as the form names them. Latin-1's letters and signs are the same in the second."""
REFUSED: Final = "refused_because"
MARK: Final = "\ufeff"
_MARKS: Final = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

_FORMULA: Final = re.compile(r"\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")  # the last four are the full-width signs
_BREAK: Final = re.compile("\r\n?")
_NUMBER: Final = re.compile(r"\s*[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?\s*%?\s*")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file's header, its rows with the line each begins on, and why a row of the wrong width cannot be read.

    `faults` goes by place in `rows`. `has_mark`: the answer then bears the byte-order mark as the file did, for a
    spreadsheet that would else show it in another encoding.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    faults: Mapping[int, str]
    delimiter: str
    has_mark: bool

    def plain(self) -> bytes:
        """Return what the scorer reads: the rows without fault as CSV with commas, in UTF-8."""
        width = len(self.header)
        sound = (row[:width] for place, row in enumerate(self.rows) if place not in self.faults)
        return _written([self.header, *sound], ",").encode()

    def answered(self, scored: str) -> bytes:
        """Return the file with the answers beside each line; each refusal names its line.

        Args:
            scored: What the scorer made of `plain()`.
        """
        width = len(self.header)
        names, *answers = [row[width:] for row in csv.reader(io.StringIO(scored, newline=""))]
        sound = (place for place in range(len(self.rows)) if place not in self.faults)
        found = dict(zip(sound, answers, strict=True))
        none = [""] * (len(names) - 1)
        rows = []
        for place, (line, row) in enumerate(zip(self.lines, self.rows, strict=True)):
            *answer, why = [*none, self.faults[place]] if place in self.faults else found[place]
            cells = [*row[:width], *[""] * (width - len(row))]
            rows.append([*cells, *answer, f"line {line}, {why}" if why else ""])
        table = [[*self.header, *_free(names, self.header)], *rows]
        text = _written([[harmless(cell) for cell in row] for row in table], self.delimiter)
        return f"{MARK if self.has_mark else ''}{text}".encode()


def read(content: bytes, inputs: Sequence[str], encoding: str = "utf-8") -> Sheet:
    """Read a file of applicants, parted as its header shows.

    Args:
        inputs: The columns to look for.
        encoding: A key of `ENCODINGS`.

    Raises:
        DataError: It is no table in that encoding, has a column twice, or no row has as many cells as the header.
    """
    marked = next((codec for mark, codec in _MARKS.items() if content.startswith(mark)), None)
    text = _decoded(content, marked or encoding)
    delimiter = _delimiter(text, inputs)
    lines, rows = _rows(text, delimiter)
    if len(rows) <= 1:
        raise DataError("the file holds no applicant: a first line of column names and a line each are needed")
    header = tuple(cell.strip() for cell in rows[0])
    if twice := [name for name in dict.fromkeys(header) if name in inputs and header.count(name) > 1]:
        raise DataError(f"the first line names {', '.join(twice)} twice: which of the two is meant?")
    wide = [_is_whole(row, len(header)) for row in rows[1:]]
    if not any(wide):
        raise DataError(f"no line has as many cells as the first, {len(header)}, parted by {DELIMITERS[delimiter]}")
    faults = {
        place: f"the whole line: {len(row)} cells, where the first line has {len(header)}"
        for place, row in enumerate(rows[1:])
        if not wide[place]
    }
    has_mark = marked is not None or encoding != "utf-8"
    return Sheet(header, tuple(map(tuple, rows[1:])), tuple(lines[1:]), faults, delimiter, has_mark)


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: one that might be gets an apostrophe before it.

    OWASP, CSV Injection. A number may begin with its sign.

    >>> harmless("=1+1"), harmless("-5"), harmless("-5+cmd"), harmless("TX")
    ("'=1+1", '-5', "'-5+cmd", 'TX')
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _decoded(content: bytes, codec: str) -> str:
    if codec not in {*ENCODINGS, *_MARKS.values()}:
        raise DataError(f"the encoding is none of {', '.join(ENCODINGS.values())}")
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        named = ENCODINGS.get(codec, "Unicode")
        raise DataError(
            f"line {line} is not {named} text: choose the other encoding, or save the file as 'CSV UTF-8'"
        ) from None


def _delimiter(text: str, inputs: Sequence[str]) -> str:
    """Return what parts the header into most of the names that are looked for; of equals, the comma."""
    first = re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    found = {
        each: sum(cell.strip() in inputs for cell in next(csv.reader([first], delimiter=each), ()))
        for each in DELIMITERS
    }
    return max(found, key=found.__getitem__)


def _rows(text: str, delimiter: str) -> tuple[list[int], list[list[str]]]:
    """Return the rows that hold anything, and the line each begins on."""
    lines, rows = [], []
    for line, row in _numbered(text, delimiter):
        if any(cell.strip() for cell in row):
            lines.append(line)
            rows.append([_BREAK.sub("\n", cell) for cell in row])  # csv writes a lone \r without quotes
    return lines, rows


def _numbered(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"the file is no CSV from line {line} on: {error}") from None


def _is_whole(row: Sequence[str], width: int) -> bool:
    """Tell whether a row is as wide as the header; a spreadsheet may leave empty cells more at its end."""
    return len(row) == width or (len(row) > width and not any(cell.strip() for cell in row[width:]))


def _free(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return the answers' names; one that the file has already, as a scored file has, comes with `refit_` before it."""
    found = []
    for name in names:
        free = name
        while free in taken:
            free = f"refit_{free}"
        found.append(free)
    return found


def _written(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    text = io.StringIO()
    out = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    out.writerows(rows)
    return text.getvalue()
