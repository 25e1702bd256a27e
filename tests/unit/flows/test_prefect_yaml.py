"""`prefect.yaml` and the use cases tell the same story."""

import importlib
import re
from pathlib import Path

import pytest
import yaml
from prefect import Flow

from flows.automations import OURS
from flows.conductor import POOL, ROOT
from flows.events import RETRAIN_REQUESTED, resource
from refit.usecase.catalogue import find, names

CONTENT = yaml.safe_load((Path(__file__).parents[3] / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS = {deployment["name"]: deployment for deployment in CONTENT["deployments"]}


def flow_of(deployment) -> Flow:
    path, _, name = deployment["entrypoint"].partition(":")
    assert (ROOT / path).is_file()
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert isinstance(flow, Flow)
    return flow


def test_every_use_case_has_its_night_and_its_retrain_and_nothing_else_has():
    assert set(DEPLOYMENTS) == {f"{flow}-{usecase}" for flow in ("nightly", "retrain") for usecase in names()}


def test_the_automations_and_the_sweep_know_every_flow_by_its_name():
    assert set(OURS) == {flow_of(deployment).name for deployment in DEPLOYMENTS.values()}


@pytest.mark.parametrize("usecase", names())
def test_the_night_is_due_when_the_use_case_says(usecase):
    assert DEPLOYMENTS[f"nightly-{usecase}"]["schedules"] == [{"cron": find(usecase).schedule, "timezone": "UTC"}]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_calls_its_own_flow_with_its_own_use_case(name):
    deployment = DEPLOYMENTS[name]
    flow, _, usecase = name.partition("-")
    assert flow_of(deployment).name == flow
    assert deployment["parameters"] == {"usecase": usecase}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_gives_only_parameters_that_its_flow_takes(name):
    assert set(DEPLOYMENTS[name]["parameters"]) <= set(flow_of(DEPLOYMENTS[name]).parameters.properties)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_two_runs_of_a_deployment_never_overlap(name):
    assert DEPLOYMENTS[name]["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_deployment_goes_to_the_pool_that_refit_up_keeps(name):
    assert DEPLOYMENTS[name]["work_pool"] == {"name": POOL}


def test_no_path_of_a_machine_stands_in_it():
    assert not re.search(r"[\s\"'](/|~|[A-Z]:\\)", (ROOT / "prefect.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("usecase", names())
def test_a_retrain_starts_weekly_and_when_monitoring_asks_for_this_use_case(usecase):
    retrain = DEPLOYMENTS[f"retrain-{usecase}"]
    assert len(retrain["schedules"]) == 1
    (trigger,) = retrain["triggers"]
    assert trigger["expect"] == [RETRAIN_REQUESTED]
    assert trigger["match"] == {"prefect.resource.id": resource(usecase)}
    assert trigger["parameters"] == {"usecase": usecase, "requested": True}
    assert trigger["within"] > 0  # several requests at once start one run
