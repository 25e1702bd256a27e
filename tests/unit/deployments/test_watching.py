"""Prometheus and Grafana: files that agree with each other and with what the servers expose."""

import json
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
DEPLOYMENTS = ROOT / "deployments"
BOARD: dict[str, Any] = json.loads((DEPLOYMENTS / "grafana/dashboards/refit.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((DEPLOYMENTS / "prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
CONFIG: dict[str, Any] = yaml.safe_load((DEPLOYMENTS / "prometheus/prometheus.yml").read_text())
SOURCES = "".join((ROOT / path).read_text() for path in ("bentos/metrics.py", "src/refit/console/metrics.py"))
PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", [])]
WANTED = (
    "refit_predictions_total",
    "refit_latency_seconds_bucket",
    "refit_score_bucket",
    "refit_model_info",
    "refit_model_age_seconds",
    "refit_log_backlog",
    "refit_psi",
    "refit_missing_share",
    "refit_last_night_success",
    "refit_last_night_seconds",
    "refit_matured_performance",
    "refit_promised",
    "ALERTS",
)


def exposed(name: str) -> bool:
    """Tell whether one of the two servers has a metric of that name."""
    bare = re.sub(r"_(bucket|total|info)$", "", name.removeprefix("refit_"))
    return re.search(rf'["_]{bare}["_]', SOURCES) is not None or f'"refit_{bare}"' in SOURCES


@pytest.mark.parametrize("name", WANTED)
def test_the_wall_shows(name: str) -> None:
    assert any(name in expression for expression in EXPRESSIONS)


def test_what_is_asked_for_is_what_the_servers_expose() -> None:
    asked = {
        name for text in [*EXPRESSIONS, *(rule["expr"] for rule in RULES)] for name in re.findall(r"refit_\w+", text)
    }
    assert asked
    assert {name for name in asked if not exposed(name)} == set()


def test_every_panel_has_its_own_place_number_and_source() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        box = panel["gridPos"]
        mine = {(x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])}
        assert not cells & mine, f"{panel['title']} lies on another"
        assert box["x"] + box["w"] <= 24
        cells |= mine
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "prometheus"


def test_grafana_finds_its_source_and_its_boards() -> None:
    source = yaml.safe_load((DEPLOYMENTS / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert [one["uid"] for one in source["datasources"]] == ["prometheus"]
    boards = yaml.safe_load((DEPLOYMENTS / "grafana/provisioning/dashboards/refit.yml").read_text())
    path = boards["providers"][0]["options"]["path"]
    mounted = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert f"./deployments/grafana/dashboards:{path}:ro" in mounted


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_prometheus_asks_both_servers_each_with_its_key() -> None:
    jobs = {job["job_name"]: job for job in CONFIG["scrape_configs"]}
    assert jobs.keys() == {"refit-service", "refit-nights"}
    written = (ROOT / "docker-compose.yml").read_text()
    assert {job["authorization"]["credentials_file"] for job in jobs.values()} == set(
        re.findall(r">(/run/refit/\w+)", written)
    )


@pytest.mark.parametrize(
    "arguments", [("config", "--syntax-only", "prometheus.yml"), ("rules", "alerts.yml")], ids=["config", "rules"]
)
def test_promtool_finds_nothing(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool", path=PATH)
    if promtool is None:
        pytest.skip("promtool is not installed: make promtool")
    done = subprocess.run(
        [promtool, "check", *arguments], cwd=DEPLOYMENTS / "prometheus", check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
