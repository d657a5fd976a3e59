"""Privileges by way of KServe's Go templates: what KServe makes of a `{{`, and that none of ours reaches it.

See docs/adr/0007.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import yaml

from aim_operator.api.v1alpha1 import SERVICES
from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from hack.cluster.errors import ClusterError
from tests.support import go_template_attack
from tests.support.catalog_yaml import IMAGE, catalog, service
from tests.support.operator_process import (
    apply_yaml,
    eventually,
    grant_roles,
    reasons,
    running_operator,
    status_of,
)

RUNTIME = "go-templates"


def runtime(namespace: str) -> Manifest:
    """Return a runtime as the operator would publish it, on an image that nothing pulls."""
    container = {"name": "kserve-container", "image": IMAGE}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": RUNTIME, "namespace": namespace},
        "spec": {"supportedModelFormats": [{"name": "aim", "version": "1"}], "containers": [container]},
    }


def inference_service(namespace: str, name: str, env: list[Manifest]) -> Manifest:
    model = {
        "modelFormat": {"name": "aim", "version": "1"},
        "runtime": RUNTIME,
        "env": env,
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
            },
        },
        "spec": {"predictor": {"model": model}},
    }


def deployment(cluster: Cluster, namespace: str, name: str) -> Manifest:
    """Return the Deployment of a model server, once KServe has made it."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}-predictor"
    found: Manifest = cluster.api.wait_for(path, lambda _: True, 30, f"the Deployment of {name} is")
    return found


def container_of(cluster: Cluster, namespace: str, name: str) -> Manifest:
    containers: list[Manifest] = deployment(cluster, namespace, name)["spec"]["template"]["spec"][
        "containers"
    ]
    return next(container for container in containers if container["name"] == "kserve-container")


def deployed_env(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    return {variable["name"]: variable for variable in container_of(cluster, namespace, name)["env"]}


def test_kserve_executes_values_as_go_templates_and_leaves_references_alone(full_cluster: Cluster) -> None:
    with full_cluster.namespace() as namespace:
        full_cluster.api.apply(runtime(namespace))
        reference = {"configMapKeyRef": {"name": "chat-template", "key": "jinja"}}
        good: list[Manifest] = [
            {"name": "WHERE", "value": "{{.Namespace}}"},
            {"name": "CHAT", "valueFrom": reference},
        ]
        bad: list[Manifest] = [{"name": "CHAT", "value": "{{ messages }}"}]
        full_cluster.api.apply(inference_service(namespace, "good", good))
        full_cluster.api.apply(inference_service(namespace, "bad", bad))
        env = deployed_env(full_cluster, namespace, "good")
        assert env["WHERE"]["value"] == namespace, "replaced without a word"
        assert env["CHAT"]["valueFrom"] == reference, "what the rule's message says to use"
        failed = full_cluster.api.wait_for(
            f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/bad",
            lambda found: "lastFailureInfo" in found.get("status", {}).get("modelStatus", {}),
            30,
            "the failure is told;",
        )
        said = failed["status"]["modelStatus"]["lastFailureInfo"]["message"]
        assert "placeholders" in said


def test_kserve_executes_pieces_of_a_template_in_the_versions_of_fields(full_cluster: Cluster) -> None:
    """What is at stake: a variable of the platform between two pieces is gone."""
    with full_cluster.namespace() as namespace:
        full_cluster.api.apply(runtime(namespace))
        env = [
            go_template_attack.piece("BEFORE", "v1{{/*"),
            {"name": "POLICY", "value": "set by the platform"},
            go_template_attack.piece("AFTER", "*/}}"),
        ]
        full_cluster.api.apply(inference_service(namespace, "taken", env))
        got = deployed_env(full_cluster, namespace, "taken")
        assert "BEFORE" in got
        assert {"POLICY", "AFTER"}.isdisjoint(got)


@contextmanager
def before_the_rule(cluster: Cluster) -> Iterator[None]:
    """Let the API server take any version of a field, as it did when older objects were stored."""
    crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{SERVICES.plural}.{SERVICES.group}"
    found = cluster.api.get(crd)
    assert found is not None
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/env/items/properties"
    field += "/valueFrom/properties/fieldRef/properties/apiVersion/enum"
    cluster.kubectl("patch", "crd", found["metadata"]["name"], "--type=json", "-p", _patch("remove", field))
    try:
        yield
    finally:
        cluster.kubectl(
            "patch", "crd", found["metadata"]["name"], "--type=json", "-p", _patch("add", field, ["v1"])
        )


def _patch(operation: str, path: str, value: Any = None) -> str:
    return yaml.safe_dump([{"op": operation, "path": path, "value": value}], default_flow_style=True)


def attacked_service(namespace: str, name: str) -> str:
    manifest: Manifest = yaml.safe_load(service(namespace, name).lstrip("-\n"))
    manifest["spec"]["env"] = go_template_attack.env()
    return yaml.safe_dump(manifest)


@pytest.mark.needs_node
def test_a_service_gets_no_other_image_and_no_privileges_and_others_are_served(
    full_cluster: Cluster,
) -> None:
    cluster = full_cluster
    grant_roles(cluster)
    with (
        cluster.namespace("go-templates") as namespace,
        running_operator(cluster, f"--namespaces={namespace}"),
    ):

        def state(name: str) -> str:
            found: str = status_of(cluster, "aimsvc", name, namespace).get("status", "")
            return found

        apply_yaml(cluster, catalog(namespace) + service(namespace, "running"))
        eventually(lambda: state("running") == "Running", "it runs")
        before = deployment(cluster, namespace, "running")
        with pytest.raises(ClusterError, match='supported values: "v1"'):
            apply_yaml(cluster, attacked_service(namespace, "running"))
        with before_the_rule(cluster):
            eventually(
                lambda: _taken(cluster, attacked_service(namespace, "running")), "the API server takes it"
            )
            apply_yaml(cluster, attacked_service(namespace, "new"))
        for name in ("running", "new"):
            eventually(partial(_refused, cluster, namespace, name), f"{name} is refused")
        status = status_of(cluster, "aimsvc", "running", namespace)
        (failure,) = [c for c in status["conditions"] if c["type"] == "Failure"]
        assert (
            'env["V0"].valueFrom.fieldRef.apiVersion of the InferenceService has "{{$q:='
            in failure["message"]
        )
        assert reasons(status)["RuntimeReady"] == "True/RuntimeReady", "the old Pod serves"
        # KServe works, and made nothing of either.
        apply_yaml(cluster, service(namespace, "later"))
        eventually(lambda: state("later") == "Running", "another service runs")
        assert (
            deployment(cluster, namespace, "running")["metadata"]["generation"]
            == (before["metadata"]["generation"])
        )
        made = cluster.kubectl("get", "isvc", f"--namespace={namespace}", "--output=name").split()
        assert sorted(made) == [f"inferenceservice.serving.kserve.io/{name}" for name in ("later", "running")]


def _refused(cluster: Cluster, namespace: str, name: str) -> bool:
    failure = reasons(status_of(cluster, "aimsvc", name, namespace)).get("Failure")
    return failure == "True/GoTemplateRefused"


def _taken(cluster: Cluster, text: str) -> bool:
    try:
        apply_yaml(cluster, text)
    except ClusterError:
        return False
    return True
