"""The compose file, read as text: what holds of every container, and that no password is anybody's guess."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_OFF = {"migrate", "deploy", "lender"}
SERVERS = sorted(SERVICES.keys() - ONE_OFF)
SECRET = re.compile(r"PASSWORD|TOKEN|KEY|SECRET")
EXAMPLE = dict(
    line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if re.match(r"\w+=", line)
)


def test_every_secret_is_required_and_none_has_a_default() -> None:
    variables = re.findall(r"\$\{(\w+)(:?[?-][^}]*)?\}", TEXT)
    assert len(variables) > 15
    optional = {"REFIT_WEBHOOK_SECRET"}
    required = {name for name, rest in variables if rest.startswith(":?")}
    for name, rest in variables:
        if SECRET.search(name) and name not in optional:
            assert name in required, name
            assert not rest.startswith(":-"), name
    assert all(rest == ":-" for name, rest in variables if name in optional)


def test_the_example_names_every_variable_and_gives_no_secret() -> None:
    used = {name for name, _ in re.findall(r"\$\{(\w+)(:?[?-][^}]*)?\}", TEXT)}
    assert used == EXAMPLE.keys()
    assert not any(value for name, value in EXAMPLE.items() if SECRET.search(name))


def test_what_the_compose_file_falls_back_to_stands_in_the_example() -> None:
    for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT):
        assert EXAMPLE[name] == default, name


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_watched_limited_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"]["memory"]
    if name == "postgres":  # its entrypoint gives the data folder to its user, and then becomes it
        return
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user", "10001") not in {"0", "root"}


@pytest.mark.parametrize("name", SERVERS)
def test_a_port_is_open_on_the_loopback_address_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("${BIND:-127.0.0.1}:")


def test_nothing_starts_before_what_it_needs_is_healthy() -> None:
    for name, service in SERVICES.items():
        for other, terms in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_OFF else "service_healthy"
            assert terms["condition"] == wanted, (name, other)


def test_refit_gets_the_reader_of_the_source_and_the_lender_stays_apart() -> None:
    for name in ("worker", "console", "migrate", "deploy"):
        assert "refit_reader:" in SERVICES[name]["environment"]["REFIT_SOURCE_URL"]
        assert "LENDER_PASSWORD" not in str(SERVICES[name])
    assert SERVICES["lender"]["profiles"] == ["lender"]
    assert "REFIT_SOURCE_URL" not in SERVICES["service"]["environment"]


@pytest.mark.parametrize(
    ("schema", "file"),
    [("compose-spec", "docker-compose.yml"), ("github-workflows", ".github/workflows/ci.yml")],
    ids=["compose", "workflow"],
)
def test_the_file_fits_its_published_schema(schema: str, file: str) -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    command = [check, "--builtin-schema", f"vendor.{schema}", ROOT / file]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_itself_takes_the_file() -> None:
    docker = shutil.which("docker")
    environment = os.environ | dict.fromkeys(EXAMPLE, "value-of-a-test") | {"BIND": "127.0.0.1"}
    environment |= {name: value for name, value in EXAMPLE.items() if name.endswith("_PORT")}
    lab = Path(os.environ.get("COMPOSE_LAB_STATE") or "/var/tmp/compose-lab") / "cfg"  # noqa: S108 - the lab's default
    if "DOCKER_CONFIG" not in environment and lab.is_dir():
        environment["DOCKER_CONFIG"] = str(lab)
    if (
        docker is None
        or subprocess.run([docker, "compose", "version"], env=environment, check=False, capture_output=True).returncode
    ):
        pytest.skip("docker compose is not installed; the schema above holds all the same")
    command = [docker, "compose", "--project-directory", ROOT, "--env-file", "/dev/null", "config", "--quiet"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
