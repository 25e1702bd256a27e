"""Files of applicants as spreadsheets write them."""

import csv
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.console.sheet import DELIMITERS, harmless, read
from refit.errors import DataError

INPUTS = ["amount", "owner", "state"]
TABLE = [["amount", "owner", "name"], ["250", "yes", "Ada"], ["900", "no", "Bob"]]


def written(delimiter=",", rows=TABLE, end="\r\n"):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    return text.getvalue()


def scored(sheet, why=lambda _row: ""):
    """Answer as the scorer does: its own columns, then an answer or a reason."""
    header, *rows = csv.reader(io.StringIO(sheet.plain().decode(), newline=""))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, "decision", "refused_because"])
    writer.writerows([*row, "" if why(row) else "approve", why(row)] for row in rows)
    return out.getvalue()


def answered(sheet, **options):
    text = sheet.answered(scored(sheet, **options)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=sheet.delimiter))


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize(
    ("encoding", "chosen"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-8-sig", "cp1252"), ("utf-16", "utf-8"), ("cp1252", "cp1252")],
    ids=["utf-8", "with a byte-order mark", "with a mark that overrules the choice", "utf-16", "windows"],
)
def test_whatever_a_spreadsheet_writes_is_the_same_table(delimiter, encoding, chosen):
    sheet = read(written(delimiter).encode(encoding), INPUTS, chosen)
    assert [list(sheet.header), *map(list, sheet.rows)] == TABLE
    assert sheet.delimiter == delimiter
    assert [row["decision"] for row in answered(sheet)] == ["approve", "approve"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_machine(end):
    sheet = read(written(end=end).encode(), INPUTS)
    assert [list(sheet.header), *map(list, sheet.rows)] == TABLE
    assert sheet.lines == (2, 3)


def test_the_mark_goes_back_where_it_came_from():
    for encoding, has_mark in (("utf-8", False), ("utf-8-sig", True)):
        sheet = read(written().encode(encoding), INPUTS)
        assert sheet.answered(scored(sheet)).startswith(b"\xef\xbb\xbf") is has_mark


def test_letters_of_the_older_encoding_are_read_as_they_were_meant():
    sheet = read("amount,name\n1,Zoë\n".encode("latin-1"), INPUTS, "cp1252")
    assert sheet.rows == (("1", "Zoë"),)


def test_blank_lines_and_empty_cells_at_the_end_are_nobody():
    sheet = read(b"amount,owner\r\n\r\n250,yes,,\r\n,\r\n\r\n", INPUTS)
    assert sheet.rows == (("250", "yes", "", ""),)
    assert sheet.lines == (3,)
    assert sheet.plain() == b"amount,owner\n250,yes\n"


def test_a_line_of_another_width_is_refused_and_not_read_shifted():
    sheet = read(b'amount,owner,name\n250,yes,"A\nda"\n1,250,yes,Bob\n3\n9,no,Eve\n', INPUTS)
    rows = answered(sheet, why=lambda row: "amount: below 10" if row[0] == "9" else "")
    assert [row["refused_because"] for row in rows] == [
        "",
        "line 4, the whole line: 4 cells, where the first line has 3",
        "line 5, the whole line: 1 cells, where the first line has 3",
        "line 6, amount: below 10",
    ]
    assert [row["decision"] for row in rows] == ["approve", "", "", ""]


def test_columns_of_an_earlier_answer_are_kept_and_the_new_ones_told_apart():
    first = read(written().encode(), INPUTS)
    second = read(first.answered(scored(first)), INPUTS)
    (row, _) = answered(second)
    assert (row["decision"], row["refit_decision"], row["refit_refused_because"]) == ("approve", "approve", "")


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1+1", '=HYPERLINK("x")']
)
def test_no_cell_of_the_scored_file_is_a_formula(cell):
    sheet = read(written(rows=[["amount", cell], ["250", cell]]).encode(), INPUTS)
    text = sheet.answered(scored(sheet)).decode()
    header, row = csv.reader(io.StringIO(text, newline=""))
    assert header[1].startswith("'")
    assert row[1] == f"'{cell}".replace("\r", "\n")
    assert list(sheet.rows[0]) == ["250", cell.replace("\r", "\n")]  # the model reads what was written


@pytest.mark.parametrize("cell", ["-5", "+3.2", "-1e-5", "-1,200.50", "-5 %", "", "TX", "a=b", "3-5"])
def test_a_number_and_a_text_stay_what_they_are(cell):
    assert harmless(cell) == cell


@given(st.text(max_size=20))
def test_a_harmless_cell_stays_harmless(cell):
    once = harmless(cell)
    assert harmless(once) == once
    assert once in {cell, f"'{cell}"}


@given(st.binary(max_size=200) | st.text('\r\n\t"=,;amountÿ', max_size=60).map(str.encode))
def test_any_bytes_are_a_table_or_refused_in_words(content):
    with suppress(DataError):
        sheet = read(content, INPUTS)
        assert len(sheet.rows) == len(sheet.lines) > len(sheet.faults)
        assert len(answered(sheet)) == len(sheet.rows)
