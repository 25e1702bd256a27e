"""The runbook, read as an operator does: what it says to type is there."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from refit.cli import app
from refit.settings import Settings

ROOT = Path(__file__).parents[3]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
KUBERNETES = "".join(path.read_text() for path in sorted((ROOT / "deployments/kubernetes").rglob("*.*")))
GROUP = typer.main.get_group(app)
BLOCKS = "\n".join(re.findall(r"```\n(.*?)```", RUNBOOK, re.DOTALL))
TYPED = [*BLOCKS.replace("\\\n", " ").splitlines(), *re.findall(r"`([^`\n]+)`", RUNBOOK)]
CALLS = sorted(
    {
        call.strip()
        for line in TYPED
        for call in re.findall(r"(?:^refit|refit\.cli|lender) ([a-z][a-z-]+\b[^|#;&]*)", line)
    }
)


@pytest.mark.parametrize("call", CALLS)
def test_a_command_and_its_options_are_there(call: str) -> None:
    name, *rest = call.split()
    known = {option for parameter in GROUP.commands[name].params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\bdeployments/[\w./-]*\w", RUNBOOK))))
def test_a_file_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_a_container_it_names_is_there() -> None:
    text = "\n".join(TYPED)
    named = set(re.findall(r"docker compose (?:exec|logs) ([a-z]+)\b", text))
    named |= {name for names in re.findall(r"docker compose up -d ([a-z ]+)", text) for name in names.split()}
    assert len(named) > 4
    assert named <= SERVICES.keys()


def test_a_variable_it_names_is_one_of_ours() -> None:
    known = {f"REFIT_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bREFIT_[A-Z_]+\b", RUNBOOK)) <= known


def test_the_secrets_it_makes_for_a_cluster_are_those_the_manifests_name() -> None:
    made = set(re.findall(r"--from-literal=([a-z-]+)=", RUNBOOK))
    assert made == set(re.findall(r"secretKeyRef: {name: refit, key: ([a-z-]+)}", KUBERNETES))


def test_the_variables_of_a_deploy_are_those_the_workflow_reads() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    read = set(re.findall(r"\b(?:vars|secrets)\.(DEPLOY_\w+)", workflow))
    assert set(re.findall(r"`(DEPLOY_\w+)`", RUNBOOK)) == read


def test_the_alerts_it_explains_are_rules() -> None:
    rules = re.findall(r"alert: (\w+)", (ROOT / "deployments/prometheus/alerts.yml").read_text())
    table = RUNBOOK.split("## A bad night")[1]
    named = set(re.findall(r"^\| `([A-Z]\w+)`", table, re.MULTILINE))
    assert named
    assert named <= set(rules)
