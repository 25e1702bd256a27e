"""Records an ingest has passed: loaded or committed late, with a moment that lies before the watermark."""

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from refit.errors import ContractError, DataError, OutageError
from refit.loop import asof
from refit.loop.ingest import ingest
from refit.loop.load import load
from tests.unit.usecase.declared import content

DAY = datetime(2003, 12, 31, tzinfo=UTC)
HEADER = "id,changed_at,asked_on,amount,income,region,purpose,sex,lost_on"
A = "A,2003-06-01,2003-01-01,10,$100,north,car,f,"
B = "B,2003-06-02,2003-01-02,20,$100,,home,,"
EARLY = "C,2003-05-01,2003-01-03,30,$100,,home,,"
BAD = "D,2003-05-02,2003-01-03,-1,$100,,home,,"
TABLE = (
    "CREATE SCHEMA source; CREATE TABLE source.loans (id text, changed_at {}, asked_on date, amount float8,"
    " income text, region text, purpose text, sex text, lost_on date)"
)


@pytest.fixture
def put(world, file):
    def loaded(usecase, *rows: str, at: datetime = DAY):
        return load(world, usecase, file("\n".join([HEADER, *rows, ""])), loaded_at=at)

    return loaded


def frame(world, usecase, day: datetime = DAY):
    return asof.read(world, usecase, day).frame.set_index("_key")


def test_an_outcome_filled_in_at_an_unmoved_moment_is_taken_in(world, declare, put):
    usecase = declare()
    assert put(usecase, A, B).behind == 0
    assert ingest(world, usecase, DAY).n_records == 2
    assert put(usecase, A + "2003-04-01", B).behind == 1
    assert ingest(world, usecase, DAY).n_records == 1
    assert frame(world, usecase)["_happened"].to_dict() == {"A": True, "B": False}
    assert ingest(world, usecase, DAY).n_records == 0


def test_an_outcome_taken_back_and_filled_in_again_is_followed_each_time(world, declare, put):
    usecase = declare()
    seen = []
    for row in (A, A + "2003-04-01", A, A + "2003-04-01"):
        put(usecase, row)
        assert ingest(world, usecase, DAY).n_records == 1
        seen.append(bool(frame(world, usecase)["_happened"]["A"]))
    assert seen == [False, True, False, True]
    assert len({batch.sha256 for batch in world.ledger.batches("loans")}) == 4


def test_a_row_added_before_the_watermark_is_taken_in_once_and_the_watermark_stays(world, declare, put):
    usecase = declare()
    put(usecase, A, B)
    reached = ingest(world, usecase, DAY).watermark
    assert put(usecase, A, B, EARLY).behind == 1
    found = ingest(world, usecase, DAY)
    assert (found.n_records, found.watermark) == (1, reached)
    assert ingest(world, usecase, DAY).n_records == 0
    assert sorted(frame(world, usecase).index) == ["A", "B", "C"]


def test_an_ingest_that_goes_back_does_so_once(world, declare, put, monkeypatch):
    usecase = declare()
    put(usecase, A, B)
    ingest(world, usecase, DAY)
    put(usecase, A, B, EARLY)
    ingest(world, usecase, DAY)
    monkeypatch.setattr(world.lake, "read", lambda *_: pytest.fail("went back again"))
    assert ingest(world, usecase, DAY).n_records == 0


def test_a_reject_before_the_watermark_is_counted_once(world, declare, put):
    usecase = declare()
    put(usecase, A, BAD)
    assert ingest(world, usecase, DAY).n_rejected == 1
    put(usecase, A, BAD, EARLY)
    found = ingest(world, usecase, DAY)
    assert (found.n_records, found.n_rejected) == (1, 0)
    put(usecase, A + "2003-04-01", BAD, EARLY)
    assert ingest(world, usecase, DAY).n_rejected == 0
    assert world.ledger.count_rejects("loans") == 1


@pytest.mark.parametrize("where", ["write", "acknowledge", "take up"])
def test_killed_while_it_goes_back_nothing_is_lost_or_doubled(world, declare, put, monkeypatch, where):
    usecase = declare()
    put(usecase, A, B)
    ingest(world, usecase, DAY)
    put(usecase, A + "2003-04-01", B, EARLY)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        place = {"write": (world.lake, "write"), "acknowledge": (type(world.ledger), "acknowledge")}
        patched.setattr(*place.get(where, (type(world.ledger), "record_run")), killed)
        with pytest.raises(KeyboardInterrupt):
            ingest(world, usecase, DAY)
    again = ingest(world, usecase, DAY)
    assert again.n_records == (0 if where == "take up" else 2)
    assert sum(batch.n_records for batch in world.ledger.batches("loans")) == 4
    assert len(world.lake.paths("loans")) == 2


def test_a_load_that_fails_leaves_the_next_ingest_nothing_to_find(world, declare, put, file):
    usecase = declare()
    put(usecase, A, B)
    ingest(world, usecase, DAY)
    with pytest.raises(DataError):
        load(world, usecase, file(f'{HEADER}\n{EARLY}\n"open,'), loaded_at=DAY)
    assert ingest(world, usecase, DAY).n_records == 0


def test_a_record_committed_late_is_found_while_it_may_settle(world, declare, sql):
    usecase = declare({"source.settle_minutes": 60})
    sql(TABLE.format("timestamptz"))
    insert = "INSERT INTO source.loans VALUES (%s, %s, '2003-01-01', 10, '$1', NULL, 'car', 'f', NULL)"
    noon = datetime(2003, 6, 1, 12, tzinfo=UTC)
    sql(insert, "b", noon)
    assert ingest(world, usecase, DAY).n_records == 1
    sql(insert, "a", noon - timedelta(minutes=59))
    sql(insert, "too late", noon - timedelta(minutes=61))
    assert [ingest(world, usecase, DAY).n_records for _ in range(3)] == [1, 0, 0]
    assert sorted(frame(world, usecase).index) == ["a", "b"]
    assert world.ledger.watermark("loans") == (noon, "b")


@pytest.fixture
def write(sql):
    """Make the lender's table, with the day alone of each change, and write rows into it."""
    sql(TABLE.format("date"))

    def written(key: str, day: int, amount: float = 10) -> None:
        values = (key, f"2003-06-{day:02}", amount)
        sql("INSERT INTO source.loans VALUES (%s, %s, '2003-01-01', %s, '$1', NULL, 'car', 'f', NULL)", *values)

    return written


def night(day: int, hour: int = 2) -> datetime:
    return datetime(2003, 6, day, hour, tzinfo=UTC)


def test_what_a_day_brings_after_its_night_comes_in_the_next_one_and_nothing_of_the_day_after_it(world, declare, write):
    """`b` was there at night; `a` sorts before it, and bears the same date."""
    usecase = declare()
    write("b", 10)
    write("early", 11)
    assert ingest(world, usecase, night(10)).n_records == 1
    write("a", 10)
    write("of the day before", 9)
    assert sorted(frame(world, usecase, night(10)).index) == ["b"]
    assert [ingest(world, usecase, night(11)).n_records for _ in range(2)] == [3, 0]
    assert sorted(frame(world, usecase, night(11)).index) == ["a", "b", "early", "of the day before"]
    assert world.ledger.watermark("loans") == (night(11, 0), "early")


def test_a_record_that_changes_twice_on_one_day_is_followed_each_time(world, declare, write, sql):
    usecase = declare()
    write("a", 10, 1)
    seen = []
    for hour, amount in enumerate((1, 2, 1, 2)):
        sql("UPDATE source.loans SET amount = %s", amount)
        assert [ingest(world, usecase, night(10, hour)).n_records for _ in range(2)] == [1, 0]
        seen.append(frame(world, usecase)["amount"]["a"])
    assert seen == [1, 2, 1, 2]


def test_two_rows_of_one_key_and_one_date_come_once_each(world, declare, write):
    usecase = declare()
    write("a", 10, 1)
    write("a", 10, 2)
    assert [ingest(world, usecase, night(10)).n_records for _ in range(3)] == [2, 0, 0]
    write("a", 10, 3)
    assert [ingest(world, usecase, night(11)).n_records for _ in range(3)] == [1, 0, 0]
    assert frame(world, usecase)["amount"].to_dict() == {"a": 3}


@pytest.mark.parametrize("settle", [0, 1], ids=["a date", "a date that settles"])
def test_before_the_first_day_of_the_calendar_nothing_is_looked_for(world, declare, write, sql, settle):
    usecase = declare({"source.settle_minutes": settle})
    write("a", 10)
    sql("UPDATE source.loans SET changed_at = '0001-01-01', asked_on = '0001-01-01'")
    assert [ingest(world, usecase, night(11)).n_records for _ in range(2)] == [1, 0]


def test_a_moment_of_a_date_settles_by_the_whole_day_it_stands_for(world, declare, write):
    """Four days and a half before the watermark is noon: what bears that date may have come after it."""
    usecase = declare({"source.settle_minutes": 60 * 108})
    write("b", 10)
    ingest(world, usecase, night(11))
    write("a", 5)
    assert ingest(world, usecase, night(11)).n_records == 1


@pytest.fixture
def declare_other(world, settings):
    """Write a second use case and read it: one of the same table, if nothing else is said."""

    def written(name: str, changes: dict | None = None):
        (settings.usecases / f"{name}.yaml").write_text(yaml.safe_dump(content({"name": name} | (changes or {}))))
        return world.usecase(name)

    return written


def test_what_is_loaded_late_through_one_use_case_comes_to_each_of_its_table(world, declare, declare_other, put):
    usecases = [declare(), declare_other("other")]
    put(usecases[0], A, B)
    for usecase in usecases:
        assert ingest(world, usecase, DAY).n_records == 2
    assert put(usecases[0], A + "2003-04-01", B, EARLY).behind == 2
    for usecase in usecases:
        assert [ingest(world, usecase, DAY).n_records for _ in range(2)] == [2, 0]
        assert frame(world, usecase)["_happened"].to_dict() == {"A": True, "B": False, "C": False}


def test_what_is_late_is_late_by_each_use_cases_own_watermark(world, declare, declare_other, put):
    ahead, back, new = declare(), declare_other("back"), declare_other("new")
    put(ahead, A, B)
    ingest(world, ahead, DAY)
    ingest(world, back, datetime(2003, 6, 1, tzinfo=UTC))
    between = EARLY.replace("2003-05-01", "2003-06-01 12:00")
    assert put(new, between).behind == 1
    kinds = {one.name: [run.kind for run in world.ledger.runs(one.name)] for one in (ahead, back, new)}
    assert kinds == {"loans": ["load"], "back": [], "new": []}
    assert [ingest(world, one, DAY).n_records for one in (ahead, back, new)] == [1, 2, 3]


def test_a_use_case_that_orders_the_table_by_another_column_is_told_by_that_one(world, declare, declare_other, put):
    usecase, other = declare(), declare_other("other", {"source.arrived_at": "asked_on", "source.key": "id"})
    put(usecase, A, B)
    for one in (usecase, other):
        ingest(world, one, DAY)
    assert put(usecase, "C,2003-07-01,2002-01-01,30,$100,,home,,").behind == 1
    assert [one.kind for one in world.ledger.runs("loans")] == []
    assert [ingest(world, one, DAY).n_records for one in (usecase, other)] == [1, 1]


def test_a_use_case_of_the_table_with_columns_it_lacks_keeps_nobody_from_loading(
    world, declare, declare_other, put, sql
):
    usecase, other = declare(), declare_other("other", {"source.arrived_at": "asked_on"})
    put(usecase, A)
    for one in (usecase, other):
        ingest(world, one, DAY)
    sql("ALTER TABLE source.loans RENAME asked_on TO applied_on")
    moved = declare({"event_time.column": "applied_on"})
    header = HEADER.replace("asked_on", "applied_on")
    path = world.settings.home / "moved.csv"
    path.write_text(f"{header}\n{EARLY}\n")
    assert load(world, moved, path, loaded_at=DAY).behind == 1


def test_while_one_use_case_of_the_table_takes_in_nothing_is_loaded_through_another(world, declare, declare_other, put):
    usecase = declare()
    declare_other("other")
    with world.ledger.ingest_lock("other"), pytest.raises(OutageError, match="another ingest of other is running"):
        put(usecase, A)
    assert put(usecase, A).added == 1


def test_a_wrong_file_beside_it_stops_a_load_only_if_its_use_case_has_taken_records_in(
    world, declare, declare_other, put, settings
):
    usecase, other = declare(), declare_other("other")
    (settings.usecases / "draft.yaml").write_text("title: not done yet")
    put(usecase, A)
    ingest(world, other, DAY)
    (settings.usecases / "other.yaml").write_text("title: broken")
    with pytest.raises(ContractError, match=r"other\.yaml.*missing(.|\n)*other may read source\.loans too"):
        put(usecase, B)


def test_a_correction_that_moves_its_arrival_back_is_seen(world, declare, put):
    usecase = declare()
    put(usecase, A, B)
    ingest(world, usecase, DAY)
    before = frame(world, usecase, datetime(2003, 5, 31, tzinfo=UTC))
    assert before.empty
    put(usecase, A.replace("2003-06-01", "2003-05-01").replace(",10,", ",7,"))
    assert ingest(world, usecase, DAY).n_records == 1
    assert frame(world, usecase)["amount"].to_dict() == {"A": 7, "B": 20}


@pytest.mark.parametrize("settle", [0, 100_000], ids=["left behind", "settling too"])
def test_a_date_moved_to_and_fro_is_followed_each_time(world, declare, put, settle):
    """The same row comes again, known with this very content, and counts again."""
    usecase = declare({"source.settle_minutes": settle})
    early = A.replace("2003-06-01", "2003-05-01").replace(",10,", ",7,")
    seen = []
    for row in (A, early, A, early, A):
        put(usecase, row, B)
        assert ingest(world, usecase, DAY).n_records == (2 if not seen else 1)
        assert ingest(world, usecase, DAY).n_records == 0
        seen.append(frame(world, usecase)["amount"]["A"])
    assert seen == [10, 7, 10, 7, 10]


def test_a_date_moved_before_all_that_is_looked_at_again_is_followed_back(world, declare, put):
    usecase = declare()
    early = A.replace("2003-06-01", "2002-05-01").replace(",10,", ",7,")
    for row in (A, early):
        put(usecase, row, B)
        ingest(world, usecase, DAY)
    put(usecase, A, B)
    assert ingest(world, usecase, DAY).n_records == 1
    assert frame(world, usecase)["amount"].to_dict() == {"A": 10, "B": 20}


def test_where_a_key_stands_several_times_its_newest_version_counts_whenever_an_older_is_committed(world, declare, sql):
    usecase = declare({"source.settle_minutes": 60 * 24 * 30})
    sql(TABLE.format("timestamptz"))
    insert = "INSERT INTO source.loans VALUES ('a', %s, '2003-01-01', %s, '$1', NULL, 'car', 'f', NULL)"
    taken = []
    for day, amount in ((1, 1), (5, 5), (4, 4)):
        sql(insert, f"2003-06-{day:02}", amount)
        taken.append([ingest(world, usecase, DAY).n_records for _ in range(2)])
    assert taken == [[1, 0], [1, 0], [2, 0]]
    assert frame(world, usecase)["amount"].to_dict() == {"a": 5}
    assert frame(world, usecase, datetime(2003, 6, 4, tzinfo=UTC))["amount"].to_dict() == {"a": 4}


DATELESS = {"source.key": None, "source.arrived_at": None, "event_time": None, "split": {"by": "random"},
            "label": {"name": "bad", "column": "lost_on", "bad": ["yes"], "good": ["no"]}}  # fmt: skip
PLAIN = "amount,income,region,purpose,sex,lost_on"
ROW = "10,$100,north,car,f,yes"
NOON = datetime(2004, 1, 1, 12, tzinfo=UTC)


def test_a_file_without_key_and_date_gets_both_and_a_second_load_adds_nothing(world, declare, file, sql):
    usecase = declare(DATELESS)
    path = file(f"{PLAIN}\n{ROW}\n{ROW}\n20,$200,,home,,no\n")
    assert load(world, usecase, path, loaded_at=NOON).added == 3
    before = sql("SELECT * FROM source.loans ORDER BY record_id")
    again = load(world, usecase, path, loaded_at=NOON + timedelta(days=1))
    assert (again.added, again.changed, again.unchanged) == (0, 0, 3)
    assert sql("SELECT * FROM source.loans ORDER BY record_id") == before
    assert ingest(world, usecase, NOON - timedelta(seconds=1)).n_records == 0
    assert ingest(world, usecase, NOON).n_records == 3
    found = asof.read(world, usecase, NOON).frame
    assert found["_event_time"].tolist() == found["_arrived_at"].tolist() == [NOON] * 3
    assert sorted(found["_label"]) == [0, 1, 1]


def test_rows_of_a_second_file_of_the_same_moment_are_not_passed_over(world, declare, file):
    usecase = declare(DATELESS)
    for count in range(1, 6):
        load(world, usecase, file(f"{PLAIN}\n{count},$100,north,car,f,yes\n"), loaded_at=NOON)
        assert ingest(world, usecase, NOON).n_records == 1
    assert sorted(asof.read(world, usecase, NOON).frame["amount"]) == [1, 2, 3, 4, 5]


def test_a_changed_row_of_a_file_without_dates_comes_in_at_its_new_load(world, declare, file):
    usecase = declare({**DATELESS, "source.key": "id"})
    first, second = (f"id,{PLAIN}\nA,{ROW}\nB,{row}\n" for row in (ROW, ROW.replace("yes", "no")))
    load(world, usecase, file(first), loaded_at=NOON)
    ingest(world, usecase, NOON)
    later = NOON + timedelta(days=1)
    changed = load(world, usecase, file(second), loaded_at=later)
    assert (changed.changed, changed.behind) == (1, 0)
    assert ingest(world, usecase, later).n_records == 1
    assert frame(world, usecase, NOON)["_label"].to_dict() == {"A": 1, "B": 1}
    assert frame(world, usecase, later)["_label"].to_dict() == {"A": 1, "B": 0}


def test_a_value_that_postgres_cannot_read_is_the_records_fault_and_is_not_told(world, declare, sql):
    sql("CREATE SCHEMA source; CREATE TABLE source.raw AS SELECT i::text AS id, now() - interval '1 day' AS changed_at,"
        " CASE WHEN i = 69999 THEN 'secret77' ELSE i::text END AS amount FROM generate_series(1, 70000) AS i;"
        " CREATE VIEW source.loans AS SELECT id, changed_at, changed_at AS asked_on, amount::float8 AS amount,"
        " '$1'::text AS income, 'north'::text AS region, 'car'::text AS purpose, 'f'::text AS sex,"
        " NULL::date AS lost_on FROM source.raw")  # fmt: skip
    with pytest.raises(DataError) as error:
        ingest(world, declare(), datetime.now(UTC))
    assert "secret77" not in str(error.value)
    assert world.lake.paths("loans") == []
