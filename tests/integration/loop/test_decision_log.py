"""The decision log, from the answer to Postgres: with real processes, real kills and a real server that goes away."""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from bentos.spool import Spool
from refit.errors import ContractError, DataError, OutageError, ReleaseError
from refit.loop import mover as module
from refit.loop.decision import replay
from refit.loop.mover import Moved, Mover, move, move_by_hand, prediction_row, spool_folder
from refit.loop.wiring import open_world
from refit.scoring.bundle import save
from refit.settings import Settings
from refit.store.embedded import running
from refit.store.ledger import Ledger
from refit.store.rows import BundleRow, PredictionRow
from refit.store.segments import Segment, segments, sole_mover
from tests.integration.conftest import run
from tests.integration.loop.serving import (
    ids_of,
    kill_at_random_moments,
    left_over,
    load,
    put_live,
    served,
    stop_postgres,
    wait_until,
)
from tests.integration.release.conftest import INPUTS, toy_bundle
from tests.unit.loop.logged import entry

NOON = datetime(2024, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def folder(settings) -> Path:
    return spool_folder(settings, "toy")


@pytest.fixture
def spool(folder):
    spool = Spool(folder, 1 << 20)
    yield spool
    spool.close()


def kept(ledger: Ledger) -> set[str]:
    return {str(row.id) for row in ledger.predictions("toy", limit=1_000_000)}


def quarantined(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "quarantine").glob("*.bad"))]


def raising(error: BaseException) -> None:
    raise error


class FakeLedger:
    """Keeps predictions in memory, or is down."""

    def __init__(self) -> None:
        self.rows: dict[UUID, PredictionRow] = {}
        self.down = False
        self.calls = 0

    def keep_predictions(self, rows: Sequence[PredictionRow]) -> int:
        self.calls += 1
        if self.down:
            raise OutageError("Postgres does not answer")
        before = len(self.rows)
        self.rows |= {row.id: row for row in rows}
        return len(self.rows) - before


# One round


def test_what_is_moved_is_in_postgres_and_leaves_the_disk_once_its_writer_is_gone(ledger, spool, folder):
    one, two = entry(), entry(probability=None, probabilities={"a": 0.2, "b": 0.8}, decision="b", reasons=["x", "y"])
    spool.append([one, two])
    assert move(ledger, folder) == Moved(2, 0, 0)
    assert spool.backlog == 0
    assert len(segments(folder)) == 1
    found = ledger.prediction(UUID(one["id"]))
    assert found == prediction_row(one)
    assert found.at == NOON + timedelta(microseconds=1)
    assert ledger.prediction(UUID(two["id"])).reasons == ("x", "y")
    spool.append([entry()])
    assert spool.backlog == 1
    spool.close()
    assert move(ledger, folder) == Moved(1, 0, 0)
    assert left_over(folder) == []


def test_moving_again_moves_nothing(ledger, spool, folder):
    spool.append([entry() for _ in range(3)])
    assert move(ledger, folder).n_moved == 3
    assert move(ledger, folder) == Moved()
    for note in folder.glob("*.moved"):
        note.unlink()
    assert move(ledger, folder) == Moved(0, 3, 0)
    assert len(kept(ledger)) == 3


@pytest.mark.parametrize("step", ["note", "delete"])
def test_killed_between_postgres_and_the_disk_it_doubles_none(ledger, spool, folder, monkeypatch, step):
    spool.append([entry() for _ in range(3)])
    if step == "delete":
        spool.close()
    with monkeypatch.context() as patched:
        patched.setattr(Segment, step, lambda *_: raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            move(ledger, folder)
    assert move(ledger, folder) == Moved(0, 3, 0)
    assert len(kept(ledger)) == 3


def test_what_cannot_be_read_is_put_aside_and_holds_nothing_up(ledger, spool, folder):
    good = [entry() for _ in range(3)]
    spool.append([good[0], entry(id="no id"), entry(probability=None), entry(at="2024-06-30T12:00:00")])
    spool.append([good[1]])
    spool.append([good[2]])
    spool.close()
    (segment,) = segments(folder)
    content = segment.path.read_bytes()
    segment.path.write_bytes(content.replace(good[1]["id"].encode(), b"x" * 36))
    assert move(ledger, folder) == Moved(2, 0, 4)
    assert kept(ledger) == {good[0]["id"], good[2]["id"]}
    (aside,) = quarantined(folder)
    assert aside.count(b"\n") == 4
    assert b"x" * 36 in aside
    assert b'"no id"' in aside
    assert segments(folder) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": None}, "id"),
        ({"at": "yesterday"}, "at"),
        ({"inputs": [1]}, "inputs"),
        ({"probability": "0.5"}, "probability"),
        ({"probability": True}, "probability"),
        ({"probability": None}, "either probability or probabilities"),
        ({"probabilities": {"a": 1.0}}, "either probability or probabilities"),
        ({"latency_ms": None}, "latency_ms"),
        ({"decision": 5}, "decision"),
        ({"reasons": "x"}, "reasons"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_an_entry_that_is_no_prediction_is_told_by_its_key_and_not_by_its_value(changes, why):
    with pytest.raises(DataError, match=why) as caught:
        prediction_row(entry(inputs={"name": "Jane Doe"}) | changes)
    assert "Jane" not in str(caught.value)
    with pytest.raises(DataError):
        prediction_row([entry()])


def test_what_postgres_has_no_room_for_is_put_aside_alone(ledger, spool, folder):
    good = [entry() for _ in range(7)]
    spool.append([*good[:3], entry(usecase=os.urandom(10_000).hex()), *good[3:]])
    assert move(ledger, folder) == Moved(7, 0, 1)
    assert kept(ledger) == {one["id"] for one in good}
    assert len(quarantined(folder)) == 1
    assert spool.backlog == 0


def test_a_torn_last_line_of_a_dead_writer_is_dropped_for_no_answer_stands_for_it(ledger, spool, folder):
    good = entry()
    spool.append([good])
    spool.append([entry()])
    (segment,) = segments(folder)
    os.truncate(segment.path, segment.path.stat().st_size - 5)
    assert move(ledger, folder) == Moved(1, 0, 0)
    assert segments(folder) != []
    spool.close()
    assert move(ledger, folder) == Moved()
    assert kept(ledger) == {good["id"]}
    assert left_over(folder) == []


def test_a_segment_that_cannot_be_read_keeps_none_of_the_others_waiting(ledger, spool, folder, monkeypatch):
    spool.append([entry()])
    spool.close()
    spool.append([entry()])
    bad = segments(folder)[0].path
    whole = Path.open
    with monkeypatch.context() as patched:
        refuse = PermissionError(13, "Permission denied")
        patched.setattr(Path, "open", lambda path, mode="r": raising(refuse) if path == bad else whole(path, mode))
        with pytest.raises(OutageError, match="Permission denied"):
            move(ledger, folder)
    assert len(kept(ledger)) == 1
    assert move(ledger, folder).n_moved == 1


def test_what_is_written_while_the_rest_is_read_is_not_deleted_unread(ledger, spool, folder, monkeypatch):
    spool.append([entry()])
    read = Segment.read

    def overtaken(segment: Segment) -> object:
        part = read(segment)
        spool.append([entry()])
        spool.close()
        return part

    with monkeypatch.context() as patched:
        patched.setattr(Segment, "read", overtaken)
        assert move(ledger, folder).n_moved == 1
    assert move(ledger, folder).n_moved == 1
    assert left_over(folder) == []


def test_with_postgres_down_nothing_leaves_the_disk(spool, folder):
    ledger = FakeLedger()
    ledger.down = True
    for _ in range(3):
        spool.append([entry()])
        spool.close()
    with pytest.raises(OutageError):
        move(ledger, folder)
    assert ledger.calls == 1
    assert (len(segments(folder)), spool.backlog) == (3, 3)
    ledger.down = False
    assert move(ledger, folder) == Moved(3, 0, 0)
    assert left_over(folder) == []


def test_by_hand_it_moves_what_is_there_unless_somebody_does_already(world, spool, folder):
    spool.append([entry()])
    with sole_mover(folder), pytest.raises(OutageError, match="already"):
        move_by_hand(world, "toy")
    assert move_by_hand(world, "toy").to_json() == {"n_moved": 1, "n_known": 0, "n_quarantined": 0}
    assert move_by_hand(world, "nobody asked") == Moved()


# The thread


def test_the_mover_moves_what_comes_and_the_last_of_it_at_its_end(spool, folder):
    ledger = FakeLedger()
    mover = Mover(ledger, folder, pause_seconds=0.01)
    spool.append([entry()])
    mover.start()
    wait_until(lambda: len(ledger.rows) == 1)
    spool.append([entry()])
    wait_until(lambda: len(ledger.rows) == 2)
    spool.append([entry()])
    spool.close()
    mover.close()
    assert len(ledger.rows) == 3
    assert left_over(folder) == []


def test_a_mover_that_ends_at_once_still_moves_what_is_there(spool, folder):
    ledger = FakeLedger()
    spool.append([entry()])
    mover = Mover(ledger, folder)
    mover.start()
    mover.close()
    assert len(ledger.rows) == 1


def test_an_outage_of_postgres_is_waited_out(spool, folder):
    ledger = FakeLedger()
    ledger.down = True
    mover = Mover(ledger, folder, pause_seconds=0.01)
    mover.start()
    spool.append([entry()])
    wait_until(lambda: ledger.calls > 2)
    ledger.down = False
    wait_until(lambda: len(ledger.rows) == 1)
    mover.close()


def test_a_fault_of_its_own_does_not_end_the_mover(spool, folder, monkeypatch):
    ledger = FakeLedger()
    faults = iter([ZeroDivisionError("Jane Doe"), ZeroDivisionError("Jane Doe")])

    def faulty(*given: object) -> Moved:
        fault = next(faults, None)
        if fault is not None:
            raise fault
        return move(*given)

    monkeypatch.setattr(module, "move", faulty)
    spool.append([entry()])
    mover = Mover(ledger, folder, pause_seconds=0.01)
    mover.start()
    wait_until(lambda: len(ledger.rows) == 1)
    mover.close()


def test_a_second_mover_waits_until_the_first_has_ended(spool, folder):
    ledger = FakeLedger()
    mover = Mover(ledger, folder, pause_seconds=0.01)
    with sole_mover(folder):
        spool.append([entry()])
        mover.start()
        threading.Event().wait(0.1)
        assert ledger.calls == 0
    wait_until(lambda: len(ledger.rows) == 1)
    mover.close()


# A decision again


@pytest.fixture
def bundle(world):
    bundle = toy_bundle(1)
    path = f"toy/{bundle.version}"
    save(bundle, world.settings.bundles / path)
    row = {"version": bundle.version, "usecase": "toy", "as_of": NOON, "snapshot": "s", "learner": "xgboost"}
    world.ledger.record_bundle(BundleRow(**row, path=path, metrics={}, card={}))
    return bundle


@pytest.mark.parametrize("record", [*INPUTS, {**INPUTS[0], "amount": 1e22}], ids=str)
@pytest.mark.parametrize("moved", [True, False], ids=["in Postgres", "in the spool"])
def test_a_stored_decision_comes_out_the_same_again(world, spool, folder, bundle, record, moved):
    probability = float(bundle.predict([record])[0])
    one = entry(version=bundle.version, inputs=record, probability=probability)
    spool.append([one, entry()])
    if moved:
        move(world.ledger, folder)
    again = replay(world, one["id"])
    assert again.equal
    assert again.replayed == probability
    shown = again.to_json()
    assert shown["stored_in"] == ("ledger" if moved else "spool")
    assert "inputs" not in shown
    assert again.to_json(show_inputs=True)["inputs"] == record


def test_a_decision_that_was_altered_comes_out_different(world, spool, folder, bundle):
    probability = float(bundle.predict([INPUTS[0]])[0])
    one = entry(version=bundle.version, inputs=INPUTS[0], probability=probability + 1e-6)
    spool.append([one])
    move(world.ledger, folder)
    assert not replay(world, one["id"]).equal


def test_a_decision_that_cannot_be_replayed_says_why(world, spool):
    stranger = entry(version="toy-20010101-gone")
    spool.append([stranger])
    with pytest.raises(ContractError, match="no id of a decision"):
        replay(world, "7")
    with pytest.raises(DataError, match="no decision"):
        replay(world, str(uuid4()))
    with pytest.raises(ReleaseError, match="not in the ledger"):
        replay(world, stranger["id"])


# The whole way: a real service under load


@pytest.fixture
def serving(database_url, tmp_path) -> Settings:
    settings = Settings(home=tmp_path / "home", database_url=database_url, usecases=tmp_path / "usecases")
    put_live(settings, toy_bundle(1))
    return settings


def check_each_once(url: str, ids: list[str]) -> None:
    assert len(ids) == len(set(ids)) > 0
    found = [str(row[0]) for row in run(url, "SELECT id FROM refit.prediction")]
    assert len(found) == len(set(found))
    assert sorted(set(ids) - set(found)) == []


def test_eight_kills_under_load_lose_no_answered_prediction_and_double_none(serving, database_url):
    with served(serving, "toy") as service:
        with load(service.port, INPUTS) as clients:
            kill_at_random_moments(service, kills=8)
        assert service.stop() == 0
        assert left_over(service.folder) == []
    ids = ids_of(clients)
    check_each_once(database_url, ids)
    assert sum(client.broken for client in clients) > 0
    with open_world(serving) as world:
        assert [replay(world, one).equal for one in ids[:: len(ids) // 9]] == [True] * len(ids[:: len(ids) // 9])


def test_a_killed_supervisor_leaves_the_log_to_the_next(serving, database_url):
    with served(serving, "toy") as service, load(service.port, INPUTS, connections=2) as clients:
        wait_until(lambda: len(ids_of(clients)) > 100)
        service.process.kill()
        for client in clients:
            client.ended.set()
        wait_until(lambda: not any(one.is_alive() for one in clients))
    with served(serving, "toy") as service:
        wait_until(lambda: left_over(service.folder) == [])
        assert service.stop() == 0
    check_each_once(database_url, ids_of(clients))


def test_with_postgres_stopped_for_a_while_every_answer_goes_out_and_comes_to_it_later(tmp_path):
    with running(tmp_path / "postgres") as url:
        settings = Settings(home=tmp_path / "home", database_url=url, usecases=tmp_path / "usecases")
        put_live(settings, toy_bundle(1))
        with served(settings, "toy") as service, load(service.port, INPUTS) as clients:
            wait_until(lambda: len(ids_of(clients)) > 100)
            stop_postgres(tmp_path / "postgres")
            stopped, before = time.monotonic(), len(ids_of(clients))
            wait_until(lambda: time.monotonic() - stopped > 3 and len(ids_of(clients)) > before + 100)
            service.kill_generation()
            during = len(ids_of(clients))
            with running(tmp_path / "postgres") as again:
                assert again == url
                wait_until(lambda: len(ids_of(clients)) > during + 100)
                for client in clients:
                    client.ended.set()
                wait_until(lambda: not any(one.is_alive() for one in clients))
                assert service.stop() == 0
                check_each_once(url, ids_of(clients))
                assert [client.refused for client in clients] == [[]] * len(clients)
                assert left_over(service.folder) == []


def test_a_full_log_stops_the_answers_and_says_so_until_there_is_room_again(serving, database_url):
    small = serving.model_copy(update={"spool_mb": 0.2})
    away = ExitStack()
    away.enter_context(sole_mover(spool_folder(small, "toy")))  # the service's own mover gets nothing moved meanwhile
    with away, served(small, "toy") as service, load(service.port, INPUTS, connections=4) as clients:
        wait_until(lambda: any(client.refused for client in clients) and not service.ready())
        status, answer = service.ask("GET", "/readyz")
        assert (status, b"the decision log takes no more" in answer) == (503, True)
        assert service.ask("GET", "/livez")[0] == 200
        assert b"\nrefit_log_full 1.0" in service.ask("GET", "/metrics")[1]
        assert 150_000 < sum(path.stat().st_size for path in service.folder.iterdir()) < 0.2 * 2**20
        assert all(why.startswith("the decision log holds ") for client in clients for why in client.refused)
        away.close()
        wait_until(service.ready)
        before = len(ids_of(clients))
        wait_until(lambda: len(ids_of(clients)) > before)
        for client in clients:
            client.ended.set()
        wait_until(lambda: not any(client.is_alive() for client in clients))
        assert service.stop() == 0
        assert left_over(service.folder) == []
    assert sum(client.broken for client in clients) == 0
    check_each_once(database_url, ids_of(clients))
