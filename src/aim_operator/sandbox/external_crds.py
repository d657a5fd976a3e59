"""CRDs of KServe and Gateway API, as far as the operator can notice: merge keys and defaults, nothing else.

Their real schemas take megabytes; here anything is let through. Installed and uninstalled by tests and the
demo through Sandbox.
"""

from __future__ import annotations

from typing import Any

from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    SCALED_OBJECTS,
    SERVING_RUNTIMES,
)
from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.resource import Resource

GATEWAYS = Resource(
    group="gateway.networking.k8s.io",
    version="v1",
    plural="gateways",
    kind="Gateway",
    namespaced=True,
    type=KubeObject,
)
GATEWAY_CLASSES = Resource(
    group="gateway.networking.k8s.io",
    version="v1",
    plural="gatewayclasses",
    kind="GatewayClass",
    namespaced=False,
    type=KubeObject,
)


def _open(properties: dict[str, Manifest] | None = None) -> Manifest:
    return {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": properties or {},
    }


def _by(key: str, item: Manifest | None = None) -> Manifest:
    return {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
        "items": item or _open(),
    }


def _list(item: Manifest, **more: Any) -> Manifest:
    return {"type": "array", "x-kubernetes-list-type": "atomic", "items": item, **more}


def _default(value: Any) -> Manifest:
    return {"type": "integer" if isinstance(value, int) else "string", "default": value}


_CONTAINER = _open({"env": _by("name"), "volumeMounts": _by("mountPath")})
_PREDICTOR = _open(
    {
        "containers": _by("name", _CONTAINER),
        "volumes": _by("name"),
        "imagePullSecrets": _by("name"),
        "model": _CONTAINER,
        "storageUris": _list(_open()),
        "minReplicas": {"type": "integer", "format": "int32"},
        "maxReplicas": {"type": "integer", "format": "int32"},
    }
)
# What KServe's webhook refuses (`validateReplicas` in its component.go, 0.16 to 0.20).
_PREDICTOR["x-kubernetes-validations"] = [
    {
        "rule": "!has(self.minReplicas) || !has(self.maxReplicas) || self.maxReplicas == 0"
        " || self.minReplicas <= self.maxReplicas",
        "message": "'MinReplicas' cannot be greater than MaxReplicas",
    },
    {
        "rule": "!has(self.minReplicas) || self.minReplicas >= 0",
        "message": "'MinReplicas' cannot be less than 0",
    },
]
_RUNTIME_SPEC = _open(
    {
        "containers": _by("name", _CONTAINER),
        "volumes": _by("name"),
        "imagePullSecrets": _by("name"),
        "supportedModelFormats": _list(_open()),
    }
)
_PARENT = _open({"group": _default("gateway.networking.k8s.io"), "kind": _default("Gateway")})
_BACKEND = _open({"group": _default(""), "kind": _default("Service"), "weight": _default(1)})
_PATH = _open({"type": _default("PathPrefix"), "value": _default("/")}) | {
    "default": {"type": "PathPrefix", "value": "/"}
}
_MATCH = _open({"path": _PATH})
_RULE = _open(
    {
        "matches": _list(_MATCH, default=[{"path": {"type": "PathPrefix", "value": "/"}}]),
        "backendRefs": _list(_BACKEND),
        "filters": _list(_open()),
    }
)
_ROUTE_SPEC = _open(
    {"parentRefs": _list(_PARENT), "rules": _list(_RULE), "hostnames": _list({"type": "string"})}
)


def kserve_crds() -> list[Manifest]:
    return [
        _crd(INFERENCE_SERVICES, _open({"predictor": _PREDICTOR})),
        _crd(SERVING_RUNTIMES, _RUNTIME_SPEC),
        _crd(CLUSTER_SERVING_RUNTIMES, _RUNTIME_SPEC),
    ]


def keda_crds() -> list[Manifest]:
    return [_crd(SCALED_OBJECTS, _open({"triggers": _list(_open())}))]


def gateway_crds() -> list[Manifest]:
    return [
        _crd(HTTP_ROUTES, _ROUTE_SPEC),
        _crd(GATEWAYS, _open({"listeners": _by("name")})),
        _crd(GATEWAY_CLASSES, _open()),
    ]


def _crd(resource: Resource[Any], spec: Manifest) -> Manifest:
    conditions = _open({"conditions": _by("type")})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.qualified},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
            },
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": spec, "status": conditions},
                        }
                    },
                }
            ],
        },
    }
