"""What the supervisor decides, with generations that do as the test says."""

import dataclasses
import errno
import json
import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from refit.errors import OutageError, ReleaseError
from refit.release import golden
from refit.release import supervisor as module
from refit.release.supervisor import Release, Supervisor

ONE, TWO, THREE = (Release(number, f"v{number}", f"refit_toy:v{number}", Path("nowhere")) for number in (1, 2, 3))


class FakeProcess:
    pid = 4711

    def wait(self) -> int:
        return 0


class FakeChild:
    """A generation that passes its checks and goes live at once, unless its release's number is in `fate`."""

    fate: dict[int, str] = {}  # noqa: RUF012 - set by each test through monkeypatch
    born_here: list["FakeChild"] = []  # noqa: RUF012

    def __init__(self, release, tell, *_) -> None:
        if self.fate.get(release.id) == "absent":
            raise OutageError("there is no Bento")
        if self.fate.get(release.id) == "empty":
            raise ReleaseError("it carries no golden records")
        if self.fate.get(release.id) == "reads":
            golden.carried(release.bento_path)
        self.release, self._tell = release, tell
        self.process, self.serving, self.born = FakeProcess(), False, time.monotonic()
        self.done: list[str] = []
        self.told: dict[str, float] = {}
        self.born_here.append(self)
        match self.fate.get(release.id):
            case "hangs":
                pass
            case "wrong":
                tell(self, "refused", "golden record 1 of 1")
            case _:
                tell(self, "passed", "")

    def serve(self, *_) -> None:
        self.serving = True
        self.done.append("serve")
        self._tell(self, "live", "")

    def inform(self, told) -> None:
        self.told = dict(told)

    def drain(self, *_) -> None:
        self.done.append("drain")
        if self.fate.get(self.release.id) == "slow":
            self._end_later()

    def stop(self, *_) -> None:
        self.done.append("stop")
        if self.fate.get(self.release.id) == "slow":
            self._end_later()
        else:
            self.end("ended with exit code 0")

    def _end_later(self) -> None:
        threading.Timer(1.0, self.end, ["ended with exit code 0"]).start()

    def kill(self) -> None:
        self.done.append("kill")
        self.end("killed by SIGKILL")

    def end(self, why: str) -> None:
        self._tell(self, "ended", why)


class World:
    def __init__(self, **options) -> None:
        self.wanted: Release | None = None
        self.down = False
        self.unfit = 0
        self.live: list[int] = []
        self.refused: list[tuple[int, str]] = []
        self.kept: Release | None = None
        self.asked_for_kept = 0
        self.supervisor = Supervisor(
            self.desired,
            lambda release: self.live.append(release.id),
            lambda release, why: self.refused.append((release.id, why)),
            "127.0.0.1",
            0,
            poll_seconds=0.005,
            kept=self.last,
            fit=self.fit,
            **options,
        )
        self._thread = threading.Thread(target=self.supervisor.run)

    def desired(self):
        if self.down:
            raise OutageError("down")
        return self.wanted

    def last(self, _why: OutageError) -> Release | None:
        self.asked_for_kept += 1
        return self.kept

    def fit(self) -> None:
        if self.unfit:
            self.unfit -= 1
            raise OutageError("the decision log cannot be written")

    def start(self, wanted: Release | None) -> None:
        self.wanted = wanted
        self._thread.start()

    def end(self) -> None:
        self.supervisor.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()


def until(true) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.002)


@pytest.fixture
def fate(monkeypatch):
    fates: dict[int, str] = {}
    monkeypatch.setattr(FakeChild, "fate", fates)
    monkeypatch.setattr(FakeChild, "born_here", [])
    monkeypatch.setattr(module, "Child", FakeChild)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    return fates


@pytest.fixture
def world(fate):  # noqa: ARG001 - its children are fakes
    world = World()
    yield world
    world.end()


def children(number: int) -> list[FakeChild]:
    return [child for child in FakeChild.born_here if child.release.id == number]


def test_a_release_goes_live_and_the_one_before_is_drained(world):
    world.start(ONE)
    until(lambda: world.live == [1])
    world.wanted = TWO
    until(lambda: world.live == [1, 2])
    assert children(1)[0].done == ["serve", "drain"]
    assert children(2)[0].done == ["serve"]


def test_whoever_hears_of_a_release_can_rely_on_the_one_before_leaving(world, monkeypatch):
    drain = FakeChild.drain
    monkeypatch.setattr(FakeChild, "drain", lambda child, *given: (time.sleep(0.1), drain(child, *given)))
    world.start(ONE)
    until(lambda: world.live == [1])
    world.wanted = TWO
    until(lambda: world.live == [1, 2])
    assert children(1)[0].done == ["serve", "drain"]


@pytest.mark.parametrize(
    ("fates", "why"),
    [("wrong", "golden record 1 of 1"), ("empty", "it carries no golden records")],
    ids=["wrong", "empty"],
)
def test_a_refused_release_is_reported_once_and_not_tried_again(world, fate, fates, why):
    fate[2] = fates
    world.start(ONE)
    until(lambda: world.live == [1])
    world.wanted = TWO
    until(lambda: world.refused)
    world.wanted = THREE
    until(lambda: world.live == [1, 3])
    world.wanted = TWO
    until(lambda: world.supervisor._wanted == TWO)
    assert world.refused == [(2, why)]
    assert len(children(2)) <= 1
    assert children(3)[0].done == ["serve"]


def test_the_release_before_can_be_wanted_back(world):
    world.start(ONE)
    until(lambda: world.live == [1])
    world.wanted = TWO
    until(lambda: world.live == [1, 2])
    world.wanted = ONE
    until(lambda: world.live == [1, 2, 1])
    assert len(children(1)) == 2


def test_a_crashed_generation_is_started_again_and_not_reported_again(world):
    world.start(ONE)
    until(lambda: world.live)
    for crashes in range(1, 4):
        children(1)[-1].end("killed by SIGKILL")
        until(lambda n=crashes: len(children(1)) == n + 1 and children(1)[-1].done == ["serve"])
        until(lambda: world.supervisor._live is children(1)[-1])
    assert world.live == [1]
    assert world.refused == []


@pytest.mark.parametrize("crashes", [8, 1023, 1024, 5000])
def test_however_often_it_crashed_the_next_start_is_at_most_the_longest_pause_away(monkeypatch, crashes):
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    supervisor = World().supervisor
    supervisor._failures[ONE.key] = crashes
    supervisor._pause(ONE, "killed by SIGKILL")
    assert supervisor._not_before[ONE.key] == 100.0 + module.LONGEST_PAUSE


def test_a_disk_that_stumbles_once_over_the_golden_records_refuses_no_release(world, fate, monkeypatch, tmp_path):
    (tmp_path / "golden.json").write_text(json.dumps([{"inputs": {"a": 1.0}, "probability": 0.25}]))
    fate[1] = "reads"
    stumbles = [OSError(errno.EMFILE, os.strerror(errno.EMFILE), "golden.json")]
    read = Path.read_bytes

    def stumbling(path: Path) -> bytes:
        if path.name == "golden.json" and stumbles:
            raise stumbles.pop()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", stumbling)
    world.start(dataclasses.replace(ONE, bento_path=tmp_path))
    until(lambda: world.live == [1])
    assert stumbles == []
    assert world.refused == []


@pytest.mark.parametrize("before", [None, ONE], ids=["nothing is live here", "another release is live here"])
def test_a_release_whose_bento_is_not_on_this_machine_is_waited_for_and_never_refused(world, fate, before):
    fate[2] = "absent"
    world.start(before)
    until(lambda: world.live == ([1] if before else []))
    world.wanted = TWO
    until(lambda: world.supervisor._failures.get(TWO.key, 0) > 2)
    assert [child.done for child in FakeChild.born_here] == ([["serve"]] if before else [])
    del fate[2]  # it was copied here
    until(lambda: world.live[-1:] == [2])
    assert world.refused == []


def test_waiting_for_one_release_keeps_no_other_from_coming_back_at_once(world, fate):
    fate[2] = "absent"
    world.start(ONE)
    until(lambda: world.live == [1])
    world.wanted = TWO
    until(lambda: world.supervisor._failures.get(TWO.key, 0) > 4)
    children(1)[0].end("killed by SIGKILL")
    until(lambda: len(children(1)) == 2 and children(1)[1].done == ["serve"])
    assert world.supervisor._failures[ONE.key] == 1
    assert world.supervisor._placeholder is None


def test_a_machine_that_can_serve_nothing_refuses_no_release_and_serves_once_it_can(world):
    world.unfit = 3
    world.start(ONE)
    until(lambda: world.live == [1])
    assert world.unfit == 0
    assert world.refused == []


def test_what_the_ledger_falls_back_to_is_not_refused_in_turn(world, fate):
    """A fault of this machine that no check knows of must not take the last good release from all others."""
    fate |= {1: "wrong", 2: "wrong", 3: "wrong"}
    world.start(THREE)
    until(lambda: world.refused == [(3, "golden record 1 of 1")])
    world.wanted = TWO
    until(lambda: len(children(2)) >= 3)
    assert world.refused == [(3, "golden record 1 of 1")]
    del fate[2]
    until(lambda: world.live == [2])
    world.wanted = Release(4, "v4", "refit_toy:v4", Path("nowhere"))
    fate[4] = "wrong"
    until(lambda: [number for number, _ in world.refused] == [3, 4])


def test_what_was_live_comes_back_though_its_successor_is_still_on_trial(world, fate):
    fate[2] = "hangs"
    world.start(ONE)
    until(lambda: world.live)
    world.wanted = TWO
    until(lambda: children(2))
    children(1)[0].end("killed by SIGKILL")
    until(lambda: len(children(1)) == 2 and children(1)[1].done == ["serve"])
    children(2)[0]._tell(children(2)[0], "passed", "")
    until(lambda: world.live == [1, 2])
    assert children(1)[1].done == ["serve", "drain"]


def test_a_trial_that_nobody_wants_any_more_is_ended_without_a_word(world, fate):
    fate[2] = "hangs"
    world.start(ONE)
    until(lambda: world.live)
    world.wanted = TWO
    until(lambda: children(2))
    world.wanted = THREE
    until(lambda: world.live == [1, 3])
    assert children(2)[0].done == ["kill"]
    assert world.refused == []


def test_a_release_that_dies_between_its_checks_and_its_first_client_is_refused(world, fate):
    fate[2] = "hangs"
    world.start(ONE)
    until(lambda: world.live)
    world.wanted = TWO
    until(lambda: children(2))
    children(2)[0].end("killed by SIGSEGV")
    until(lambda: world.refused == [(2, "killed by SIGSEGV before it was live")])


def test_while_the_ledger_is_down_or_names_nothing_what_is_live_stays_live(world):
    world.start(ONE)
    until(lambda: world.live)
    world.down = True
    world.wanted = TWO
    children(1)[0].end("killed by SIGKILL")
    until(lambda: len(children(1)) == 2)
    world.wanted = None
    world.down = False
    until(lambda: world.supervisor._wanted is None)
    assert children(2) == []
    assert "drain" not in children(1)[1].done


def test_many_old_generations_do_not_pile_up(world):
    world.start(ONE)
    for number in range(2, 9):
        until(lambda n=number: world.live[-1:] == [n - 1])
        world.wanted = Release(number, f"v{number}", "refit_toy:v", Path("nowhere"))
    until(lambda: world.live[-1:] == [8])
    waiting = [child for child in FakeChild.born_here if child.done == ["serve", "drain"]]
    assert len(waiting) == module.MAX_LEAVING
    assert waiting == FakeChild.born_here[-1 - module.MAX_LEAVING : -1]


def test_the_end_stops_who_serves_and_kills_who_does_not(fate):
    fate[2] = "hangs"
    world = World()
    world.start(ONE)
    until(lambda: world.live)
    world.wanted = TWO
    until(lambda: children(2))
    world.end()
    assert children(1)[0].done == ["serve", "stop"]
    assert children(2)[0].done == ["kill"]


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["swap", "stop"])
@pytest.mark.parametrize("told_by", ["argument", "environment"])
def test_a_generation_is_given_the_time_that_its_requests_may_take(fate, monkeypatch, ends, told_by):
    monkeypatch.setattr(module, "IN_FLIGHT_SECONDS", 0.0)
    told = {"REFIT_REQUEST_SECONDS": "60"}
    if told_by == "environment":
        monkeypatch.setenv("REFIT_REQUEST_SECONDS", told.pop("REFIT_REQUEST_SECONDS"))
    fate[1] = "slow"
    world = World(drain_seconds=0.0, environment=told)
    world.start(ONE)
    until(lambda: world.live == [1])
    if ends == "swap":
        world.wanted = TWO
        until(lambda: world.live == [1, 2])
        until(lambda: children(1)[0] not in world.supervisor._running)
    world.end()
    assert children(1)[0].done == ["serve", "drain" if ends == "swap" else "stop"]


def told(world: World) -> dict[str, float]:
    return world.supervisor._live.told if world.supervisor._live else {}


def test_while_the_ledger_has_not_answered_once_what_was_kept_is_served_and_then_what_the_ledger_wants(world):
    world.down, world.kept = True, dataclasses.replace(ONE, live_since=1_000.0)
    world.start(None)
    until(lambda: world.live == [1])
    until(lambda: told(world).get("unconfirmed") == 1)
    assert told(world)["live_since"] == 1_000.0
    assert world.asked_for_kept == 1
    assert told(world)["silent_since"] > 0
    world.wanted, world.down = TWO, False
    until(lambda: world.live == [1, 2])
    assert children(1)[0].done == ["serve", "drain"]
    until(lambda: (told(world)["unconfirmed"], told(world)["silent_since"]) == (0, 0))
    assert told(world)["live_since"] > 1_000.0


def test_what_was_kept_and_is_still_wanted_goes_on_untouched(world):
    world.down, world.kept = True, ONE
    world.start(None)
    until(lambda: world.live == [1])
    world.wanted, world.down = dataclasses.replace(ONE), False
    until(lambda: told(world).get("unconfirmed") == 0)
    assert len(FakeChild.born_here) == 1
    assert children(1)[0].done == ["serve"]


def test_another_release_under_the_same_number_is_another_release(world):
    """A ledger put back from a back-up gives a number a second time."""
    other = dataclasses.replace(ONE, version="v1b")
    world.down, world.kept = True, ONE
    world.start(None)
    until(lambda: world.live == [1])
    world.wanted, world.down = other, False
    until(lambda: world.live == [1, 1])
    assert world.supervisor._live.release.version == "v1b"


def test_what_was_kept_is_not_served_where_the_ledger_answers(world):
    world.kept = ONE
    world.start(TWO)
    until(lambda: world.live == [2])
    world.down = True
    until(lambda: told(world)["silent_since"])
    assert told(world)["unconfirmed"] == 0
    assert children(1) == []


def test_what_was_kept_and_does_not_start_is_tried_again_and_the_ledger_hears_of_no_refusal(world, fate):
    fate[1] = "wrong"
    world.down, world.kept = True, ONE
    world.start(None)
    until(lambda: len(children(1)) >= 3)
    assert all(child.done == [] for child in children(1))
    assert world.refused == []
    del fate[1]
    until(lambda: world.live == [1])


def test_what_was_kept_and_does_not_start_is_refused_once_the_ledger_wants_it(world, fate):
    fate[1] = "wrong"
    world.down, world.kept = True, ONE
    world.start(None)
    until(lambda: children(1))
    world.wanted, world.down = ONE, False
    until(lambda: world.refused)
    assert world.refused == [(1, "golden record 1 of 1")]


def test_with_nothing_kept_whoever_asks_hears_that_the_ledger_does_not_answer(world):
    world.down = True
    world.start(None)
    until(lambda: world.supervisor._counts["silent_since"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{world.supervisor.port}/readyz", timeout=5)
    with refused.value as answer:
        assert answer.code == 503
        assert json.load(answer)["error"] == {"code": "not_ready", "message": module.SILENT}
    until(lambda: world.asked_for_kept > 2)
    world.kept = ONE  # its disk came back
    until(lambda: world.live == [1])
