"""A hub that wants a token, on a real node: said once, it reaches discovery, the download and the server."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import IMAGE, service
from tests.support.model_hub import ModelHub, model_hub
from tests.support.operator_process import apply_yaml, eventually, grant_roles, running_operator, status_of

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_operator_image]

TOKEN = "hf_token-of-the-platform"


def catalog(namespace: str, config: str, hub: ModelHub) -> str:
    """Return a Secret with the token, and a cluster configuration that alone says token and endpoint."""
    return f"""
apiVersion: v1
kind: Secret
metadata: {{name: hub-token, namespace: {namespace}}}
stringData: {{token: {TOKEN}}}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterRuntimeConfig
metadata: {{name: {config}}}
spec:
  env:
    - {{name: HF_ENDPOINT, value: "{hub.hub.url}"}}
    - {{name: AIM_ALLOW_PLAIN_HTTP, value: "true"}}
    - {{name: HF_TOKEN, valueFrom: {{secretKeyRef: {{name: hub-token, key: token}}}}}}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMImage
metadata: {{name: model, namespace: {namespace}}}
spec:
  image: {IMAGE}
  runtimeConfigName: {config}
  defaultServiceTemplate: fast
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMServiceTemplate
metadata: {{name: fast, namespace: {namespace}}}
spec:
  aimImageName: model
  metric: latency
  precision: fp16
  gpuSelector: {{count: 1, model: MI300X}}
"""


def runs(cluster: Cluster, namespace: str, name: str) -> bool:
    return status_of(cluster, "aimsvc", name, namespace).get("status") == "Running"


def test_a_token_said_once_opens_the_hub_to_discovery_download_and_server(
    full_cluster: Cluster, operator_image: str, tmp_path: Path
) -> None:
    cluster = full_cluster
    grant_roles(cluster)
    with (
        model_hub(cluster, tmp_path, weights_mib=32, token=TOKEN) as hub,
        cluster.namespace() as namespace,
        running_operator(cluster, f"--namespaces={namespace}", f"--downloader-image={operator_image}"),
    ):
        config = f"gated-{namespace}"
        try:
            apply_yaml(cluster, catalog(namespace, config, hub) + service(namespace, "direct"))
            apply_yaml(cluster, service(namespace, "cached") + "  cacheModel: true\n")
            for name in ("direct", "cached"):
                eventually(partial(runs, cluster, namespace, name), f"{name} runs", timeout_seconds=150)
            (source,) = status_of(cluster, "aimst", "fast", namespace)["modelSources"]
            assert int(source["size"]) > 0, "discovery could ask for the size"
            mounted = cluster.kubectl(
                "get",
                "isvc",
                "cached",
                f"--namespace={namespace}",
                "-o",
                "jsonpath={.spec.predictor.volumes}",
            )
            assert "persistentVolumeClaim" in mounted
        finally:
            cluster.kubectl("delete", "aimcrcfg", config)
