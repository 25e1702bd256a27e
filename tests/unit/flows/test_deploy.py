"""`refit deploy`, with commands in the place of `prefect deploy` and a server that is told what to keep."""

import sys

import pytest

from flows import automations, deploy
from refit.errors import OutageError
from refit.settings import Settings

COUNTING = """
import sys
from pathlib import Path
tries = Path(sys.argv[1])
tries.write_text(tries.read_text() + "." if tries.exists() else ".")
sys.exit("the server is busy" if len(tries.read_text()) < int(sys.argv[2]) else 0)
"""


class Server:
    def __init__(self, *_):
        self.kept = []

    def is_healthy(self):
        return True

    def keep_pool(self, name, **_):
        self.kept.append(name)

    def keep_automation(self, automation):
        self.kept.append(automation["name"])

    def close(self):
        self.kept.append("closed")


@pytest.fixture
def deploying(tmp_path, monkeypatch):
    """Deploy by a command that succeeds at a certain try; gives the number of tries and what the server was told."""
    server, tries = Server(""), tmp_path / "tries"
    monkeypatch.setattr(deploy, "PrefectServer", lambda _: server)

    def run(succeeds_at):
        command = [sys.executable, "-c", COUNTING, str(tries), str(succeeds_at)]
        monkeypatch.setattr(deploy, "deploy_command", lambda: command)
        try:
            deploy.deploy(Settings(home=tmp_path), lambda _: None)
        finally:
            run.n, run.kept = len(tries.read_text()), server.kept
        return run

    return run


@pytest.mark.parametrize("succeeds_at", [1, 3])
def test_a_deploy_that_fails_is_tried_again(deploying, succeeds_at):
    done = deploying(succeeds_at)
    assert done.n == succeeds_at
    assert done.kept == ["refit", *(automation["name"] for automation in automations.ALL), "closed"]


def test_one_that_fails_every_time_shows_what_prefect_said(deploying):
    with pytest.raises(OutageError, match=r"(?s)prefect deploy ended with code 1:.*the server is busy"):
        deploying(9)
    assert deploying.n == 3
    assert deploying.kept == ["refit", "closed"]


def test_one_that_hangs_is_an_outage(tmp_path, monkeypatch):
    monkeypatch.setattr(deploy, "PrefectServer", Server)
    monkeypatch.setattr(deploy, "DEPLOY_TRIES", 1)
    monkeypatch.setattr(deploy, "DEPLOY_SECONDS", 0.1)
    monkeypatch.setattr(deploy, "deploy_command", lambda: [sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(OutageError, match=r"prefect deploy did not end within 0\.1 s"):
        deploy.deploy(Settings(home=tmp_path), lambda _: None)
