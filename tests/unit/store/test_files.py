import gzip
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import DataError
from refit.store import files
from refit.store.files import CELL_CHARACTERS, CHUNK_ROWS, BadRow, chunks, header


@pytest.fixture
def file(tmp_path):
    def written(content: bytes | str, name: str = "loans.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def rows(path: Path, **options) -> list[tuple[int, list]]:
    return [
        (line, list(row.values()))
        for chunk in chunks(path, **options)
        for line, row in zip(chunk.lines, chunk.rows.to_pylist(), strict=True)
    ]


def bad(path: Path, **options) -> list[BadRow]:
    return [row for chunk in chunks(path, **options) for row in chunk.bad]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n3,4\n", [(2, ["1", "2"]), (3, ["3", "4"])]),
        ("a,b\n1,2\n3,4", [(2, ["1", "2"]), (3, ["3", "4"])]),
        ("a,b\r\n1,2\r\n3,4\r\n", [(2, ["1", "2"]), (3, ["3", "4"])]),
        ("a,b\r1,2\r3,4", [(2, ["1", "2"]), (3, ["3", "4"])]),
        ("\ufeffa,b\r\n1,2\r\n", [(2, ["1", "2"])]),
        ("\n\na,b\n\n1,2\n\n\n3,4\n\n", [(5, ["1", "2"]), (8, ["3", "4"])]),
        ('a,b\n1,"x\ny"\n3,4\n', [(2, ["1", "x\ny"]), (4, ["3", "4"])]),
        ('a,b\n"1,1","say ""so"""\n', [(2, ["1,1", 'say "so"'])]),
        ("a,b\n,\n 1 , \n", [(2, ["", ""]), (3, [" 1 ", " "])]),
        ("a,b\nSchlüssel,\u4e2d\u6587 \U0001f600\n", [(2, ["Schlüssel", "\u4e2d\u6587 \U0001f600"])]),
        ("a,b\n1,\x1a\n2,\u2028\x0b\x85\n", [(2, ["1", "\x1a"]), (3, ["2", "\u2028\x0b\x85"])]),
        ("a,b\n", []),
        ("a,b", []),
    ],
    ids=[
        "plain",
        "no newline at the end",
        "CRLF",
        "CR",
        "byte order mark",
        "blank lines",
        "a line break in a cell",
        "quotes",
        "empty cells",
        "unicode",
        "odd line breaks in cells",
        "header only",
        "header only, no newline",
    ],
)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
def test_rows_are_read_with_the_line_each_began_on(file, content, expected, compressed):
    path = file(gzip.compress(content.encode()), "loans.csv.gz") if compressed else file(content)
    assert header(path) == ["a", "b"]
    assert rows(path) == expected
    assert bad(path) == []


@pytest.mark.parametrize(
    ("content", "line", "why", "record"),
    [
        (b"a,b\n1\n2,2\n", 2, "1 cells where the header has 2", b"1"),
        (b"a,b\n2,2\n1,2,3\n", 3, "3 cells where the header has 2", b"1,2,3"),
        (b"a,b\n2,2\n   \n", 3, "1 cells where the header has 2", b"   "),
        (b"a,b\n1,x\x00y\n2,2\n", 2, "a NUL character", b"1,x\x00y"),
        (b"a,b\n1,caf\xe9\n2,2\n", 2, files.NOT_DECODED, b"1,caf\xe9"),
        (b"a,b\n1,\xff\xfe\x00\n2,2\n", 2, "a NUL character", b"1,\xff\xfe\x00"),
    ],
    ids=["too few cells", "too many cells", "white space", "NUL", "Latin-1", "binary"],
)
def test_a_row_that_is_none_is_told_apart_with_its_line_and_bytes(file, content, line, why, record):
    path = file(content)
    assert bad(path) == [BadRow(line, why, record)]
    assert [row for _, row in rows(path)] == [["2", "2"]]


def test_a_cell_of_10_mb_is_a_bad_row_and_the_rest_is_read(file):
    record = b"1," + b"x" * 10_000_000
    path = file(b"a,b\n" + record + b"\n2,2\n3," + b"y" * CELL_CHARACTERS + b"\n")
    assert bad(path) == [BadRow(2, "a cell of 10,000,000 characters; 1,000,000 at most", record)]
    assert [line for line, _ in rows(path)] == [3, 4]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"\n \n\n", "the file is empty"),
        (b'a,b\n1,2\n"3,4\n5,6\n', "line 3: unexpected end of data; is a quote left open"),
        (b'a,b\n1,2\n"3"x,4\n', "line 3: .*is a quote left open"),
        (b"a,a\n1,2\n", "column 'a' stands twice"),
        (b"a, a \n1,2\n", "column 'a' stands twice"),
        (b",a\n1,2\n", "column 1 of the header has no name"),
        (b"a,b,\n1,2,\n", "column 3 of the header has no name"),
        (b"a\x00,b\n1,2\n", "no header of a CSV file"),
        (b"caf\xe9,b\n1,2\n", "the header holds bytes that are not in the file's encoding"),
        ("a,b\n1,2\n".encode("utf-16"), "not in the file's encoding"),
        (b"a;b\n1;2\n", "seem parted by ';': --delimiter ';'"),
        (b"a\tb\n1\t2\n", "seem parted by"),
        (b"PAR1" + bytes(range(256)), "no header|not in the file's encoding"),
    ],
    ids=repr,
)
def test_a_file_that_is_no_table_is_refused_as_a_whole(file, content, why):
    path = file(content)
    with pytest.raises(DataError, match=why) as error:
        rows(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("name", ["none.csv", "none.csv.gz", "none.parquet"])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    for read in (header, rows):
        with pytest.raises(DataError, match="no such file"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["folder", "folder.parquet"])
def test_a_folder_is_no_file_of_records(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"Is a directory|not a Parquet file"):
        rows(tmp_path / name)


COMPRESSED = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 2_654_435_761 % 2**60) for i in range(2_000)))


@pytest.mark.parametrize("kept", [1.0, 0.999, 0.5, 0.01], ids=str)
def test_a_gzip_cut_off_is_never_read_as_a_shorter_file(file, kept):
    path = file(COMPRESSED[: int(len(COMPRESSED) * kept)], "loans.csv.gz")
    if kept == 1.0:
        assert len(rows(path)) == 2_000
        return
    with pytest.raises(DataError, match="damaged or cut off after line"):
        rows(path)


@given(st.integers(20, len(COMPRESSED) - 1), st.integers(1, 255))
def test_a_gzip_with_a_wrong_byte_is_never_read_as_another_file(tmp_path_factory, place, flip):
    path = tmp_path_factory.getbasetemp() / "flipped.csv.gz"
    path.write_bytes(COMPRESSED[:place] + bytes([COMPRESSED[place] ^ flip]) + COMPRESSED[place + 1 :])
    with pytest.raises(DataError):
        rows(path)


def test_a_file_may_be_compressed_whatever_its_name(file):
    assert rows(file(gzip.compress(b"a,b\n1,2\n"), "loans.csv")) == [(2, ["1", "2"])]
    assert rows(file(b"a,b\n1,2\n", "loans.csv.gz")) == [(2, ["1", "2"])]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " "], ids=repr)
def test_another_delimiter_is_taken_by_name(file, delimiter):
    assert rows(file(f"a{delimiter}b\n1{delimiter}2\n"), delimiter=delimiter) == [(2, ["1", "2"])]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig", "UTF_8"])
def test_another_encoding_is_taken_by_name(file, encoding):
    assert rows(file("a,b\ncafé,2\n".encode(encoding)), encoding=encoding) == [(2, ["café", "2"])]


@pytest.mark.parametrize(
    "encoding", ["nope", "", "base64", "hex", "rot13", "idna", "undefined", "utf-16", "utf-32", "\0"], ids=repr
)
def test_an_encoding_that_does_not_fit_is_refused(file, encoding):
    with pytest.raises(DataError, match="encoding"):
        rows(file("a,b\ncafé,2\n".encode("latin-1")), encoding=encoding)


@pytest.mark.slow
def test_a_long_file_comes_in_chunks_with_every_line_once(file):
    n = CHUNK_ROWS * 2 + 1
    path = file("a\n" + "".join(f"{i}\n" if i % 1000 else f"{i},\n" for i in range(n)))
    done: list[int] = []
    found = list(chunks(path, progress=done.append))
    assert [len(chunk.lines) + len(chunk.bad) for chunk in found] == [CHUNK_ROWS, CHUNK_ROWS, 1]
    assert sorted(
        [line for chunk in found for line in chunk.lines] + [row.line for chunk in found for row in chunk.bad]
    ) == list(range(2, n + 2))
    assert done[-1] == path.stat().st_size
    assert all(a <= b for a, b in pairwise(done))


def table(**columns: Sequence) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def test_a_parquet_file_is_read_as_it_is_typed(tmp_path):
    pq.write_table(table(a=[1, None], b=["x", "y"]), tmp_path / "loans.parquet")
    assert header(tmp_path / "loans.parquet") == ["a", "b"]
    assert rows(tmp_path / "loans.parquet") == [(1, [1, "x"]), (2, [None, "y"])]


def test_a_parquet_file_without_rows_has_a_header(tmp_path):
    pq.write_table(table(a=[1]).slice(0, 0), tmp_path / "loans.parquet")
    assert header(tmp_path / "loans.parquet") == ["a"]
    assert rows(tmp_path / "loans.parquet") == []


def test_a_long_parquet_file_says_how_far_it_has_come(tmp_path):
    path = tmp_path / "loans.parquet"
    pq.write_table(table(a=list(range(CHUNK_ROWS + 5))), path)
    done: list[int] = []
    assert [len(chunk.lines) for chunk in chunks(path, progress=done.append)] == [CHUNK_ROWS, 5]
    assert done[-1] == path.stat().st_size


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"], ids=repr)
def test_what_is_no_parquet_is_refused(file, content):
    with pytest.raises(DataError, match="not a Parquet file"):
        rows(file(content, "loans.parquet"))


@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_a_damaged_parquet_file_is_refused(tmp_path, damage):
    path = tmp_path / "loans.parquet"
    pq.write_table(table(a=list(range(100_000)), b=[str(i) for i in range(100_000)]), path)
    content = path.read_bytes()
    path.write_bytes(content[:-20] if damage == "cut off" else content[:60] + b"\xff" * 400 + content[460:])
    with pytest.raises(DataError, match=r"not a Parquet file|damaged"):
        rows(path)


def test_a_parquet_text_that_is_no_unicode_is_refused(tmp_path):
    pq.write_table(pa.table({"a": pa.array([b"\xff"]).view(pa.string())}), tmp_path / "loans.parquet")
    with pytest.raises(DataError, match="damaged"):
        rows(tmp_path / "loans.parquet")


def test_a_column_that_stands_twice_in_a_parquet_file_is_refused(tmp_path):
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "loans.parquet")
    with pytest.raises(DataError, match="column 'a' stands twice"):
        header(tmp_path / "loans.parquet")


@given(
    st.binary(max_size=300) | st.text('a,b\n"\r\0 1é', max_size=60).map(str.encode),
    st.sampled_from([".csv", ".csv.gz", ".parquet"]),
)
def test_any_bytes_are_rows_bad_rows_or_an_error_of_the_file(tmp_path_factory, content, suffix):
    path = tmp_path_factory.getbasetemp() / f"drawn{suffix}"
    path.write_bytes(b"a,b\n" + content if suffix == ".csv" else content)
    try:
        found = list(chunks(path))
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017 - most bytes are a file of two columns
        return
    assert all(len(chunk.rows) == len(chunk.lines) for chunk in found)
