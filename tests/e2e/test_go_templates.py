"""Why the CRDs refuse `{{` in environment variables: what KServe makes of it. See docs/adr/0007."""

from __future__ import annotations

from typing import Any

from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster

RUNTIME = "go-templates"


def runtime(namespace: str) -> Manifest:
    """Return a runtime as the operator would publish it, on an image that nothing pulls."""
    container = {"name": "kserve-container", "image": "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0"}
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


def deployed_env(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """Return the environment of the model server's container, once KServe has made its Deployment."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}-predictor"
    deployment = cluster.api.wait_for(path, lambda _: True, 30, f"the Deployment of {name} is")
    containers = deployment["spec"]["template"]["spec"]["containers"]
    found = next(c for c in containers if c["name"] == "kserve-container")
    return {variable["name"]: variable for variable in found["env"]}


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
