"""The manifests: against the API's own schemas, and against what must hold of every pod."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

KUBERNETES = Path(__file__).parents[3] / "deployments" / "kubernetes"
FILES = [path for path in sorted((KUBERNETES / "base").glob("*.yaml")) if path.name != "kustomization.yaml"]
VERSION = "1.31"
Object = dict[str, Any]


def objects() -> Iterator[Object]:
    for path in FILES:
        yield from yaml.safe_load_all(path.read_text())


OBJECTS = list(objects())
NAMES = [f"{one['kind']} {one['metadata']['name']}" for one in OBJECTS]
PODS = {
    f"{one['kind']} {one['metadata']['name']}": one["spec"]["template"]
    for one in OBJECTS
    if one["kind"] in {"Deployment", "Job"}
}
TEMPLATE = json.loads((KUBERNETES / "base" / "base-job-template.json").read_text())
RUN = TEMPLATE["job_configuration"]["job_manifest"]
PODS["run"] = RUN["spec"]["template"]


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def test_a_field_the_api_does_not_know_would_be_seen() -> None:
    one = deepcopy(next(one for one in OBJECTS if one["kind"] == "Deployment"))
    one["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(one, VERSION, strict=True)


@pytest.mark.parametrize("one", OBJECTS, ids=NAMES)
def test_the_api_knows_every_field(one: Object) -> None:
    kubernetes_validate.validate(one, VERSION, strict=True)


def test_the_job_of_a_run_fits_the_api_once_prefect_filled_it_in() -> None:
    text = json.dumps(RUN)
    for name, value in (
        ("env", [{"name": "A", "value": "b"}]),
        ("labels", {"a": "b"}),
        ("command", ["prefect", "flow-run", "execute"]),
    ):
        text = text.replace(f'"{{{{ {name} }}}}"', json.dumps(value))
    for name, value in (("namespace", "refit"), ("image", "refit"), ("name", "a"), ("cpu", "1"), ("memory", "6Gi")):
        text = text.replace(f"{{{{ {name} }}}}", value)
    assert "{{" not in text
    kubernetes_validate.validate(json.loads(text), VERSION, strict=True)


def test_what_prefect_starts_is_no_command_of_the_images_entrypoint() -> None:
    container = RUN["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["env"]
    assert container["args"] == "{{ command }}"


def test_every_variable_of_the_job_template_is_used_and_declared() -> None:
    declared = TEMPLATE["variables"]["properties"].keys()
    text = json.dumps(TEMPLATE["job_configuration"])
    assert {name for name in declared if f"{{{{ {name} }}}}" not in text} == set()


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_without_rights(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is (name == "Deployment worker")
    for container in containers(PODS[name]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("name", PODS)
def test_a_secret_is_only_named(name: str) -> None:
    for container in containers(PODS[name]):
        for variable in container["env"] if isinstance(container.get("env"), list) else []:
            if variable["name"].endswith(("_URL", "_KEYS", "_TOKEN", "PASSWORD")):
                assert variable["valueFrom"]["secretKeyRef"]["name"] == "refit", variable["name"]
    assert not any(one["kind"] == "Secret" for one in OBJECTS)


def test_the_service_never_has_a_pod_less_than_it_should() -> None:
    service = next(one for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == ("Deployment", "service"))
    assert service["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert service["spec"]["replicas"] >= 2
    container = service["spec"]["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["lifecycle"]["preStop"]
    budget = next(one for one in OBJECTS if one["kind"] == "PodDisruptionBudget")
    assert budget["spec"]["selector"] == service["spec"]["selector"]


def test_nothing_talks_but_by_leave() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in OBJECTS if one["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    to_postgres = policies["to-postgres"]["podSelector"]["matchExpressions"][0]["values"]
    with_database = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]
        for pod in PODS.values()
        if "DATABASE" in json.dumps(pod) or "refit-run" in json.dumps(pod)
    }
    assert {*to_postgres} == with_database


def test_every_selector_finds_its_pods() -> None:
    known = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in PODS.values()}
    for one in OBJECTS:
        if one["kind"] == "Service":
            assert one["spec"]["selector"]["app.kubernetes.io/name"] in known
        for value in _named(one):
            assert value in known


def _named(one: Object) -> Iterator[str]:
    if one["kind"] == "NetworkPolicy":
        selector = one["spec"]["podSelector"]
        yield from (value for part in selector.get("matchExpressions", []) for value in part["values"])
        yield from selector.get("matchLabels", {}).values()


@pytest.mark.slow
def test_kustomize_builds_the_example_and_the_runs_get_the_workers_image() -> None:
    tool = next(
        (command for command in (["kustomize", "build"], ["kubectl", "kustomize"]) if shutil.which(command[0])), None
    )
    if tool is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    done = subprocess.run([*tool, KUBERNETES / "overlays" / "example"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for one in yaml.safe_load_all(done.stdout):
        kubernetes_validate.validate(one, VERSION, strict=True)
    built = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    assert all(one["metadata"].get("namespace") == "refit" for (kind, _), one in built.items() if kind != "Namespace")
    worker = built["Deployment", "worker"]["spec"]["template"]["spec"]["containers"][0]["image"]
    pool = built["Job", "deploy"]["spec"]["template"]["spec"]["initContainers"][0]
    assert worker.startswith("registry.example/refit:")
    assert {"name": "RUN_IMAGE", "value": worker} in pool["env"]
    assert built["Deployment", "service"]["spec"]["template"]["spec"]["containers"][0]["image"].startswith(
        "registry.example/refit-demo"
    )
