"""Files of records, CSV or Parquet, read in chunks with the place of every row; what is no row is told apart."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self, cast

import pyarrow as pa
import pyarrow.parquet as pq

from refit.errors import DataError

CHUNK_ROWS: Final = 50_000
CELL_CHARACTERS: Final = 1_000_000
FIELD_LIMIT: Final = 64_000_000
NOT_DECODED: Final = "bytes that are not in the file's encoding; name another with --encoding"
SURROGATE: Final = re.compile("[\ud800-\udfff]")
DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read as one: its line, why, and its bytes as they stand."""

    line: int
    why: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file, (n_rows, n_columns), with the line each began on, and the rows that could not be read."""

    rows: pa.RecordBatch
    lines: Sequence[int]
    bad: Sequence[BadRow]


def header(path: Path, delimiter: str = ",", encoding: str = "utf-8") -> list[str]:
    """Return the file's column names.

    Raises:
        DataError: There is no such file, it is empty, or its first line is no header.
    """
    if path.suffix == ".parquet":
        return _checked_header(list(_parquet(path).schema_arrow.names), path, delimiter)
    with _opened(path) as file:
        first = _first(_csv_rows(file.text(encoding), delimiter, path))
    if not any(cell.strip() for cell in first):
        raise DataError(f"{path}: the file is empty; it needs a header line and records")
    return _checked_header([_clean(cell) for cell in first], path, delimiter)


def chunks(
    path: Path, delimiter: str = ",", encoding: str = "utf-8", *, progress: Callable[[int], None] = lambda _: None
) -> Iterator[Chunk]:
    """Yield the file's rows in order.

    Args:
        progress: Called with the number of bytes of the file read so far.

    Raises:
        DataError: The file as a whole cannot be read: truncated gzip, an open quote that never closes, no Parquet.
    """
    if path.suffix == ".parquet":
        yield from _parquet_chunks(_parquet(path), path, progress)
        return
    names = header(path, delimiter, encoding)
    with _opened(path) as file:
        rows = _csv_rows(file.text(encoding), delimiter, path)
        _first(rows)
        sound: list[list[str]] = []
        lines: list[int] = []
        bad: list[BadRow] = []
        for line, row in rows:
            if not row:
                continue
            why = _fault(row, len(names))
            if why:
                bad.append(BadRow(line, why, _as_bytes(row, delimiter)))
            else:
                lines.append(line)
                sound.append(row)
            if len(lines) + len(bad) >= CHUNK_ROWS:
                yield _chunk(names, sound, lines, bad)
                sound, lines, bad = [], [], []
                progress(file.tell())
        if lines or bad:
            yield _chunk(names, sound, lines, bad)
        progress(path.stat().st_size)


def _first(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    """Return the first row that is not blank: the header."""
    return next((row for _, row in rows if row), [])


def _chunk(names: Sequence[str], sound: list[list[str]], lines: list[int], bad: list[BadRow]) -> Chunk:
    columns = zip(*sound, strict=True) if sound else ([] for _ in names)
    arrays = [pa.array(column, pa.string()) for column in columns]
    return Chunk(pa.RecordBatch.from_arrays(arrays, names=list(names)), lines, bad)


class _Raw:
    """The bytes of a file, and how many of them have been read, compressed or not."""

    def __init__(self, path: Path) -> None:
        self._outer = path.open("rb")
        compressed = self._outer.peek(2)[:2] == b"\x1f\x8b"
        self._stream = cast("IO[bytes]", gzip.GzipFile(fileobj=self._outer) if compressed else self._outer)
        self._text: io.TextIOWrapper | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._text is not None:
            self._text.close()
        self._outer.close()

    def tell(self) -> int:
        return self._outer.tell()

    def text(self, encoding: str) -> io.TextIOWrapper:
        """Decode so that a byte that does not fit is kept, and its row can be told."""
        try:
            codecs.lookup(encoding)
            plain = "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding
            self._text = io.TextIOWrapper(self._stream, encoding=plain, errors="surrogateescape", newline="")
        except (LookupError, ValueError):
            raise DataError(f"unknown encoding {encoding!r}; try utf-8 or latin-1") from None
        return self._text


def _opened(path: Path) -> _Raw:
    try:
        return _Raw(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _csv_rows(text: io.TextIOWrapper, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(FIELD_LIMIT)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}, line {line}: {error}; is a quote left open, or the delimiter not {delimiter!r}?"
            ) from None
        except UnicodeError:
            raise DataError(f"{path}, line {line}: not in the encoding {text.encoding}; name another") from None
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise DataError(f"{path}: the compressed file is damaged or cut off after line {line}") from None


def _fault(row: Sequence[str], width: int) -> str | None:
    """Look at the row as one text first: a file is mostly sound, and half a million rows are many."""
    if len(row) != width:
        return f"{len(row)} cells where the header has {width}"
    whole = "".join(row)
    if len(whole) > CELL_CHARACTERS and (longest := max(map(len, row))) > CELL_CHARACTERS:
        return f"a cell of {longest:,} characters; {CELL_CHARACTERS:,} at most"
    if "\x00" in whole:
        return "a NUL character"
    if not whole.isascii() and SURROGATE.search(whole):
        return NOT_DECODED
    return None


def _as_bytes(row: Sequence[str], delimiter: str) -> bytes:
    return delimiter.join(row).encode("utf-8", errors="surrogateescape")


def _clean(name: str) -> str:
    return name.strip()


def _checked_header(names: list[str], path: Path, delimiter: str) -> list[str]:
    if any(SURROGATE.search(name) for name in names):
        raise DataError(f"{path}: the header holds {NOT_DECODED}")
    if len(names) == 1:
        for other in DELIMITERS:
            if other != delimiter and other in names[0]:
                raise DataError(
                    f"{path}: the header has one column; its cells seem parted by {other!r}: --delimiter {other!r}"
                )
    if any("\x00" in name or not name.isprintable() for name in names):
        raise DataError(f"{path}: the first line is no header of a CSV file")
    if not all(names):
        raise DataError(f"{path}: column {names.index('') + 1} of the header has no name")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: column {', '.join(map(repr, twice))} stands twice in the header")
    return names


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError):
        raise DataError(f"{path}: not a Parquet file") from None


def _parquet_chunks(file: pq.ParquetFile, path: Path, progress: Callable[[int], None]) -> Iterator[Chunk]:
    row = 1
    batches = file.iter_batches(CHUNK_ROWS)
    while True:
        try:
            rows = next(batches)
            rows.validate(full=True)
        except StopIteration:
            break
        except (pa.ArrowException, OSError):
            raise DataError(f"{path}: damaged after row {row - 1}") from None
        yield Chunk(rows, range(row, row + len(rows)), [])
        row += len(rows)
        progress(path.stat().st_size * (row - 1) // file.metadata.num_rows)
