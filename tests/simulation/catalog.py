"""Small catalogs for simulations, as plain manifests."""

from __future__ import annotations

from typing import Any

NAMESPACE = "team"
IMAGE = "ghcr.io/example/model:v1"
API = "aim.silogen.ai/v1alpha1"


def image(
    name: str = "model", *, namespace: str = NAMESPACE, ref: str = IMAGE, **spec: Any
) -> dict[str, Any]:
    return _object("AIMImage", name, namespace, {"image": ref, **spec})


def cluster_image(name: str = "model", *, ref: str = IMAGE, **spec: Any) -> dict[str, Any]:
    return _object("AIMClusterImage", name, "", {"image": ref, **spec})


def template(
    name: str = "fast", *, namespace: str = NAMESPACE, model: str = "model", **spec: Any
) -> dict[str, Any]:
    return _object(
        "AIMServiceTemplate", name, namespace, {"aimImageName": model, "metric": "latency", **spec}
    )


def cluster_template(name: str = "fast", *, model: str = "model", **spec: Any) -> dict[str, Any]:
    return _object(
        "AIMClusterServiceTemplate", name, "", {"aimImageName": model, "metric": "latency", **spec}
    )


def cluster_config(name: str = "default", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "AIMClusterRuntimeConfig", "metadata": {"name": name}, "spec": spec}


def config(name: str = "default", *, namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    return _object("AIMRuntimeConfig", name, namespace, spec)


def service(name: str = "chat", *, namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    return _object("AIMService", name, namespace, {"model": "model", **spec})


def routed(template: str) -> dict[str, Any]:
    """`spec.routing` on the sandbox's gateway."""
    gateway = {"name": "inference-gateway", "namespace": "gateways"}
    return {"enabled": True, "gatewayRef": gateway, "routeTemplate": template}


def _object(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}
