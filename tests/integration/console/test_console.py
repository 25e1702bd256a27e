"""The console as a process of its own, over HTTP, on the ledger and the reports of a real night."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from flows.addresses import console_url, frame_url
from flows.environment import environment
from refit.loop.load import load_demo
from refit.loop.nightly import nightly
from refit.loop.wiring import open_world
from refit.settings import Settings
from tests.integration.conftest import TEMPLATE, other_database, run
from tests.integration.loop.conftest import FIRST

TOKEN = "a token of some length"
REFUSES = {"accept": "application/json"}


def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def has_ipv6():
    try:
        return socket.has_ipv6 and free_port("::1") > 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def world(server_url, tmp_path_factory):
    """The stores after one night of the demo."""
    name = f"console_{uuid4().hex}"
    run(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    settings = Settings(
        home=tmp_path_factory.mktemp("console") / "home",
        database_url=SecretStr(other_database(server_url, name)),
        console_port=free_port(),
    )
    settings.folder.mkdir()
    with open_world(settings) as world:
        load_demo(world, FIRST, months=20, per_month=700)
        quick = world.usecase("demo").model_copy(update={"learners": ("logistic_regression",)})
        nightly(world, quick, FIRST)
        yield world


@contextmanager
def console(settings, log_name="console.log", **more):
    """Serve the console; give a client of it."""
    log = settings.folder / log_name
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "refit.console"], env=environment(settings) | more, stdout=output, stderr=output
        )
    try:
        with httpx.Client(base_url=console_url(settings), timeout=120, trust_env=False) as client:
            end = time.monotonic() + 120
            while not is_up(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait()


def is_up(client):
    try:
        return client.get("/healthz").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def client(world):
    with console(world.settings) as found:
        yield found


@pytest.fixture(scope="module")
def live(world):
    return world.ledger.live("demo").version


@pytest.mark.parametrize(
    ("path", "shows"),
    [
        ("/", "promoted by the gate"),
        ("/score/demo?example=1", "Credit score"),
        ("/score/sba", "nobody can be scored"),
        ("/models", "logistic regression"),
        ("/models/{live}", "The gate&#39;s verdict"),
        ("/models/{live}/card", "<html"),
        ("/models/{live}/card.json", '"verdict"'),
        ("/models/{live}/trade-off", "Approval rate"),
        ("/compare?version={live}&version={live}", "What each looks at"),
        ("/releases", "promoted by the gate"),
        ("/nights", "completed"),
        ("/drift", "credit_score"),
        ("/reports", "drift as of 2024-03-31"),
        ("/reports?usecase=demo&day=2024-03-31", "drift as of 2024-03-31"),
        ("/reports/{report}", "sandbox"),
        ("/reports/{report}/html", "Dataset Drift"),
        ("/reports/{report}/json", '"columns"'),
    ],
)
def test_every_page_shows_the_night(client, world, live, path, shows):
    report = world.ledger.reports("demo", kind="drift", limit=1)[0].id
    answer = client.get(path.format(live=live, report=report))
    assert answer.status_code == 200
    assert shows in answer.text.replace("gate's", "gate&#39;s")
    assert "default-src 'none'" in answer.headers["content-security-policy"] or "json" in answer.headers["content-type"]


def test_an_answer_of_the_desk_stands_in_the_decision_log_as_it_was_given(client, world, live):
    before = world.ledger.count_predictions("demo")
    form = {"amount": "9000", "term_months": "36", "income": "38500", "credit_score": "671"}
    answer = client.post("/score/demo", data=form)
    assert answer.status_code == 200
    assert world.ledger.count_predictions("demo") == before + 1
    shown = answer.text.partition("<dt>Kept as</dt><dd><code>")[2].partition("<")[0]
    kept = world.ledger.prediction(shown)
    assert (kept.version, kept.inputs["amount"]) == (live, 9000.0)
    assert kept.decision in {"approve", "decline"}


def test_a_file_is_kept_row_by_row_and_a_refused_row_is_not(client, world):
    before = world.ledger.count_predictions("demo")
    file = b"amount,term_months\n9000,36\n9000,0\n5000,12\n"
    answer = client.post("/score/demo/file", files={"file": ("a.csv", file, "text/csv")})
    assert (answer.status_code, answer.headers["x-refit-refused"]) == (200, "1")
    assert world.ledger.count_predictions("demo") == before + 2


def test_a_spreadsheets_file_is_scored_with_its_bad_lines_named_and_no_cell_a_formula(client, world):
    before = world.ledger.count_predictions("demo")
    lines = ["amount;term_months;name"] + ["9000;36;Ada"] * 2_000 + ["secret;36;=1+1", "9000;36", ";;"]
    content = "\r\n".join(lines).encode("utf-8-sig")
    answer = client.post("/score/demo/file", files={"file": ("a.csv", content, "text/csv")})
    assert (answer.status_code, answer.headers["x-refit-refused"]) == (200, "2")
    found = answer.content.decode("utf-8-sig").splitlines()
    assert len(found) == 2_003
    assert found[-2].startswith("secret;36;'=1+1;;;;;;;line 2002, amount: not a number")
    assert found[-1].endswith("line 2003, the whole line: 2 cells, where the first line has 3")
    assert world.ledger.count_predictions("demo") == before + 2_000


def test_a_report_that_was_swept_is_gone_and_nothing_else_is(client, world):
    row = world.ledger.reports("demo", kind="drift", limit=1)[0]
    path = world.settings.reports / row.path_html
    aside = path.rename(path.with_suffix(".aside"))
    try:
        for page in ("", "/html"):
            answer = client.get(f"/reports/{row.id}{page}")
            assert (answer.status_code, "swept" in answer.text) == (404, True)
        assert "swept" in client.get("/reports").text
    finally:
        aside.rename(path)
    assert client.get(f"/reports/{row.id}").status_code == 200


def test_a_live_model_that_was_altered_is_a_fault_that_says_what_to_do(world, live):
    (path,) = world.settings.bundles.glob(f"*/{live}/bundle.json")
    kept = path.read_bytes()
    settings = Settings.model_validate(world.settings.model_dump() | {"console_port": free_port()})
    path.write_bytes(kept + b" ")
    try:
        with console(settings, "console-altered.log") as client:
            answer = client.get("/score/demo")
            assert answer.status_code == 500
            assert "refit doctor" in answer.text
            assert "bundle.json" not in answer.text
            assert client.get("/").status_code == 200
        assert "altered since it was written" in (settings.folder / "console-altered.log").read_text()
    finally:
        path.write_bytes(kept)


def test_prometheus_can_read_what_the_night_left(client):
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    by_column = {sample.labels["column"]: sample.value for sample in families["refit_psi"].samples}
    assert by_column["credit_score"] >= 0
    success = {one.labels["use_case"]: one.value for one in families["refit_last_night_success"].samples}
    assert success == {"demo": 1.0}


@pytest.mark.parametrize(
    "path",
    [
        "/reports/../../../etc/passwd",
        "/reports/%2e%2e%2f%2e%2e%2fetc%2fpasswd/html",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/models/..%2f..%2fetc%2fpasswd/card",
    ],
)
@pytest.mark.usefixtures("client")
def test_no_path_leads_out_of_the_store(world, path):
    """Sent as it stands: a client of HTTP would tidy it first."""
    with socket.create_connection(("127.0.0.1", world.settings.console_port), timeout=30) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] == b"404"
    assert b"root:" not in answer
    assert b"create_app" not in answer


@pytest.mark.usefixtures("client")
def test_a_head_without_an_end_is_refused_after_some_kilobytes(world):
    """Else whoever reaches the port could fill the memory before a token is asked for."""
    with socket.create_connection(("127.0.0.1", world.settings.console_port), timeout=30) as raw:
        # No longer than is read of it before the refusal: else a reset could overtake the answer.
        raw.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 20_000)
        assert raw.recv(65536).split()[1] == b"400"


def test_a_foreign_host_name_is_refused(client):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no loopback of IPv6")
def test_on_the_loopback_of_ipv6_it_answers_and_a_foreign_host_name_is_refused(world):
    settings = Settings.model_validate(world.settings.model_dump() | {"console_port": free_port("::1"), "host": "::1"})
    with console(settings, "console-ipv6.log") as client:
        assert client.base_url.host == "::1"
        assert client.get("/").status_code == 200
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_off_loopback_it_refuses_to_start_without_a_token(world):
    asked = environment(world.settings) | {"REFIT_HOST": "0.0.0.0"}  # noqa: S104 - it must not
    command = [sys.executable, "-m", "refit.console"]
    done = subprocess.run(command, env=asked, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "REFIT_CONSOLE_TOKEN" in done.stderr


def test_with_a_token_only_who_has_it_reads_and_a_framed_report_brings_its_own_key(world):
    settings = Settings.model_validate(
        world.settings.model_dump() | {"console_port": free_port(), "console_token": SecretStr(TOKEN)}
    )
    first, other = (row.id for row in world.ledger.reports("demo", limit=2))
    with console(settings, "console-token.log", REFIT_CONSOLE_TOKEN=TOKEN) as client:
        assert client.get("/", headers=REFUSES).status_code == 401
        assert client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        asked = client.get("/", headers={"accept": "text/html"})
        assert (asked.status_code, asked.headers["location"]) == (303, "/login")
        assert client.post("/login", data={"token": "wrong"}).status_code == 401
        assert client.get("/", headers=REFUSES).status_code == 401
        address = frame_url(settings, str(first))
        key = address.partition("?")[2]
        assert httpx.get(address, trust_env=False).status_code == 200
        assert httpx.get(address.replace(str(first), str(other)), headers=REFUSES, trust_env=False).status_code == 401
        assert client.get(f"/reports?{key}", headers=REFUSES).status_code == 401
        assert client.post("/login", data={"token": TOKEN}).status_code == 303
        assert client.get("/", headers=REFUSES).status_code == 200
