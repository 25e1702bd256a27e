"""The upgrade of one server, with docker and git played by scripts that write down how they were called."""

import os
import subprocess
from pathlib import Path

import pytest

UPGRADE = Path(__file__).parents[3] / "deployments" / "upgrade.sh"
ENVIRONMENT = "LEDGER_PASSWORD=secret\nREFIT_IMAGE=refit:local\nUSECASE=sba\nSERVICE_IMAGE=refit-service:local\n"


class Server:
    """A checkout on a server, and what was done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tools, self.log = folder / "refit", folder / "bin", folder / "log"
        (self.folder / "deployments").mkdir(parents=True)
        (self.folder / ".env").write_text(ENVIRONMENT)
        (self.folder / ".env").chmod(0o600)
        self.tools.mkdir()
        for path in (self.tools / "docker", self.tools / "git", self.folder / "deployments" / "backup.sh"):
            self.play(path)

    def play(self, path: Path, more: str = "") -> None:
        path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>{self.log}\ncat >/dev/null\n{more}')
        path.chmod(0o755)

    def upgrade(self) -> int:
        environment = os.environ | {"PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}", "BACKUPS": "/backups"}
        command = ["bash", "-es", "--", str(self.folder), "v2", "registry.example"]
        with UPGRADE.open() as script:  # as the workflow sends it
            return subprocess.run(command, stdin=script, env=environment, check=False, capture_output=True).returncode

    @property
    def done(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_a_back_up_comes_first_and_the_start_last(server: Server) -> None:
    assert server.upgrade() == 0
    assert server.done[0].startswith("backup.sh /backups/")
    assert server.done[0].endswith("-before-v2")
    assert "git checkout --detach v2" in server.done
    assert server.done[-1] == "docker compose up --detach --no-build --wait --remove-orphans"


def test_what_is_started_later_is_what_was_upgraded_to(server: Server) -> None:
    server.upgrade()
    text = (server.folder / ".env").read_text()
    assert text.splitlines() == [
        "LEDGER_PASSWORD=secret",
        "USECASE=sba",
        "REFIT_IMAGE=registry.example/refit:v2",
        "SERVICE_IMAGE=registry.example/refit-service:v2",
    ]
    assert (server.folder / ".env").stat().st_mode & 0o777 == 0o600


def test_without_its_images_nothing_changes(server: Server) -> None:
    server.play(server.tools / "docker", "exit 1\n")
    assert server.upgrade() != 0
    assert (server.folder / ".env").read_text() == ENVIRONMENT
    assert not any("compose up" in line for line in server.done)


def test_without_a_back_up_nothing_changes(server: Server) -> None:
    server.play(server.folder / "deployments" / "backup.sh", "exit 1\n")
    assert server.upgrade() != 0
    assert len(server.done) == 1
