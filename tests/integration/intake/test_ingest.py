import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from refit.errors import ContractError, DataError, OutageError
from refit.loop import asof
from refit.loop.ingest import ingest
from refit.loop.wiring import World
from refit.store.source import Filing, Source, Watermark
from tests.integration.conftest import other_database, run

DAY = datetime(2003, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC)
TABLE = (
    "CREATE SCHEMA IF NOT EXISTS source; CREATE TABLE source.loans (id text, changed_at timestamptz, asked_on date,"
    " amount float8, income text, region text, purpose text, sex text, lost_on date)"
)
INSERT = "INSERT INTO source.loans VALUES (%s, %s, %s, %s, '$100', 'north', 'car', 'f', %s)"


def on(day: int) -> datetime:
    return datetime(2003, 6, day, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.fixture
def table(sql):
    """The lender's table, and how to put a loan into it."""
    sql(TABLE)

    def put(
        key: str | None, changed: str | None = "2003-06-01", asked: str = "2003-01-01", amount=10.0, lost=None
    ) -> None:
        sql(INSERT, key, changed, asked, amount, lost)

    return put


def seen(world: World, usecase, as_of: datetime = DAY) -> pd.DataFrame:
    return asof.read(world, usecase, as_of).frame


def keys(world: World, usecase, as_of: datetime = DAY) -> list[str]:
    return sorted(seen(world, usecase, as_of)["_key"])


def reject_reasons(world: World) -> dict[str, list[str]]:
    found = world.ledger.rejects("loans", origin="ingest")
    return {row.place: sorted(f"{reason['column']}: {reason['why']}" for reason in row.reasons) for row in found}


def test_what_is_new_is_taken_in_once(world, declare, table):
    usecase = declare()
    table("a")
    table("b", "2003-06-02")
    first = ingest(world, usecase, DAY)
    assert (first.n_records, first.n_rejected) == (2, 0)
    assert first.watermark == Watermark(datetime(2003, 6, 2, tzinfo=UTC), "b")
    again = ingest(world, usecase, DAY)
    assert (again.n_records, again.batch, again.watermark) == (0, None, first.watermark)
    assert world.lake.paths("loans") == [f"loans/batches/{first.batch}.parquet"]
    assert keys(world, usecase) == ["a", "b"]


def test_an_empty_table_is_nothing_new(world, declare, table):
    usecase = declare()
    assert ingest(world, usecase, DAY).to_json() == {"ingested": 0, "rejected": 0, "batch": None, "watermark": None}
    assert world.lake.paths("loans") == []
    assert len(seen(world, usecase)) == 0
    table("a")
    assert ingest(world, usecase, DAY).n_records == 1


def test_only_what_arrived_by_the_day_is_taken_in(world, declare, table):
    usecase = declare()
    for key, changed in [
        ("a", "2003-06-10"),
        ("b", "2003-06-10 23:59:59.999999"),
        ("c", "2003-06-11"),
        ("d", "2003-06-12"),
    ]:
        table(key, changed)
    assert ingest(world, usecase, on(10)).n_records == 2
    assert ingest(world, usecase, on(11)).n_records == 1
    assert ingest(world, usecase, on(10)).n_records == 0
    assert ingest(world, usecase, on(30)).n_records == 1
    assert [keys(world, usecase, on(day)) for day in (9, 10, 11, 12)] == [
        [],
        ["a", "b"],
        ["a", "b", "c"],
        ["a", "b", "c", "d"],
    ]


def test_a_day_before_what_is_known_still_sees_only_its_past(world, declare, table):
    usecase = declare()
    table("a", "2003-06-01", lost="2003-06-05")
    ingest(world, usecase, DAY)
    assert seen(world, usecase, on(4))["_happened"].tolist() == [False]
    assert seen(world, usecase, on(4))["_label"].isna().tolist() == [True]
    assert seen(world, usecase, on(5))["_label"].tolist() == [1.0]


def test_a_changed_record_comes_in_as_a_new_version(world, declare, table, sql):
    usecase = declare()
    table("a", "2003-06-01", amount=1)
    table("b", "2003-06-01", amount=2)
    assert ingest(world, usecase, on(1)).n_records == 2
    sql("UPDATE source.loans SET amount = 9, lost_on = '2003-06-20', changed_at = '2003-06-20' WHERE id = 'a'")
    assert ingest(world, usecase, on(30)).n_records == 1
    assert seen(world, usecase, on(19)).set_index("_key")["amount"].to_dict() == {"a": 1, "b": 2}
    assert seen(world, usecase, on(20)).set_index("_key")["amount"].to_dict() == {"a": 9, "b": 2}
    assert seen(world, usecase, on(19))["_happened"].tolist() == [False, False]
    assert len(world.ledger.batches("loans")) == 2


def test_records_that_arrived_together_are_told_apart_by_their_key(world, declare, table):
    """The watermark stands in the middle of a moment: what sorts behind it comes later, what is known does not."""
    usecase = declare()
    names = ["B", "Z", "_", "a", "b", "z", "ä", "\u4e2d"]
    for key in names[:4]:
        table(key)
    assert ingest(world, usecase, DAY).watermark.key == "a"
    for key in names[4:]:
        table(key)
    assert ingest(world, usecase, DAY).n_records == 4
    assert ingest(world, usecase, DAY).n_records == 0
    assert keys(world, usecase) == sorted(names)


def test_a_reject_on_the_watermark_is_not_read_again(world, declare, table):
    usecase = declare()
    table("a")
    table("b", "2003-06-02", amount=-1)
    found = ingest(world, usecase, DAY)
    assert (found.n_records, found.n_rejected, found.watermark.key) == (1, 1, "b")
    assert ingest(world, usecase, DAY).n_rejected == 0
    assert reject_reasons(world) == {"b": ["amount: below 0"]}


def test_a_batch_of_rejects_alone_moves_the_watermark_twice(world, declare, table):
    usecase = declare()
    table("a", "2003-06-01", amount=-1)
    assert ingest(world, usecase, DAY).n_rejected == 1
    table("b", "2003-06-02", amount=-1)
    assert ingest(world, usecase, DAY).n_rejected == 1
    assert ingest(world, usecase, DAY).n_rejected == 0
    assert keys(world, usecase) == []


def test_a_record_without_a_key_does_not_hide_those_of_its_moment(world, declare, table):
    usecase = declare()
    table("K")
    table(None)
    table(None, "2003-06-02")
    assert (found := ingest(world, usecase, DAY)).n_rejected == 2
    assert found.watermark == Watermark(datetime(2003, 6, 2, tzinfo=UTC), "")
    table("A", "2003-06-02")
    table("zz", "2003-06-02")
    assert ingest(world, usecase, DAY).n_records == 2
    assert ingest(world, usecase, DAY).n_records == 0
    assert reject_reasons(world) == {"": ["id: missing"]}
    assert keys(world, usecase) == ["A", "K", "zz"]


def test_records_without_an_arrival_are_counted_and_nothing_is_taken_in_before_they_have_one(
    world, declare, table, sql
):
    usecase = declare()
    table("a", "2003-06-01")
    table("b", None)
    table("c", None)
    with pytest.raises(DataError, match=r"source\.loans\.changed_at is empty in 2 of its rows.*COALESCE\(changed_at"):
        ingest(world, usecase, DAY)
    assert world.ledger.batches("loans") == []
    sql("CREATE VIEW source.dated AS SELECT id, COALESCE(changed_at, asked_on) AS changed_at, asked_on, amount,"
        " income, region, purpose, sex, lost_on FROM source.loans")  # fmt: skip
    assert ingest(world, declare({"source.table": "source.dated"}), DAY).n_records == 3


def test_a_record_that_loses_its_arrival_later_stops_the_ingest_with_no_value_told(world, declare, table):
    usecase = declare()
    table("a")
    ingest(world, usecase, DAY)
    table("secret77", None)
    with pytest.raises(DataError, match="is empty in 1 of its rows") as error:
        ingest(world, usecase, DAY)
    assert "secret77" not in str(error.value)


def test_keys_that_differ_in_a_blank_are_two_records_as_they_are_in_the_source(world, declare, table):
    """Cut off, the blank would make one a version of the other, in one batch or in two, and a loan would be gone."""
    usecase = declare()
    table("x", amount=1)
    table(" x", amount=2)
    assert ingest(world, usecase, DAY).n_records == 2
    table("x ", "2003-06-02", amount=3)
    assert ingest(world, usecase, DAY).n_records == 1
    assert seen(world, usecase).set_index("_key")["amount"].to_dict() == {"x": 1, " x": 2, "x ": 3}


def test_a_key_that_stands_twice_in_the_table_is_two_versions(world, declare, table):
    usecase = declare()
    table("a", "2003-06-01", amount=1)
    table("a", "2003-06-02", amount=2)
    assert ingest(world, usecase, DAY).n_records == 2
    assert seen(world, usecase)["amount"].tolist() == [2]
    assert seen(world, usecase, on(1))["amount"].tolist() == [1]


def test_a_reject_holds_its_record_and_no_reason_its_value(world, declare, table):
    usecase = declare()
    table("a", amount=-77.25, lost="1903-12-24")
    ingest(world, usecase, DAY)
    (row,) = world.ledger.rejects("loans")
    assert json.loads(row.record)["amount"] == -77.25
    assert (row.place, row.as_of) == ("a", DAY)
    assert sorted(reason["why"] for reason in row.reasons) == ["before asked_on", "below 0"]
    assert "77.25" not in str(row.reasons)
    assert "1903" not in str(row.reasons)


TYPED = {
    "numeric key": ("id numeric(20,0)", "12345678901234567890", "_key", "12345678901234567890"),
    "bigint key": ("id bigint", 2**53 + 1, "_key", "9007199254740993"),
    "uuid key": ("id uuid", "12345678-1234-1234-1234-123456789012", "_key", "12345678-1234-1234-1234-123456789012"),
    "numeric": ("amount numeric(30,10)", "10.25", "amount", 10.25),
    "numeric of as many digits as a float never holds": ("amount numeric(400,2)", "1e-2", "amount", 0.01),
    "integer": ("amount integer", 7, "amount", 7.0),
    "smallint": ("amount smallint", 7, "amount", 7.0),
    "real": ("amount real", 0.5, "amount", 0.5),
    "boolean number": ("amount boolean", True, "amount", 1.0),
    "numeric without bounds": ("income numeric", "-10.25", "income", -10.25),
    "a numeric too small for a float": ("amount numeric", "1e-400", "amount", 0.0),
    "numeric zero": ("amount numeric", "0", "amount", 0.0),
    "NULL numeric": ("income numeric", None, "income", None),
    "text number": ("amount text", " 1e3 ", "amount", 1000.0),
    "money": ("income money", "$1,200.50", "income", 1200.5),
    "varchar": ("region varchar(9)", "north", "region", "north"),
    "char": ("region char(9)", "north", "region", "north"),
    "integer category": ("region integer", 722110, "region", "722110"),
    "float category": ("region float8", 722110.0, "region", "722110"),
    "numeric category": ("region numeric", "722110", "region", "722110"),
    "boolean category": ("region boolean", True, "region", "true"),
    "json category": ("region jsonb", '{"a": 1}', "region", '{"a": 1}'),
    "date event": ("asked_on date", "2003-01-02", "_event_time", pd.Timestamp("2003-01-02", tz="UTC")),
    "timestamp event": (
        "asked_on timestamp",
        "2003-01-02 03:04",
        "_event_time",
        pd.Timestamp("2003-01-02 03:04", tz="UTC"),
    ),
    "zoned event": (
        "asked_on timestamptz",
        "2003-01-02 03:04+02",
        "_event_time",
        pd.Timestamp("2003-01-02 01:04", tz="UTC"),
    ),
    "text event": ("asked_on text", "2003-01-02", "_event_time", pd.Timestamp("2003-01-02", tz="UTC")),
    "date arrival": ("changed_at date", "2003-06-30", "_arrived_at", pd.Timestamp("2003-06-30", tz="UTC")),
    "timestamp arrival": (
        "changed_at timestamp",
        "2003-06-30 05:06",
        "_arrived_at",
        pd.Timestamp("2003-06-30 05:06", tz="UTC"),
    ),
    "zoned arrival": (
        "changed_at timestamptz",
        "2003-06-30 05:06+02",
        "_arrived_at",
        pd.Timestamp("2003-06-30 03:06", tz="UTC"),
    ),
    "timestamp outcome": ("lost_on timestamp", "2003-01-02 05:06", "_happened", True),
    "text outcome": ("lost_on text", "2003-01-02", "_happened", True),
    "NULL": ("income text", None, "income", None),
    "NaN": ("income float8", "NaN", "income", None),
    "NaN numeric": ("income numeric", "NaN", "income", None),
    "NULL outcome": ("lost_on date", None, "_happened", False),
}


def lenders_table(sql, column: str, value) -> None:
    name, kind = column.split(maxsplit=1)
    kinds = dict(part.strip().split(" ", 1) for part in TABLE[TABLE.rindex("loans (") + 7 : -1].split(","))
    columns = ", ".join(f"{one} {of}" for one, of in (kinds | {name: kind}).items())
    sql(f"CREATE SCHEMA source; CREATE TABLE source.loans ({columns})")
    values = {"id": "7", "changed_at": "2003-06-01", "asked_on": "2003-01-01", "amount": 10, "income": "$100"}
    values |= {"region": "north", "purpose": "car", "sex": "f", "lost_on": None, name: value}
    sql("INSERT INTO source.loans VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", *values.values())


@pytest.mark.parametrize(("column", "value", "field", "expected"), TYPED.values(), ids=TYPED)
def test_a_table_of_the_lenders_types_is_taken_as_it_is(world, declare, sql, column, value, field, expected):
    lenders_table(sql, column, value)
    usecase = declare()
    assert ingest(world, usecase, DAY).to_json()["ingested"] == 1, reject_reasons(world)
    found = seen(world, usecase)[field][0]
    assert pd.isna(found) if expected is None else found == expected
    assert ingest(world, usecase, DAY).n_records == 0


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("amount float8", "Infinity", "amount: not a finite number"),
        ("amount numeric", "-Infinity", "amount: not a finite number"),
        ("amount real", "NaN", "amount: missing"),
        ("amount numeric", "1e400", "amount: not a finite number"),
        ("amount numeric", "-1e400", "amount: not a finite number"),
        ("amount numeric", "Infinity", "amount: not a finite number"),
        ("asked_on timestamptz", "infinity", "asked_on: a date out of range"),
        ("asked_on date", "-infinity", "asked_on: a date out of range"),
        ("asked_on date", "20030-01-01", "asked_on: a date out of range"),
        ("asked_on date", "0044-03-15 BC", "asked_on: a date out of range"),
        ("asked_on timestamp", "294276-12-31", "asked_on: a date out of range"),
        ("lost_on timestamptz", "infinity", "lost_on: a date out of range"),
        ("lost_on timestamp", "-infinity", "lost_on: a date out of range"),
        ("lost_on date", "infinity", "lost_on: a date out of range"),
        ("changed_at timestamptz", "-infinity", "changed_at: a date out of range"),
        ("changed_at timestamp", "-infinity", "changed_at: a date out of range"),
        ("changed_at date", "0044-03-15 BC", "changed_at: a date out of range"),
        ("amount date", "2003-01-01", "amount: a date32[day] where a number belongs"),
        ("amount bytea", b"\xff\x00", "amount: not a number"),
        ("lost_on integer", 20030101, "lost_on: a int32 where a date belongs"),
        ("lost_on time", "10:00", "lost_on: not an ISO date"),
        ("purpose text[]", ["car"], "purpose: not one of car, home"),
    ],
    ids=str,
)
def test_a_value_that_is_no_number_or_date_is_a_reject(world, declare, sql, column, value, why):
    lenders_table(sql, column, value)
    usecase = declare()
    assert ingest(world, usecase, DAY).to_json() | {"batch": "", "watermark": ""} == {
        "ingested": 0,
        "rejected": 1,
        "batch": "",
        "watermark": "",
    }
    assert reject_reasons(world) == {"7": [why]}
    assert ingest(world, usecase, DAY).n_rejected == 0


def test_a_record_that_arrives_at_infinity_is_never_new(world, declare, table):
    table("a", "infinity")
    assert ingest(world, declare(), DAY).n_records == 0


@pytest.mark.parametrize("kind", ["text", "integer", "time", "float8", "interval", "timetz"])
def test_an_arrival_that_is_no_date_is_the_contracts_fault(world, declare, sql, kind):
    sql(f"CREATE SCHEMA source; CREATE TABLE source.loans (id text, changed_at {kind})")
    for name in (
        "asked_on date",
        "amount float8",
        "income text",
        "region text",
        "purpose text",
        "sex text",
        "lost_on date",
    ):
        sql(f"ALTER TABLE source.loans ADD {name}")
    with pytest.raises(ContractError, match=r"source\.loans\.changed_at is .*must be a date or a timestamp"):
        ingest(world, declare(), DAY)


def test_a_table_that_is_not_there_is_the_contracts_fault(world, declare):
    with pytest.raises(ContractError, match=r"the source has no table source\.loans; load it"):
        ingest(world, declare(), DAY)


def test_a_column_that_is_not_there_is_the_contracts_fault(world, declare, table, sql):  # noqa: ARG001 - the table is there
    sql("ALTER TABLE source.loans DROP COLUMN income, DROP COLUMN lost_on")
    with pytest.raises(ContractError, match=r"source\.loans has no column income, lost_on; it has id, changed_at"):
        ingest(world, declare(), DAY)
    assert world.ledger.batches("loans") == []


ODD = [
    *(
        'Mixed Case "quoted"',
        "größe",
        "\u4e2d\u6587",
        "select",
        "%s %(a)s",
        "a\\b",
        "new\nline",
        " padded ",
        "{}",
        "$1",
    ),
    *("x'; DROP TABLE source.loans; --", 'x"; DROP TABLE source.loans; --'),
]


@pytest.mark.parametrize("name", ODD, ids=repr)
def test_a_column_of_any_name_is_read(world, declare, table, sql, name):
    quoted = '"' + name.replace('"', '""') + '"'
    for column in ("id", "changed_at", "asked_on", "region", "sex", "lost_on"):
        usecase = declare(
            {
                "id": {"source.key": name},
                "changed_at": {"source.arrived_at": name},
                "asked_on": {"event_time.column": name},
                "region": {"features": {"amount": {"type": "number"}, name: {"type": "category"}}},
                "sex": {"protected": [name]},
                "lost_on": {"label.happened_on.column": name},
            }[column]
        )
        sql("DROP TABLE source.loans")
        sql(TABLE)
        table(column)
        sql(f"ALTER TABLE source.loans RENAME COLUMN {column} TO {quoted}")
        with world.source.arrived(
            "source.loans", [name], (usecase.source.arrived_at, usecase.source.key), None, DAY
        ) as rows:
            assert sum(map(len, rows)) == 1
    assert sql("SELECT count(*) FROM source.loans") == [(1,)]


EVIL = [
    *("'; DROP TABLE source.loans; --", "\\'; DROP TABLE source.loans; --", "a''b", "a\\", "\\", "'", '"', "%s", "$$"),
    *("é'", " ", "x" * 2000),
]


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_no_key_is_ever_a_statement(world, declare, table, sql, database_url, conforming):
    """Each key becomes the watermark once, and stands in the next run's query."""
    sql(f"ALTER DATABASE {database_url.rpartition('/')[2]} SET standard_conforming_strings = {conforming}")
    usecase = declare()
    for number, key in enumerate(EVIL):
        table(key, f"2003-06-01 00:00:{number:02}")
        found = ingest(world, usecase, DAY)
        assert (found.n_records, found.watermark.key) == ((1, key) if key.strip() else (0, key))
        assert ingest(world, usecase, DAY).n_records == 0
    assert sql("SELECT count(*) FROM source.loans") == [(len(EVIL),)]
    assert keys(world, usecase) == sorted(key for key in EVIL if key.strip())


def test_a_table_named_by_a_word_of_sql_is_read(world, declare, sql, table):  # noqa: ARG001 - the table is there
    sql('ALTER TABLE source.loans RENAME TO "order"; ALTER SCHEMA source RENAME TO "user"')
    assert ingest(world, declare({"source.table": "user.order"}), DAY).n_records == 0


@pytest.fixture
def reader(sql, database_url):
    """The address of a role that may do nothing but read one table."""
    sql("CREATE ROLE reader LOGIN PASSWORD 'only-reads'")
    sql("GRANT USAGE ON SCHEMA source TO reader; GRANT SELECT ON source.loans TO reader")
    yield database_url.replace(database_url.partition("://")[2].partition("@")[0], "reader:only-reads")
    sql("DROP OWNED BY reader; DROP ROLE reader")


def test_the_right_to_select_is_enough(world, declare, table, reader):
    table("a")
    limited = World(world.settings, world.ledger, Source(reader), world.lake, world.reports)
    assert ingest(limited, declare(), DAY).n_records == 1
    with pytest.raises(ContractError, match="lacks a right"):
        limited.source.put("source.cards", [("id", "text")], Filing("id", "id"), iter([]))


RIGHTS = {
    "none": (
        "REVOKE SELECT ON source.loans FROM reader",
        r"may not read source\.loans: .*GRANT SELECT ON source\.loans",
    ),
    "none on the schema": ("REVOKE USAGE ON SCHEMA source FROM reader", r"GRANT USAGE ON SCHEMA source"),
    "to write alone": (
        "REVOKE SELECT ON source.loans FROM reader; GRANT INSERT ON source.loans TO reader",
        r"GRANT SELECT ON source\.loans",
    ),
    "on some columns": (
        "REVOKE SELECT ON source.loans FROM reader; GRANT SELECT (id, changed_at) ON source.loans TO reader",
        r"may not read asked_on, amount, .*, lost_on of source\.loans: GRANT SELECT",
    ),
}


@pytest.mark.parametrize(("rights", "why"), RIGHTS.values(), ids=RIGHTS)
def test_without_the_right_to_select_the_contract_says_so(world, declare, table, reader, sql, rights, why):
    table("a")
    sql(rights)
    limited = World(world.settings, world.ledger, Source(reader), world.lake, world.reports)
    with pytest.raises(ContractError, match=why):
        ingest(limited, declare(), DAY)


def test_the_right_to_select_the_columns_of_the_contract_is_enough(world, declare, table, reader, sql):
    table("a")
    sql("ALTER TABLE source.loans ADD secret text; REVOKE SELECT ON source.loans FROM reader")
    sql(
        "GRANT SELECT (id, changed_at, asked_on, amount, income, region, purpose, sex, lost_on)"
        " ON source.loans TO reader"
    )
    limited = World(world.settings, world.ledger, Source(reader), world.lake, world.reports)
    assert ingest(limited, declare(), DAY).n_records == 1


def test_a_materialized_view_is_read_as_a_table_is(world, declare, table, sql):  # noqa: ARG001 - the table is there
    sql("ALTER TABLE source.loans RENAME TO kept; ALTER TABLE source.kept ALTER amount TYPE numeric(12, 2)")
    sql("CREATE MATERIALIZED VIEW source.loans AS SELECT * FROM source.kept")
    usecase = declare()
    taken = []
    for key in ("a", "b"):
        sql(INSERT.replace("loans", "kept"), key, "2003-06-01", "2003-01-01", 10.25, None)
        sql("REFRESH MATERIALIZED VIEW source.loans")
        taken.append(ingest(world, usecase, DAY).n_records)
    assert taken == [1, 1]
    assert seen(world, usecase)["amount"].tolist() == [10.25, 10.25]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_an_address_may_be_written_as_the_ledgers_may(world, declare, table, database_url, scheme):
    table("a")
    url = f"{scheme}://{database_url.partition('://')[2]}"
    other = World(world.settings, world.ledger, Source(url), world.lake, world.reports)
    assert ingest(other, declare(), DAY).n_records == 1


@pytest.mark.parametrize("url", ["nonsense", "", "mysql://a:hunter2@b/c", "postgresql://a:hunter2@[/c"], ids=repr)
def test_what_is_no_address_is_the_contracts_fault(url):
    with pytest.raises(ContractError, match="REFIT_SOURCE_URL") as error:
        Source(url).column_types("source.loans")
    assert "hunter2" not in str(error.value)


def test_a_source_that_is_away_is_an_outage(world, declare):
    away = Source("postgresql://refit:hunter2@127.0.0.1:1/refit")
    with pytest.raises(OutageError, match=r"127\.0\.0\.1:1 does not answer") as error:
        ingest(World(world.settings, world.ledger, away, world.lake, world.reports), declare(), DAY)
    assert "hunter2" not in str(error.value)
    assert world.ledger.batches("loans") == []


def test_a_database_that_is_not_there_is_an_outage_without_the_password(database_url, world, declare):
    away = Source(other_database(database_url, "none"))
    with pytest.raises(OutageError, match="none") as error:
        ingest(World(world.settings, world.ledger, away, world.lake, world.reports), declare(), DAY)
    assert database_url.partition("refit:")[2].partition("@")[0] not in str(error.value)


BIG = (
    "INSERT INTO source.loans SELECT i::text, '2003-01-01'::timestamptz + i * interval '1 second', '2003-01-01', 10,"
    " '$100', repeat(md5(i::text), 50), 'car', 'f', NULL FROM generate_series(1, %s) AS i"
)

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT%'"


def test_a_source_that_breaks_off_is_an_outage_and_leaves_nothing(world, declare, table, sql, database_url):  # noqa: ARG001 - the table is there
    usecase = declare()
    sql(BIG, 70_000)
    killed = []

    def cut_off(_: int) -> None:
        if not killed:
            killed.extend(run(other_database(database_url, "postgres"), CUT))

    with pytest.raises(OutageError, match="broke off"):
        ingest(world, usecase, DAY, progress=cut_off)
    assert killed == [(True,)]
    assert world.lake.paths("loans") == []
    assert world.ledger.batches("loans") == []
    assert ingest(world, usecase, DAY).n_records == 70_000
    assert len(world.lake.paths("loans")) == 1


def test_two_ingests_at_once_are_one(world, declare, table):
    usecase = declare()
    table("a")
    with world.ledger.ingest_lock("loans"), pytest.raises(OutageError, match="another ingest of loans is running"):
        ingest(world, usecase, DAY)
    assert ingest(world, usecase, DAY).n_records == 1


def test_a_batch_nobody_acknowledged_is_swept_by_the_next_run(world, declare, table, monkeypatch):
    usecase = declare()
    table("a")
    first = ingest(world, usecase, DAY)
    table("b", "2003-06-02")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(world.ledger), "acknowledge", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest(world, usecase, DAY)
    assert len(world.lake.paths("loans")) == 2
    table("c", "2003-06-03")
    second = ingest(world, usecase, DAY)
    assert second.n_records == 2
    assert world.lake.paths("loans") == sorted(f"loans/batches/{found.batch}.parquet" for found in (first, second))
    assert keys(world, usecase) == ["a", "b", "c"]


def test_a_ledger_with_no_batch_takes_nothing_away_from_a_lake_that_has_one(world, declare, table):
    """Somebody named another database by mistake: the lake is that of the first."""
    usecase = declare()
    table("a")
    batch = ingest(world, usecase, DAY).batch
    with world.ledger._transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE refit.batch DISABLE TRIGGER USER; DELETE FROM refit.batch")
    table("b")
    ingest(world, usecase, DAY)
    assert f"loans/batches/{batch}.parquet" in world.lake.paths("loans")


def test_the_same_rows_are_the_same_batch_whatever_the_sessions_zone(world, declare, table, sql, database_url):
    usecase = declare()
    table("a", "2003-06-01 10:00+00")
    with world.source.arrived("source.loans", ["changed_at"], ("changed_at", "id"), None, DAY) as rows:
        before = next(rows).to_pylist()
    sql(f"ALTER DATABASE {database_url.rpartition('/')[2]} SET TimeZone = 'Asia/Jakarta'")
    with world.source.arrived("source.loans", ["changed_at"], ("changed_at", "id"), None, DAY) as rows:
        assert next(rows).to_pylist() == before
    assert ingest(world, usecase, datetime(2003, 6, 1, 10, tzinfo=UTC) - timedelta(microseconds=1)).n_records == 0
    assert ingest(world, usecase, datetime(2003, 6, 1, 10, tzinfo=UTC)).n_records == 1
