"""`refit serve` started while Postgres is away: real processes, a real server that is killed and comes back."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from refit.errors import OutageError
from refit.loop.serve import kept_file
from refit.release.bento import BUNDLE, bento_path
from refit.settings import Settings
from refit.store.embedded import running
from refit.store.ledger import Ledger
from refit.store.rows import ReleaseRow
from tests.integration.conftest import run
from tests.integration.loop.serving import (
    PATIENCE,
    Service,
    ids_of,
    left_over,
    load,
    put_live,
    stop_postgres,
    wait_until,
)
from tests.integration.release.conftest import INPUTS, toy_bundle

FIRST, SECOND = toy_bundle(1), toy_bundle(2)


class Postgres:
    """A server that is killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = ExitStack()
        self.url = ""

    def start(self) -> None:
        url = self._runs.enter_context(running(self._folder))
        assert self.url in {"", url}
        self.url = url

    def kill(self) -> None:
        stop_postgres(self._folder)

    def close(self) -> None:
        self._runs.close()


@pytest.fixture
def postgres(tmp_path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres")
    server.start()
    yield server
    server.close()


@pytest.fixture
def settings(postgres, tmp_path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=postgres.url, usecases=tmp_path / "usecases")


class Command(Service):
    """The command itself, as an operator types it."""

    def __init__(self, settings: Settings, said: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = settings.folder / "spool" / "toy"
        self._said = said
        environment = {"REFIT_HOME": str(settings.folder), "REFIT_USECASES": str(settings.usecases)}
        if settings.database_url is not None:
            environment["REFIT_DATABASE_URL"] = settings.database_url.get_secret_value()
        with said.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "refit.cli", "serve", "toy", "--port", str(self.port)],
                env={name: value for name, value in os.environ.items() if not name.startswith("REFIT_")} | environment,
                stderr=file,
            )

    @property
    def said(self) -> str:
        """What it wrote for its operator, without the breaks of the terminal's lines."""
        return " ".join(self._said.read_text().split())

    def version(self) -> str:
        """Return the version that answers."""
        return json.loads(self.ask("GET", "/model")[1])["version"]

    def refusal(self) -> str:
        """Return why nobody is answered."""
        status, body = self.ask("GET", "/readyz")
        assert status == 503
        error = json.loads(body)["error"]
        assert error["code"] == "not_ready"
        return error["message"]

    def metrics(self) -> dict[str, float]:
        """Return every sample by its name and labels."""
        lines = self.ask("GET", "/metrics")[1].decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def metrics_of(self, version: str) -> dict[str, float]:
        """Return the samples of a version once its supervisor has told it of itself.

        The one before it may be asked as well until it has drained.
        """
        seen: dict[str, float] = {}

        def is_told() -> bool:
            seen.clear()
            seen.update(self.metrics())
            of_version = any(name.startswith("refit_model_info") and f'version="{version}"' in name for name in seen)
            return of_version and "refit_release_unconfirmed" in seen

        wait_until(is_told)
        return seen

    def kill(self) -> None:
        """End supervisor and generation as a lost container would."""
        children = psutil.Process(self.process.pid).children()
        self.process.kill()
        self.process.wait()
        for child in children:
            child.kill()
        psutil.wait_procs(children, PATIENCE)


@contextmanager
def serving(settings: Settings, said: Path) -> Iterator[Command]:
    service = Command(settings, said)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.kill()


def kept_version(settings: Settings) -> str:
    """Return the version that was written down as live here last."""
    return json.loads(kept_file(settings, "toy").read_text())["version"]


def once_live(settings: Settings, said: Path) -> None:
    """Have this machine serve what the ledger says is live, and end."""
    with serving(settings, said) as service:
        wait_until(service.ready)
        wait_until(kept_file(settings, "toy").exists)
        assert service.stop() == 0


@pytest.mark.timeout(300)
def test_what_was_live_here_answers_without_postgres_and_log_and_newer_release_follow_once_it_is_back(
    settings, postgres, tmp_path
):
    put_live(settings, FIRST)
    once_live(settings, tmp_path / "said")
    postgres.kill()
    with serving(settings, tmp_path / "said") as service, load(service.port, INPUTS, connections=2) as before:
        wait_until(lambda: len(ids_of(before)) > 100)
        assert f"Until the ledger answers, {FIRST.version} is served, which was live here last" in service.said
        assert "does not answer" in service.said
        service.kill()
        for client in before:
            client.ended.set()
        wait_until(lambda: not any(client.is_alive() for client in before))
    with serving(settings, tmp_path / "said") as service:
        wait_until(service.ready)
        with load(service.port, INPUTS, connections=4) as clients:
            wait_until(lambda: len(ids_of(clients)) > 200)
            seen = service.metrics_of(FIRST.version)
            assert seen["refit_release_unconfirmed"] == 1
            assert seen["refit_ledger_silent_seconds"] > 0
            assert seen["refit_log_backlog"] > 200
            since_live = seen['refit_model_age_seconds{since="live"}']
            assert since_live > time.time() - psutil.Process(service.process.pid).create_time()
            postgres.start()
            put_live(settings, SECOND)
            wait_until(lambda: service.version() == SECOND.version)
            during = len(ids_of(clients))
            wait_until(lambda: len(ids_of(clients)) > during + 100)
            seen = service.metrics_of(SECOND.version)
            assert (seen["refit_release_unconfirmed"], seen["refit_ledger_silent_seconds"]) == (0, 0)
        assert "the ledger answers again" in service.said
        wait_until(lambda: kept_version(settings) == SECOND.version)
        assert service.stop() == 0
        assert left_over(service.folder) == []
    assert [client.broken for client in clients] == [0] * 4
    assert [client.refused for client in clients] == [[]] * 4
    ids = ids_of(before) + ids_of(clients)
    found = [str(row[0]) for row in run(postgres.url, "SELECT id FROM refit.prediction")]
    assert len(found) == len(set(found))
    assert len(ids) == len(set(ids))
    assert sorted(set(ids) - set(found)) == []
    assert kept_version(settings) == SECOND.version


def write_use_case(settings: Settings) -> None:
    settings.usecases.mkdir()
    (settings.usecases / "toy.yaml").write_text(FIRST.usecase.model_dump_json(by_alias=True, exclude_unset=True))


@pytest.mark.timeout(300)
def test_where_nothing_was_live_it_waits_with_a_clear_line_and_comes_up_by_itself(settings, postgres, tmp_path):
    """The tables are made then too: whether they are there could not be seen at the start."""
    write_use_case(settings)
    postgres.kill()
    with serving(settings, tmp_path / "said") as service:
        wait_until(lambda: "No release was live on this machine before" in service.said)
        wait_until(lambda: "the ledger that names it does not answer" in service.refusal())
        postgres.start()
        wait_until(lambda: "the ledger answers again" in service.said)
        with Ledger(postgres.url) as ledger:
            assert ledger.revision() is not None
        put_live(settings, FIRST)
        wait_until(service.ready)
        wait_until(lambda: service.metrics().get("refit_release_unconfirmed") == 0)
        assert service.stop() == 0


@pytest.mark.timeout(300)
def test_a_kept_release_whose_bento_is_altered_or_gone_is_not_served_and_said_so(settings, postgres, tmp_path):
    put_live(settings, FIRST)
    once_live(settings, tmp_path / "said")
    postgres.kill()
    bento = bento_path(f"refit_toy:{FIRST.version}", settings.bentoml)
    altered = bento / BUNDLE / "calibrator.json"
    whole = altered.read_bytes()
    altered.write_bytes(whole.replace(b"1.0", b"0.5"))
    with serving(settings, tmp_path / "said") as service:
        wait_until(lambda: "calibrator.json was altered since it was live. Every request gets 503" in service.said)
        assert service.ask("POST", "/predict", INPUTS[0])[0] == 503
        shutil.rmtree(bento)
        wait_until(lambda: "there is no Bento in" in service.said)
        assert service.ask("POST", "/predict", INPUTS[0])[0] == 503
        assert service.generations() == []
        assert service.stop() == 0


@pytest.mark.timeout(300)
def test_what_was_taken_back_meanwhile_is_taken_back_here_once_postgres_is_back(settings, postgres, tmp_path):
    put_live(settings, FIRST)
    put_live(settings, SECOND)
    once_live(settings, tmp_path / "said")
    postgres.kill()
    with serving(settings, tmp_path / "said") as service:
        wait_until(service.ready)
        assert service.version() == SECOND.version
        postgres.start()
        with Ledger(postgres.url) as ledger:
            ledger.record_release(
                ReleaseRow(
                    usecase="toy",
                    version=FIRST.version,
                    bento_tag=f"refit_toy:{FIRST.version}",
                    kind="rollback",
                    reason="on another host",
                    as_of=FIRST.as_of,
                )
            )
        wait_until(lambda: service.version() == FIRST.version)
        wait_until(lambda: kept_version(settings) == FIRST.version)
        assert service.stop() == 0
    assert kept_version(settings) == FIRST.version


@pytest.mark.timeout(300)
def test_an_embedded_postgres_that_does_not_start_keeps_only_those_waiting_who_have_something_to_serve(
    settings, tmp_path
):
    put_live(settings, FIRST)
    once_live(settings, tmp_path / "said")
    data = settings.folder / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    (data.parent / "password").write_text("secret")
    alone = settings.model_copy(update={"database_url": None})
    with serving(alone, tmp_path / "said") as service:
        wait_until(service.ready)
        assert "does not start" in service.said
        assert f"Until the ledger answers, {FIRST.version} is served" in service.said
        assert service.stop() == 0
    kept_file(settings, "toy").unlink()
    with serving(alone, tmp_path / "said") as service:
        assert service.process.wait(PATIENCE) == OutageError.exit_code
        assert "error: the embedded Postgres in" in service.said
