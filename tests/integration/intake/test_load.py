import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refit.errors import ContractError, DataError, OutageError, RefitError
from refit.loop import asof
from refit.loop.ingest import ingest
from refit.loop.load import load as load_at
from refit.loop.wiring import World
from refit.store.source import Source

DAY = datetime(2003, 12, 31, tzinfo=UTC)
HEADER = "id,changed_at,asked_on,amount,income,region,purpose,sex,lost_on,note"
ROW = 'A1,2003-06-01,2003-01-01,10,"$1,200.00 ",north,car,f,2003-05-05,as it is '
SOUND = f"{HEADER}\n{ROW}\nB2,2003-06-02,2003-01-02,20,$100,,home,,,\n"


def load(world, usecase, path, **options):
    return load_at(world, usecase, path, **({"loaded_at": DAY} | options))


def loaded(world, usecase, path, **options) -> tuple[int, int, int, int]:
    found = load(world, usecase, path, **options)
    return found.added, found.changed, found.unchanged, found.rejected


def table(sql) -> list[tuple] | None:
    """Return the rows of the lender's table, None where there is none."""
    if sql("SELECT to_regclass('source.loans') IS NULL") == [(True,)]:
        return None
    return sql('SELECT * FROM source.loans ORDER BY id::text COLLATE "C"')


def rejects(world) -> list[tuple[str, list[str], bytes]]:
    found = world.ledger.rejects("loans", 1000, origin="load")[::-1]
    return [
        (row.place, [f"{reason['column']}: {reason['why']}" for reason in row.reasons], row.record) for row in found
    ]


def test_a_file_is_loaded_taken_in_and_seen(world, declare, file, sql):
    usecase = declare()
    assert loaded(world, usecase, file(SOUND)) == (2, 0, 0, 0)
    assert table(sql)[0] == (
        "A1",
        datetime(2003, 6, 1, tzinfo=UTC),
        datetime(2003, 1, 1, tzinfo=UTC),
        10.0,
        1200.0,
        "north",
        "car",
        "f",
        datetime(2003, 5, 5, tzinfo=UTC),
        "as it is ",
    )
    assert ingest(world, usecase, DAY).n_records == 2
    found = asof.read(world, usecase, DAY).frame
    assert found["_key"].tolist() == ["A1", "B2"]
    assert found["_happened"].tolist() == [True, False]
    assert found["region"].isna().tolist() == [False, True]


def test_a_key_that_differs_in_a_blank_alone_replaces_nobody(world, declare, file, sql):
    usecase = declare()
    assert loaded(world, usecase, file(SOUND)) == (2, 0, 0, 0)
    blanks = ROW.replace("A1", " A1") + "\n" + ROW.replace("A1", "\u00a0A1")
    assert loaded(world, usecase, file(f"{HEADER}\n{blanks}\n")) == (2, 0, 0, 0)
    assert [row[0] for row in table(sql)] == [" A1", "A1", "B2", "\u00a0A1"]
    ingest(world, usecase, DAY)
    assert set(asof.read(world, usecase, DAY).frame["_key"]) == {" A1", "A1", "B2", "\u00a0A1"}


def test_loading_twice_changes_nothing(world, declare, file, sql):
    usecase, path = declare(), file(SOUND + "C3,never,2003-01-01,1,1,,,,,\n")
    assert loaded(world, usecase, path) == (2, 0, 0, 1)
    before = table(sql)
    assert loaded(world, usecase, path) == (0, 0, 2, 1)
    assert table(sql) == before
    assert len(rejects(world)) == 1
    assert ingest(world, usecase, DAY).n_records == 2
    assert loaded(world, usecase, path) == (0, 0, 2, 1)
    assert ingest(world, usecase, DAY).n_records == 0


def test_a_changed_row_replaces_the_one_before_and_comes_in_as_a_new_version(world, declare, file):
    usecase = declare()
    load(world, usecase, file(SOUND))
    ingest(world, usecase, DAY)
    changed = file(SOUND.replace("B2,2003-06-02", "B2,2003-06-20").replace("$100,,", "$100,south,"))
    assert loaded(world, usecase, changed) == (0, 1, 1, 0)
    assert ingest(world, usecase, DAY).n_records == 1
    before, after = (
        asof.read(world, usecase, datetime(2003, 6, day, tzinfo=UTC)).frame.set_index("_key")["region"]
        for day in (19, 20)
    )
    assert before.isna().to_dict() == {"A1": False, "B2": True}
    assert after.to_dict() == {"A1": "north", "B2": "south"}


def test_a_row_that_lost_a_value_is_a_change(world, declare, file, sql):
    usecase = declare()
    load(world, usecase, file(SOUND))
    assert loaded(world, usecase, file(SOUND.replace(",as it is ", ","))) == (0, 1, 1, 0)
    assert table(sql)[0][-1] == ""


def test_an_outcome_that_came_or_went_is_a_change(world, declare, file, sql):
    usecase = declare()
    without = SOUND.replace("2003-05-05", "")
    load(world, usecase, file(without))
    assert loaded(world, usecase, file(SOUND)) == (0, 1, 1, 0)
    assert table(sql)[0][8] == datetime(2003, 5, 5, tzinfo=UTC)
    assert loaded(world, usecase, file(without)) == (0, 1, 1, 0)
    assert table(sql)[0][8] is None


BAD_ROWS = {
    "too few cells": ("C3", "1 cells where the header has 10"),
    "too many cells": (ROW.replace("A1", "C3") + ",more", "11 cells where the header has 10"),
    "a bad date": (ROW.replace("A1", "C3").replace("2003-01-01", "2003-02-30"), "asked_on: not an ISO date"),
    "a bad amount": (ROW.replace("A1", "C3").replace('"$1,200.00 "', '"1.200,00"'), "income: not an amount of money"),
    "a key twice": (ROW, "id: the key stands in this file before"),
    "no key": (ROW.replace("A1", "  "), "id: missing"),
    "no arrival": (ROW.replace("A1", "C3").replace("2003-06-01", ""), "changed_at: missing"),
    "a NUL": (ROW.replace("A1", "C\0"), "a NUL character"),
    "a long key": (ROW.replace("A1", "C" * 5000), "id: longer than 2,000 bytes"),
    "a 10 MB cell": (ROW.replace("A1", "C3").replace("as it is", "x" * 10_000_000), "a cell of 10,000,001 characters"),
}


@pytest.mark.parametrize(("record", "why"), BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
def test_a_bad_row_is_a_counted_reject_with_its_line(world, declare, file, sql, record, why, compressed):
    text = f"{SOUND}{record}\nD4,2003-06-04,2003-01-04,40,$1,,home,,,\n".encode()
    path = file(gzip.compress(text, 1), "loans.csv.gz") if compressed else file(text)
    found = load(world, declare(), path)
    assert (found.added, found.rejected) == (3, 1)
    assert [row[0] for row in table(sql)] == ["A1", "B2", "D4"]
    ((place, (reason,), kept),) = rejects(world)
    assert place == "line 4"
    assert why in reason
    assert list(found.reasons.values()) == [1]
    assert why in next(iter(found.reasons))
    assert len(kept) >= len(record.replace('"', "").strip()) - 2


def test_no_reason_holds_a_value_of_the_record(world, declare, file):
    row = "KEY77,DAY77,EVENT77,AMOUNT77,INCOME77,REGION77,PURPOSE77,SEX77,LOST77,NOTE77"
    found = load(world, declare(), file(f"{HEADER}\n{row}\n{row[5:]},X\n"))
    assert found.rejected == 2
    for _, reasons, record in rejects(world):
        assert "77" in record.decode()
        assert "77" not in str(reasons)
    assert "77" not in str(found.reasons)


def test_latin_1_bytes_are_rejects_and_with_the_encoding_named_text(world, declare, file, sql):
    text = SOUND + ROW.replace("A1", "Müller").replace("as it is", "é") + "\n"
    path = file(text.encode("latin-1"))
    assert loaded(world, declare(), path) == (2, 0, 0, 1)
    ((place, (why,), record),) = rejects(world)
    assert (place, why) == ("line 4", ": bytes that are not in the file's encoding; name another with --encoding")
    assert b"M\xfcller" in record
    assert loaded(world, declare(), path, encoding="latin-1") == (1, 0, 2, 0)
    assert [row[0] for row in table(sql)] == ["A1", "B2", "Müller"]


WHOLE = {
    "no column": ("id,changed_at\nA1,2003-06-01\n", "the file lacks asked_on, amount, income"),
    "a wrong delimiter": (SOUND.replace(",", ";"), "--delimiter ';'"),
    "a wrong delimiter, quoted": (SOUND.replace(",", "\t"), "--delimiter"),
    "empty": ("", "the file is empty"),
    "blank": ("\n\n\n", "the file is empty"),
    "a quote left open": (SOUND + '"C3,2003\n' + ROW + "\n", "line 4: .*quote left open"),
    "a column twice": (SOUND.replace(",note", ",id"), "column 'id' stands twice"),
    "a column without a name": (SOUND.replace(",note", ","), "column 10 of the header has no name"),
    "binary": (bytes(range(256)) * 50, "loans.csv"),
    "UTF-16": (SOUND.encode("utf-16"), "encoding"),
}


@pytest.mark.parametrize(("content", "why"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("before", [False, True], ids=["no table", "a table"])
def test_a_file_that_cannot_be_read_leaves_the_table_as_it_was(world, declare, file, sql, content, why, before):
    usecase = declare()
    if before:
        load(world, usecase, file(SOUND))
    stood = table(sql)
    with pytest.raises(DataError, match=why):
        load(world, usecase, file(content, "other.csv") if why != "loans.csv" else file(content))
    assert table(sql) == stood
    assert rejects(world) == []


def test_a_gzip_cut_off_after_many_rows_leaves_no_half_table(world, declare, file, sql):
    rows = "".join(f"K{i},2003-06-01,2003-01-01,10,{i * 7919 % 100_003},north,car,f,,{i}\n" for i in range(120_000))
    whole = gzip.compress(f"{HEADER}\n{rows}".encode(), 1)
    with pytest.raises(DataError, match=r"damaged or cut off after line 1\d\d,?\d\d\d"):
        load(world, declare(), file(whole[: int(len(whole) * 0.95)], "loans.csv.gz"))
    assert table(sql) is None
    assert rejects(world) == []
    assert loaded(world, declare(), file(whole, "loans.csv.gz")) == (120_000, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        (f"{HEADER}\n", 0),
        (HEADER, 0),
        (SOUND.rstrip("\n"), 2),
        ("\ufeff" + SOUND, 2),
        (SOUND.replace("\n", "\r\n"), 2),
        (SOUND.replace("\n", "\n\n\n"), 2),
        (
            f"{HEADER}\n{ROW}\n"
            + ROW.replace("A1", '\u4e2d\u6587 \U0001f600 ä\'""\\ \\.').replace(",as it is", ",\\N")
            + "\n",
            2,
        ),
        (f"{HEADER}\n{ROW}\n" + ROW.replace("A1", "\\.") + "\n", 2),
        (f"{HEADER}\n{ROW}\n" + ROW.replace("as it is ", '"line\nbreak, and ""quote"""') + "\n", 1),
    ],
    ids=[
        "header only",
        "header only, no newline",
        "no newline at the end",
        "byte order mark",
        "CRLF",
        "blank lines",
        "unicode key",
        "a key that ends a COPY",
        "a line break in a cell",
    ],
)
def test_a_file_of_any_habit_is_loaded(world, declare, file, sql, text, n):
    usecase = declare()
    found = load(world, usecase, file(text))
    assert found.added == n
    assert len(table(sql)) == n
    assert ingest(world, usecase, DAY).n_records == n
    assert sorted(row[0] for row in table(sql)) == sorted(asof.read(world, usecase, DAY).frame["_key"])


def test_an_empty_text_and_a_missing_one_stay_apart(world, declare, tmp_path, sql):
    columns = {name: ["x", "y"] for name in HEADER.split(",")} | {
        "id": ["A", "B"],
        "amount": ["1", "2"],
        "income": ["1", "2"],
    }
    columns |= {
        "changed_at": ["2003-06-01"] * 2,
        "asked_on": ["2003-01-01"] * 2,
        "lost_on": [None, ""],
        "note": [None, ""],
    }
    pq.write_table(pa.table(columns), tmp_path / "loans.parquet")
    load(world, declare(), tmp_path / "loans.parquet")
    assert [row[-2:] for row in table(sql)] == [(None, None), (None, "")]


TYPED = pa.table(
    {
        "id": pa.array([1234567890123, 2]),
        "changed_at": pa.array([datetime(2003, 6, 1, 10, tzinfo=UTC)] * 2, pa.timestamp("ns", "Asia/Jakarta")),
        "asked_on": pa.array([date(2003, 1, 1)] * 2),
        "amount": pa.array([Decimal("10.25"), Decimal(-1)], pa.decimal128(9, 2)),
        "income": pa.array([100.0, float("nan")]),
        "region": pa.array(["north", None]).dictionary_encode(),
        "purpose": pa.array(["car", "home"], pa.large_string()),
        "sex": pa.array([True, None]),
        "lost_on": pa.array([datetime(2003, 5, 5), None], pa.timestamp("ms")),  # noqa: DTZ001 - a column without zone
        "note": pa.array([0.1, 2.0]),
    }
)


def test_a_typed_parquet_file_is_loaded_as_it_is(world, declare, tmp_path, sql):
    pq.write_table(TYPED, tmp_path / "loans.parquet")
    usecase = declare()
    assert loaded(world, usecase, tmp_path / "loans.parquet") == (2, 0, 0, 0)
    assert loaded(world, usecase, tmp_path / "loans.parquet") == (0, 0, 2, 0)
    changed, asked = datetime(2003, 6, 1, 10, tzinfo=UTC), datetime(2003, 1, 1, tzinfo=UTC)
    lost = datetime(2003, 5, 5, tzinfo=UTC)
    assert table(sql) == [
        ("1234567890123", changed, asked, 10.25, 100.0, "north", "car", "true", lost, "0.1"),
        ("2", changed, asked, -1.0, None, None, "home", None, None, "2"),
    ]
    assert ingest(world, usecase, DAY).to_json()["rejected"] == 1


def test_a_parquet_file_of_texts_is_parsed_like_a_csv(world, declare, file, tmp_path, sql):
    usecase = declare()
    load(world, usecase, file(SOUND))
    from_csv = table(sql)
    sql("DROP TABLE source.loans")
    cells = [["A1", "2003-06-01", "2003-01-01", "10", "$1,200.00 ", "north", "car", "f", "2003-05-05", "as it is "],
             ["B2", "2003-06-02", "2003-01-02", "20", "$100", "", "home", "", "", ""]]  # fmt: skip
    columns = dict(zip(HEADER.split(","), zip(*cells, strict=True), strict=True))
    pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), tmp_path / "loans.parquet")
    assert loaded(world, usecase, tmp_path / "loans.parquet") == (2, 0, 0, 0)
    assert table(sql) == from_csv


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("amount", pa.array([[1.0], None]), "amount: a list<"),
        ("amount", pa.array([date(2003, 1, 1), None]), "amount: a date32[day] where a number belongs"),
        ("amount", pa.array([float("inf"), 1.0]), "amount: not a finite number"),
        ("asked_on", pa.array([20030101, None]), "asked_on: a int64 where a date belongs"),
        ("asked_on", pa.array([2**62, 0]).cast(pa.timestamp("us")), "asked_on: a date out of range"),
        ("note", pa.array(["a\0b", "c"]), "note: a NUL character"),
        ("id", pa.array(["a\0b", "c"]), "id: a NUL character"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_wrong_value_of_a_parquet_file_is_a_reject_with_its_row(world, declare, tmp_path, name, values, why):
    pq.write_table(TYPED.set_column(TYPED.schema.get_field_index(name), name, values), tmp_path / "loans.parquet")
    found = load(world, declare(), tmp_path / "loans.parquet")
    place, (reason, *_), record = rejects(world)[0]
    assert (found.rejected >= 1, place) == (True, "line 1")
    assert reason.startswith(why)
    assert json.loads(record)["purpose"] == "car"


def test_a_column_of_lists_is_refused_with_its_name(world, declare, tmp_path, sql):
    pq.write_table(TYPED.set_column(9, "note", pa.array([[1], [2]])), tmp_path / "loans.parquet")
    with pytest.raises(DataError, match="column note holds list"):
        load(world, declare(), tmp_path / "loans.parquet")
    assert table(sql) is None


@pytest.mark.parametrize("name", ["loans.parquet", "loans.csv", "loans.csv.gz"])
def test_a_file_that_is_not_there_or_a_folder_is_refused(world, declare, tmp_path, name):
    with pytest.raises(DataError, match="no such file"):
        load(world, declare(), tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(DataError):
        load(world, declare(), tmp_path / name)


def test_text_named_parquet_is_refused(world, declare, file):
    with pytest.raises(DataError, match="not a Parquet file"):
        load(world, declare(), file(SOUND, "loans.parquet"))


def test_columns_of_any_name_are_loaded(world, declare, file, sql):
    names = ['Say "so"', "größe", "SELECT", "a b", "%s", "x'; DROP TABLE source.loans; --"]
    quoted = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    text = f"{HEADER},{quoted}\n{ROW},1,2,3,4,5,6\n"
    assert loaded(world, declare(), file(text)) == (1, 0, 0, 0)
    assert [row[-6:] for row in table(sql)] == [("1", "2", "3", "4", "5", "6")]
    assert loaded(world, declare(), file(text)) == (0, 0, 1, 0)


@pytest.mark.parametrize(
    "extra",
    ["x" * 80, "xmin", "x" * 70 + "," + "x" * 71, ",".join(f"c{i}" for i in range(1700))],
    ids=["a long name", "a name of the system", "two names alike", "too many"],
)
def test_a_column_postgres_cannot_have_is_refused_cleanly(world, declare, file, sql, extra):
    text = f"{HEADER},{extra}\n{ROW}{',1' * (extra.count(',') + 1)}\n"
    with pytest.raises(ContractError) as error:
        load(world, declare(), file(text))
    assert "Traceback" not in str(error.value)
    assert table(sql) is None


def columns_of(types: dict[str, str]) -> str:
    kinds = dict.fromkeys(HEADER.split(","), "text") | {"amount": "float8", "income": "float8"}
    kinds |= dict.fromkeys(["changed_at", "asked_on", "lost_on"], "timestamptz") | types
    return ", ".join(f"{name} {kind}" for name, kind in kinds.items())


@pytest.mark.parametrize(
    ("types", "why"),
    [
        ({}, "no unique or exclusion constraint"),
        ({"id": "bigint PRIMARY KEY"}, r"other types: id \(bigint there, text in the file\)"),
        ({"id": "text PRIMARY KEY", "amount": "numeric"}, r"other types: amount \(numeric there"),
        ({"id": "text PRIMARY KEY", "more": "text NOT NULL"}, "more"),
        ({"id": "text PRIMARY KEY", "note": "text CHECK (note = 'never')"}, "check constraint"),
        ({"id": "text PRIMARY KEY", "note": "text GENERATED ALWAYS AS ('x') STORED"}, "note"),
    ],
    ids=[
        "no key",
        "a key of another type",
        "a number of another type",
        "a column more",
        "a check",
        "a generated column",
    ],
)
def test_a_table_of_the_lenders_that_does_not_fit_is_the_contracts_fault(world, declare, file, sql, types, why):
    sql(f"CREATE SCHEMA source; CREATE TABLE source.loans ({columns_of(types)})")
    with pytest.raises(ContractError, match=why) as error:
        load(world, declare(), file(SOUND))
    assert "1200" not in str(error.value)
    assert table(sql) == []


def test_a_table_of_the_lenders_that_fits_takes_the_file(world, declare, file, sql):
    sql(f"CREATE SCHEMA source; CREATE TABLE source.loans (more int, {columns_of({'id': 'text PRIMARY KEY'})})")
    assert loaded(world, declare(), file(SOUND)) == (2, 0, 0, 0)


def test_a_file_without_a_column_of_the_table_is_refused(world, declare, file):
    load(world, declare(), file(SOUND))
    with pytest.raises(ContractError, match="without the file's column extra"):
        load(world, declare(), file(SOUND.replace(",note", ",extra")))


def test_a_postgres_that_is_away_is_an_outage(world, declare, file):
    away = World(
        world.settings, world.ledger, Source("postgresql://a:hunter2@127.0.0.1:1/b"), world.lake, world.reports
    )
    with pytest.raises(OutageError, match="does not answer") as error:
        load(away, declare(), file(SOUND))
    assert "hunter2" not in str(error.value)
    assert rejects(world) == []


def test_whatever_is_wrong_it_is_never_a_trace(world, declare, file, sql):
    """Cut a sound file at every place, and put a strange byte at every place: a clear error, or counted rows."""
    usecase = declare()
    text = SOUND.encode()
    for place in range(0, len(text), 7):
        for content in (text[:place], text[:place] + b'"' + text[place:], text[:place] + b"\x00" + text[place + 1 :]):
            try:
                found = load(world, usecase, file(content))
            except RefitError:
                continue
            assert found.added + found.changed + found.unchanged + found.rejected <= 3
    assert len(table(sql) or []) <= 8
