import errno
import hashlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import ContractError, DataError, OutageError
from refit.store import lake as lake_module
from refit.store.lake import ROW_GROUP, UNFINISHED, Lake

SCHEMA = pa.schema({"_key": pa.string(), "_event_time": pa.timestamp("us", "UTC"), "amount": pa.float64()})
DAY = datetime(2003, 6, 30, tzinfo=UTC)


def batch(*amounts: float | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [{"_key": f"k{i}", "_event_time": DAY, "amount": amount} for i, amount in enumerate(amounts)], SCHEMA
    )


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def files(tmp_path) -> list[str]:
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


def test_what_is_written_is_read(lake):
    written = lake.write("loans", SCHEMA, [batch(1, None), batch(3)])
    assert written.n_records == 3
    assert lake.read([written.path], SCHEMA.names, SCHEMA).column("amount").to_pylist() == [1, None, 3]


def test_a_batch_is_named_by_the_hash_of_its_content(lake, tmp_path):
    written = lake.write("loans", SCHEMA, [batch(1)])
    content = (tmp_path / "lake" / written.path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == written.sha256
    assert written.path == f"loans/batches/{written.sha256}.parquet"


def test_writing_twice_is_writing_once(lake, tmp_path):
    assert lake.write("loans", SCHEMA, [batch(1, 2)]) == lake.write("loans", SCHEMA, [batch(1, 2)])
    assert len(files(tmp_path)) == 1


@given(amounts=st.lists(st.floats(allow_nan=False), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=4))
def test_the_same_rows_are_the_same_file_however_they_came(tmp_path_factory, amounts, cuts):
    lake = Lake(str(tmp_path_factory.getbasetemp() / "cut"))
    places = [0, *sorted(cuts), len(amounts)]
    parts = [batch(*amounts).slice(a, max(0, b - a)) for a, b in pairwise(places)]
    assert lake.write("loans", SCHEMA, parts).sha256 == lake.write("loans", SCHEMA, [batch(*amounts)]).sha256


def test_a_long_batch_is_the_same_file_however_it_came(lake):
    n = ROW_GROUP + 7
    whole = pa.RecordBatch.from_pydict(
        {
            "_key": [f"{i:030}" for i in range(n)],
            "bank": [f"one of many banks, {i * 7919 % n}" for i in range(n)],
            "amount": [None if i % 7 == 0 else i * 0.1 for i in range(n)],
        }
    )
    written = lake.write("loans", whole.schema, [whole])
    assert written.n_records == n
    for width in (ROW_GROUP - 1, 9_973, 1_001):
        parts = [whole.slice(at, width) for at in range(0, n, width)]
        assert lake.write("loans", whole.schema, parts) == written


def test_batches_are_read_in_the_order_they_are_named(lake):
    paths = [lake.write("loans", SCHEMA, [batch(amount)]).path for amount in (3, 1, 2)]
    assert lake.read(paths, ["amount"], SCHEMA).column("amount").to_pylist() == [3, 1, 2]
    assert lake.read(paths[::-1], ["amount"], SCHEMA).column("amount").to_pylist() == [2, 1, 3]


def test_no_batch_is_no_record_of_the_right_columns(lake):
    assert lake.read([], SCHEMA.names, SCHEMA).schema == SCHEMA
    written = lake.write("loans", SCHEMA, [])
    assert written.n_records == 0
    assert lake.read([written.path], SCHEMA.names, SCHEMA).num_rows == 0


def test_a_missing_batch_says_so(lake):
    with pytest.raises(DataError, match="is missing; restore it"):
        lake.read(["loans/batches/none.parquet"], SCHEMA.names, SCHEMA)


@pytest.mark.parametrize("how", ["cut off", "one bit", "another sound file", "empty"])
def test_an_altered_batch_says_so(lake, tmp_path, how):
    written = lake.write("loans", SCHEMA, [batch(*range(1000))])
    path = tmp_path / "lake" / written.path
    content = path.read_bytes()
    if how == "another sound file":
        pq.write_table(pa.Table.from_batches([batch(7)]), path)
    else:
        half = len(content) // 2
        path.write_bytes(
            {"cut off": content[:-9], "empty": b""}.get(
                how, content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
            )
        )
    with pytest.raises(DataError, match="is altered"):
        lake.read([written.path], SCHEMA.names, SCHEMA)


def test_a_batch_of_another_contract_says_what_to_do(lake):
    path = lake.write("loans", SCHEMA, [batch(1)]).path
    other = pa.schema([("_key", pa.string()), ("amount", pa.string()), ("income", pa.float64())])
    with pytest.raises(DataError, match=r"contract's columns: amount, income is missing or of .* needs a new name"):
        lake.read([path], other.names, other)


def meant(**told: str) -> pa.Schema:
    return SCHEMA.set(2, pa.field("amount", pa.float64(), metadata=told))


READ = {"column": "amt", "rule": "money", "unknown": ""}


def cast(schema: pa.Schema, *amounts: float) -> list[pa.RecordBatch]:
    return [batch(*amounts).replace_schema_metadata(None).cast(schema)]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ({"rule": "number"}, "amount: rule was money, is number"),
        ({"unknown": "'n/a'"}, "amount: unknown was none, is 'n/a'"),
        ({"column": "due", "rule": "number"}, "amount: column was amt, is due; amount: rule was money, is number"),
    ],
    ids=["rule", "unknown words", "column and rule"],
)
def test_a_batch_that_was_read_in_another_way_says_what_changed(lake, now, why):
    path = lake.write("loans", meant(**READ), cast(meant(**READ), 1)).path
    changed = meant(**READ | now)
    for look in (lambda: lake.read([path], SCHEMA.names, changed), lambda: lake.check(path, changed)):
        with pytest.raises(DataError, match=rf"read in another way: {re.escape(why)}\. .* needs a new name"):
            look()
    assert lake.read([path], ["_key"], changed).num_rows == 1


def test_a_batch_that_was_read_in_the_same_way_is_read(lake):
    path = lake.write("loans", meant(**READ), cast(meant(**READ), 1)).path
    lake.check(path, meant(**READ))
    assert lake.read([path], SCHEMA.names, meant(**READ)).column("amount").to_pylist() == [1]


def test_a_batch_that_does_not_tell_how_it_was_read_stays_valid(lake):
    paths = [lake.write("loans", schema, cast(schema, 1)).path for schema in (SCHEMA, meant(**READ))]
    lake.check(paths[0], meant(**READ))
    assert lake.read(paths, ["amount"], meant(**READ)).column("amount").to_pylist() == [1, 1]


def test_the_same_rows_read_in_the_same_way_are_the_same_file(lake):
    first, again = (lake.write("loans", meant(**READ), parts) for parts in (cast(meant(**READ), 1), cast(SCHEMA, 1)))
    assert first == again


@pytest.mark.parametrize("how", ["missing", "cut off"])
def test_a_batch_that_is_gone_or_torn_cannot_be_checked(lake, tmp_path, how):
    path = tmp_path / "lake" / lake.write("loans", SCHEMA, [batch(1)]).path
    content = path.read_bytes()
    path.unlink()
    if how == "cut off":
        path.write_bytes(content[:-9])
    with pytest.raises(DataError, match="restore it from a backup"):
        lake.check(f"loans/batches/{path.name}", SCHEMA)


def broken(error: BaseException) -> Iterator[pa.RecordBatch]:
    yield batch(1)
    raise error


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), OutageError("gone")], ids=repr)
def test_a_stream_that_breaks_leaves_no_file(lake, tmp_path, error):
    with pytest.raises(type(error)):
        lake.write("loans", SCHEMA, broken(error))
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "why"), [(errno.ENOSPC, "no space left on the disk"), (errno.EACCES, "cannot be written")]
)
@pytest.mark.parametrize("where", ["write", "fsync"])
def test_a_disk_that_refuses_is_an_outage_and_leaves_no_file(lake, tmp_path, monkeypatch, number, why, where):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*((lake_module.os, "fsync") if where == "fsync" else (lake_module._Hashed, "write")), refuse)
    with pytest.raises(OutageError, match=why):
        lake.write("loans", SCHEMA, [batch(1)])
    assert files(tmp_path) == []


def test_a_lake_in_the_place_of_a_file_is_an_outage(tmp_path):
    (tmp_path / "lake").write_text("")
    with pytest.raises(OutageError, match="cannot be written"):
        Lake(str(tmp_path / "lake")).write("loans", SCHEMA, [batch(1)])


def test_sweeping_takes_what_nobody_acknowledged_and_nothing_else(lake, tmp_path):
    kept, left = (lake.write("loans", SCHEMA, [batch(amount)]).path for amount in (1, 2))
    other = lake.write("cards", SCHEMA, [batch(2)]).path
    unfinished = tmp_path / "lake" / "loans" / "batches" / f"{UNFINISHED}1"
    unfinished.write_bytes(b"half")
    assert sorted(lake.sweep("loans", [kept])) == sorted([unfinished.name, left.rpartition("/")[2]])
    assert lake.paths("loans") == [kept]
    assert lake.paths("cards") == [other]
    assert lake.sweep("loans", [kept]) == []


def test_batches_of_another_ledger_are_never_swept(lake):
    """A run that is killed leaves one batch at most: several nobody knows of are somebody else's."""
    written = [lake.write("loans", SCHEMA, [batch(amount)]).path for amount in (1, 2)]
    with pytest.raises(ContractError, match="2 batches that the ledger does not know"):
        lake.sweep("loans", [])
    assert lake.paths("loans") == sorted(written)


def test_a_lake_nobody_wrote_to_has_nothing_to_sweep(lake):
    assert lake.sweep("loans", []) == []
    assert lake.paths("loans") == []


def test_a_lake_may_lie_in_a_bucket():
    lake = Lake("memory://refit-test/lake")
    written = lake.write("loans", SCHEMA, [batch(1)])
    assert lake.read([written.path], SCHEMA.names, SCHEMA).num_rows == 1
    assert lake.paths("loans") == [written.path]
    other = lake.write("loans", SCHEMA, [batch(2)])
    assert lake.sweep("loans", [other.path]) == [written.path.rpartition("/")[2]]


def test_the_only_batch_is_kept_from_a_ledger_that_knows_none(lake):
    written = lake.write("loans", SCHEMA, [batch(1)])
    assert lake.sweep("loans", []) == []
    assert lake.paths("loans") == [written.path]


def test_a_lake_of_a_kind_that_is_not_installed_is_a_clear_error():
    with pytest.raises(ContractError, match="REFIT_LAKE_URL"):
        Lake("nosuch://bucket/lake")
