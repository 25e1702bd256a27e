"""The supervisor with real Bentos, processes and connections."""

import http.client
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from refit.errors import ContractError, OutageError
from refit.release.supervisor import Release, Supervisor
from refit.scoring.bundle import GoldenRecord

PATIENCE = 120.0


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)


@dataclass
class FakeLedger:
    """Holds what is desired, and what it was told."""

    wanted: Release | None = None
    down: bool = False
    live: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def desired(self) -> Release | None:
        if self.down:
            raise OutageError("Postgres cannot be reached")
        return self.wanted

    def on_live(self, release: Release) -> None:
        if self.down:
            raise OutageError("Postgres cannot be reached")
        self.live.append(release.id)

    def on_refused(self, release: Release, why: str) -> None:
        self.refused[release.id] = why


@contextmanager
def supervised(ledger: FakeLedger, **options):
    supervisor = Supervisor(
        ledger.desired, ledger.on_live, ledger.on_refused, "127.0.0.1", 0, poll_seconds=0.05, **options
    )
    supervisor.bind()
    others = generations()
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert set(generations()) <= set(others)


def generations() -> list[psutil.Process]:
    """Return the generations this process started."""
    found = []
    for child in psutil.Process().children():
        try:
            if any(part.endswith("generation.py") for part in child.cmdline()) and child.status() != "zombie":
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def ask(port: int, method: str, path: str, body: object = None, timeout: float = PATIENCE) -> tuple[int, dict]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        client.request(method, path, None if body is None else json.dumps(body))
        response = client.getresponse()
        return response.status, json.loads(response.read())
    finally:
        client.close()


class Client(threading.Thread):
    """Asks for predictions over one connection that it keeps as long as the service does."""

    def __init__(self, port: int, record: dict) -> None:
        super().__init__()
        self.port, self.body = port, json.dumps(record)
        self.ended = threading.Event()
        self.answers: dict[str, int] = {}
        self.failures: list[str] = []

    def run(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        while not self.ended.is_set():
            try:
                client.request("POST", "/predict", self.body)
                response = client.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(repr(error))
                client.close()
                continue
            if response.status == 200:
                self.answers[answer["model_version"]] = self.answers.get(answer["model_version"], 0) + 1
            else:
                self.failures.append(str(answer))
            self.ended.wait(0.01)
        client.close()


@contextmanager
def load(port: int, record: dict, connections: int = 4):
    clients = [Client(port, record) for _ in range(connections)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.ended.set()
        for client in clients:
            client.join()


@pytest.fixture(scope="module")
def serving(bentos):
    """A supervisor with v1 live, for the tests that leave a release live behind them."""
    ledger = FakeLedger(bentos[0].release(1))
    # As long as a test may take, for some hold a connection of the old one over a swap.
    with supervised(ledger, drain_seconds=PATIENCE, environment={"REFIT_REQUEST_SECONDS": str(PATIENCE)}) as supervisor:
        wait_until(lambda: ledger.live)
        yield supervisor, ledger


def next_id(ledger: FakeLedger) -> int:
    return max([0, *ledger.live, *ledger.refused]) + 1


def test_eight_swaps_under_load_fail_no_request(serving, bentos):
    supervisor, ledger = serving
    with load(supervisor.port, bentos[0].bundle.golden[0].inputs) as clients:
        for turn in range(8):
            ledger.wanted = bentos[(turn + 1) % 2].release(next_id(ledger))
            wait_until(lambda: ledger.wanted.id in ledger.live)
            status, model = ask(supervisor.port, "GET", "/model")
            assert (status, model["version"]) in {(200, built.bundle.version) for built in bentos}
    assert [failure for client in clients for failure in client.failures] == []
    answers = {version for client in clients for version in client.answers}
    assert answers == {built.bundle.version for built in bentos}
    wait_until(lambda: len(generations()) == 1)
    assert ask(supervisor.port, "GET", "/model")[1]["version"] == ledger.wanted.version


def test_a_connection_left_open_across_a_swap_is_answered_once_more_and_then_moves_on(serving, bentos):
    supervisor, ledger = serving
    wait_until(lambda: len(generations()) == 1)
    versions = []
    client = http.client.HTTPConnection("127.0.0.1", supervisor.port, timeout=PATIENCE)
    for turn in range(3):
        client.request("GET", "/model")
        answer = client.getresponse()
        versions.append(json.loads(answer.read())["version"])
        assert answer.headers.get("connection") == (None if turn != 1 else "close")
        if turn == 0:
            other = next(built for built in bentos if built.bundle.version != versions[0])
            ledger.wanted = other.release(next_id(ledger))
            wait_until(lambda: ledger.wanted.id in ledger.live)
            answers = [ask(supervisor.port, "GET", "/model")[1]["version"] for _ in range(200)]
            assert answers[-1] == other.bundle.version
    client.close()
    assert versions == [versions[0], versions[0], other.bundle.version]


def test_a_release_that_answers_a_golden_record_wrongly_never_reaches_a_client(serving, bentos):
    supervisor, ledger = serving
    before = ask(supervisor.port, "GET", "/model")[1]["version"]
    other = next(built for built in bentos if built.bundle.version != before)
    right = other.bundle.golden
    wrong = (*right[:2], GoldenRecord(right[2].inputs, right[2].probability * (1 + 1e-5)))
    number = next_id(ledger)
    with load(supervisor.port, right[0].inputs) as clients:
        ledger.wanted = other.release(number, golden=wrong)
        wait_until(lambda: number in ledger.refused)
    assert "golden record 3 of 3: answered" in ledger.refused[number]
    assert {version for client in clients for version in client.answers} == {before}
    assert [failure for client in clients for failure in client.failures] == []
    wait_until(lambda: len(generations()) == 1)


def broken(built, folder: Path, part: str, content: str) -> Path:
    """Return a copy of the Bento with one of its files replaced."""
    copy = folder / "bentos" / "refit_toy" / "broken"
    shutil.copytree(built.path, copy)
    (copy / "src" / part).write_text(content)
    return copy


@pytest.mark.parametrize(
    ("part", "content", "why"),
    [
        ("bentos/application.py", "raise RuntimeError('no such luck')", "does not start: RuntimeError: no such luck"),
        ("bundle/card.json", "{}", "card.json: altered since it was written"),
        ("bentos/desk.py", "import os; os._exit(7)", "does not start: ended with exit code 7"),
    ],
    ids=["raises", "altered bundle", "exits"],
)
def test_a_release_that_does_not_start_is_refused_with_its_reason(serving, bentos, tmp_path, part, content, why):
    supervisor, ledger = serving
    number = next_id(ledger)
    ledger.wanted = bentos[0].release(number, bento_path=broken(bentos[0], tmp_path, part, content))
    wait_until(lambda: number in ledger.refused)
    assert why in ledger.refused[number]
    assert ask(supervisor.port, "GET", "/readyz")[0] == 200


def test_a_release_that_answers_as_another_version_is_refused(serving, bentos):
    _, ledger = serving
    number = next_id(ledger)
    ledger.wanted = bentos[0].release(number, version="toy-20040630-000000000000")
    wait_until(lambda: number in ledger.refused)
    assert "the release is 'toy-20040630-000000000000'" in ledger.refused[number]


def test_a_release_whose_bento_is_not_on_this_machine_is_waited_for(serving, bentos, tmp_path):
    supervisor, ledger = serving
    number = next_id(ledger)
    path = tmp_path / "bentos" / "refit_toy" / "late"
    late = bentos[0].release(number, bento_path=path)
    ledger.wanted = late
    wait_until(lambda: supervisor._failures.get(late.key, 0) > 1)
    assert ask(supervisor.port, "GET", "/readyz")[0] == 200
    shutil.copytree(bentos[0].path, path.with_name("copying"))
    path.with_name("copying").rename(path)
    wait_until(lambda: number in ledger.live)
    assert number not in ledger.refused


def test_a_killed_generation_comes_back_by_itself(serving):
    supervisor, ledger = serving
    wait_until(lambda: len(generations()) == 1)
    before = list(ledger.live)
    killed = generations()[0].pid
    os.kill(killed, signal.SIGKILL)
    assert ask(supervisor.port, "GET", "/readyz")[0] == 200
    assert [process.pid for process in generations()] != [killed]
    assert ledger.live == before


def test_a_ledger_that_is_down_stops_nothing_and_hears_all_of_it_later(serving, bentos):
    supervisor, ledger = serving
    ledger.down = True
    number = next_id(ledger)
    ledger.wanted = bentos[0].release(number)
    assert ask(supervisor.port, "POST", "/predict", bentos[0].bundle.golden[0].inputs)[0] == 200
    ledger.down = False
    wait_until(lambda: number in ledger.live)


def test_a_release_that_hangs_is_refused_in_time_and_until_a_first_one_is_live_the_answer_is_503(bentos, tmp_path):
    hanging = broken(bentos[0], tmp_path, "bentos/application.py", "import time; time.sleep(600)")
    ledger = FakeLedger(bentos[0].release(1, bento_path=hanging))
    with supervised(ledger, start_seconds=1.5) as supervisor:
        status, answer = ask(supervisor.port, "POST", "/predict", {})
        assert (status, answer["error"]["code"]) == (503, "not_ready")
        wait_until(lambda: ledger.refused)
        assert ledger.refused == {1: "not ready within 1.5 s"}
        assert all(str(hanging) not in generation.cmdline() for generation in generations())
        assert ask(supervisor.port, "GET", "/readyz")[0] == 503


RUN = """
import pickle, sys
from refit.release.supervisor import Supervisor
release = pickle.loads(bytes.fromhex(sys.argv[1]))
tell = lambda *what: print("live", flush=True)
supervisor = Supervisor(lambda: release, tell, tell, "127.0.0.1", int(sys.argv[2]), poll_seconds=0.1)
supervisor.run()
"""


@contextmanager
def supervisor_process(release: Release, port: int):
    command = [sys.executable, "-c", RUN, pickle.dumps(release).hex(), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    children: list[psutil.Process] = []
    try:
        while process.stdout.readline() != "live\n":
            assert process.poll() is None
        children = psutil.Process(process.pid).children()
        yield process, children
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        wait_until(lambda: gone(children))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != "zombie" for process in processes)


def test_sigterm_finishes_what_is_in_flight_and_leaves_no_process(bentos):
    port = free_port()
    body = json.dumps([bentos[0].bundle.golden[0].inputs] * 1000).encode()
    with supervisor_process(bentos[0].release(1), port) as (process, children):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as half:
            half.sendall(b"POST /predict/batch HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body))
            half.sendall(body[:1000])
            assert ask(port, "GET", "/readyz")[0] == 200
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: refuses(port))
            half.sendall(body[1000:])
            answer = http.client.HTTPResponse(half)
            answer.begin()
            assert len(json.loads(answer.read())["predictions"]) == 1000
            assert answer.headers["connection"] == "close"
        assert process.wait(PATIENCE) == 0
        assert len(children) == 1
        assert gone(children)


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_release_on_trial_is_not_refused_because_somebody_told_every_process_to_end(bentos, tmp_path):
    """As systemd does by default: it tells a service's whole group, and the supervisor may hear of it last."""
    reached, go_on = tmp_path / "reached", tmp_path / "go on"
    waits = f"""
import pathlib, time
pathlib.Path({str(reached)!r}).touch()
while not pathlib.Path({str(go_on)!r}).exists():
    time.sleep(0.01)
"""
    plain = (bentos[0].path / "src" / "bentos" / "application.py").read_text()
    slow = broken(bentos[0], tmp_path, "bentos/application.py", waits + plain)
    ledger = FakeLedger(bentos[0].release(1, bento_path=slow))
    with supervised(ledger, start_seconds=PATIENCE) as supervisor:
        wait_until(reached.exists)
        (generation,) = (one for one in generations() if str(slow) in one.cmdline())
        generation.terminate()
        go_on.touch()
        wait_until(lambda: ledger.live or ledger.refused)
        assert (ledger.live, ledger.refused) == ([1], {})
        generation.terminate()  # one that serves ends well, and another takes its place
        wait_until(lambda: gone([generation]))
        assert ask(supervisor.port, "GET", "/readyz")[0] == 200


def test_a_killed_supervisor_leaves_no_process_and_no_port_behind(bentos):
    port = free_port()
    with supervisor_process(bentos[0].release(1), port) as (process, children):
        process.kill()
        process.wait()
    with supervisor_process(bentos[1].release(2), port):
        assert ask(port, "GET", "/model")[1]["version"] == bentos[1].bundle.version
        wait_until(lambda: gone(children))


def test_a_request_begun_before_a_swap_is_finished_by_the_one_it_began_with(serving, bentos):
    supervisor, ledger = serving
    before = ask(supervisor.port, "GET", "/model")[1]["version"]
    other = next(built for built in bentos if built.bundle.version != before)
    body = json.dumps([bentos[0].bundle.golden[0].inputs] * 200).encode()
    with socket.create_connection(("127.0.0.1", supervisor.port), timeout=PATIENCE) as half:
        half.sendall(b"POST /predict/batch HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body))
        half.sendall(body[:100])
        ledger.wanted = other.release(next_id(ledger))
        wait_until(lambda: ledger.wanted.id in ledger.live)
        wait_until(lambda: ask(supervisor.port, "GET", "/model")[1]["version"] == other.bundle.version)
        half.sendall(body[100:])
        answer = http.client.HTTPResponse(half)
        answer.begin()
        assert {each["model_version"] for each in json.loads(answer.read())["predictions"]} == {before}
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("sign", [signal.SIGSTOP, None], ids=["stopped process", "stuck event loop"])
def test_a_generation_that_hangs_while_it_is_live_is_replaced(bentos, tmp_path, sign):
    path = bentos[0].path if sign else broken(bentos[0], tmp_path, "bentos/door.py", stuck(bentos[0].path))
    ledger = FakeLedger(bentos[0].release(1, bento_path=path))
    with supervised(ledger, hang_seconds=1.0) as supervisor:
        wait_until(lambda: ledger.live)
        hung = psutil.Process(supervisor._live.process.pid)
        if sign:
            hung.send_signal(sign)
        else:
            with socket.create_connection(("127.0.0.1", supervisor.port)) as poison:
                poison.sendall(b"GET /model HTTP/1.1\r\nhost: a\r\nx-request-id: stick\r\n\r\n")
        wait_until(lambda: gone([hung]))
        assert ask(supervisor.port, "GET", "/readyz")[0] == 200
        assert ledger.refused == {}


def stuck(bento: Path) -> str:
    """Return the door of a Bento whose event loop one certain request holds for ever."""
    content = (bento / "src" / "bentos" / "door.py").read_text()
    found = "    if request_id is None or"
    assert content.count(found) == 1
    return content.replace(found, f"    if request_id == b'stick':\n        __import__('time').sleep(600)\n{found}")


def test_a_client_that_never_finishes_what_it_says_is_cut_off_and_the_next_is_answered(bentos):
    ledger = FakeLedger(bentos[0].release(1))
    with supervised(ledger, environment={"REFIT_REQUEST_SECONDS": "0.5"}) as supervisor:
        wait_until(lambda: ledger.live)
        for begun in (b"", b"POST /predict HT", b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", supervisor.port), timeout=PATIENCE) as slow:
                slow.sendall(begun)
                said = b"".join(iter(lambda: slow.recv(4096), b""))
            assert said.startswith(b"HTTP/1.1 504 ")
            assert b'"code":"timeout"' in said
        client = http.client.HTTPConnection("127.0.0.1", supervisor.port, timeout=PATIENCE)
        client.request("GET", "/readyz")
        assert client.getresponse().status == 200
        client.close()


KEY = "a-key-of-0123456789"


def test_with_keys_the_supervisor_checks_and_clients_need_one_and_no_process_can_be_looked_into(bentos):
    ledger = FakeLedger(bentos[0].release(1))
    with supervised(ledger, environment={"REFIT_API_KEYS": f"{KEY},another-key-0123456789"}) as supervisor:
        wait_until(lambda: ledger.live)
        generation = psutil.Process(supervisor._live.process.pid)
        assert ask(supervisor.port, "GET", "/model")[0] == 401
        assert ask(supervisor.port, "GET", "/livez")[0] == 200
        client = http.client.HTTPConnection("127.0.0.1", supervisor.port, timeout=PATIENCE)
        client.request("GET", "/model", headers={"Authorization": f"Bearer {KEY}"})
        assert client.getresponse().status == 200
        client.close()
        assert KEY not in "".join([*generation.cmdline(), *generation.environ().values()])


def test_without_keys_an_address_that_others_reach_is_not_listened_on():
    ledger = FakeLedger()
    plain = Supervisor(ledger.desired, ledger.on_live, ledger.on_refused, "0.0.0.0", 0)  # noqa: S104 - it is refused
    with pytest.raises(ContractError, match=r"no keys are set.*REFIT_API_KEYS"):
        plain.bind()
    keyed = Supervisor(
        *(ledger.desired, ledger.on_live, ledger.on_refused, "0.0.0.0", 0),  # noqa: S104 - with keys it may
        environment={"REFIT_API_KEYS": KEY},
    )
    keyed.bind()
    keyed._listener.close()


def test_metrics_tell_what_only_the_supervisor_knows(bentos):
    ledger = FakeLedger(bentos[0].release(1))
    with supervised(ledger) as supervisor:
        for number in (1, 2):
            ledger.wanted = bentos[number - 1].release(number)
            wait_until(lambda n=number: n in ledger.live)
        ledger.wanted = bentos[0].release(3, version=bentos[1].bundle.version)
        wait_until(lambda: ledger.refused)
        wait_until(lambda: {"refit_swaps_total 1.0", "refit_refusals_total 1.0"} <= set(metrics(supervisor.port)))


def metrics(port: int) -> list[str]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        client.request("GET", "/metrics")
        return client.getresponse().read().decode().splitlines()
    finally:
        client.close()
