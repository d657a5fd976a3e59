"""Hubs and catalogs for tests that serve many stand-in images at once on one cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from tests.simulation.catalog import API
from tests.support.operator_process import apply_yaml
from tests.support.served_models import ask

LLAMA, FP8 = "meta-llama/Llama-3.1-8B-Instruct", "amd/Llama-3.1-8B-Instruct-FP8-KV"
FINE_TUNED = "org/fine-tuned"
SMALL = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}}


def fill(root: Path, *models: str) -> Path:
    """Give a hub's directory models of two small files each."""
    for model in models:
        folder = root / model
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}\n')
        (folder / "model.safetensors").write_bytes(model.encode() * 20_000)
    return root


def endpoint(url: str) -> Manifest:
    return {"name": "HF_ENDPOINT", "value": url}


def token(secret: str) -> Manifest:
    return {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}


def secret(name: str, namespace: str, value: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": value}}


def cluster_config(name: str, env: Iterable[Manifest]) -> Manifest:
    """An AIMClusterRuntimeConfig that routes through the cluster's gateway."""
    gateway = {"name": "inference-gateway", "namespace": "gateways"}
    spec = {"env": list(env), "routing": {"enabled": True, "gatewayRef": gateway}}
    return {"apiVersion": API, "kind": "AIMClusterRuntimeConfig", "metadata": {"name": name}, "spec": spec}


def apply(cluster: Cluster, manifests: Iterable[Manifest]) -> None:
    """Apply all of them at once, namespaces first."""
    objects = sorted(manifests, key=lambda each: each["kind"] != "Namespace")
    apply_yaml(cluster, json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def completion(cluster: Cluster, path: str, model: str) -> dict[str, Any]:
    """A chat completion through the gateway."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello?"}]}
    return ask(f"{cluster.gateway_url}{path}/v1/chat/completions", body)
