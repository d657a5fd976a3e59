"""What `aimctl doctor` says that LimitRanges and quotas do to a Pod is what the API server does to it.

Pods are created dry. Each LimitRange has a namespace of its own, and is there before the first of them.
"""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from aim_operator.api import quantity
from aim_operator.cli.doctor.limits import defaulted, refusals
from aim_operator.cli.doctor.policies import LimitRange
from aim_operator.core.jobs import rendering
from aim_operator.core.model_cache import desired as download
from aim_operator.core.template import desired as discovery
from hack.cluster.api import Api
from hack.cluster.cluster import Cluster

RANGES: dict[str, list[dict[str, Any]]] = {
    "defaults": [
        {
            "type": "Container",
            "default": {"cpu": "1", "memory": "512Mi"},
            "defaultRequest": {"cpu": "100m", "memory": "64Mi"},
        }
    ],
    "default-limit-alone": [{"type": "Container", "default": {"cpu": "500m", "ephemeral-storage": "1Gi"}}],
    "default-request-alone": [{"type": "Container", "defaultRequest": {"cpu": "3", "memory": "2Gi"}}],
    "max": [{"type": "Container", "max": {"cpu": "2", "memory": "2Gi"}}],
    "max-of-jobs": [{"type": "Container", "max": {"cpu": "4", "memory": "4Gi"}}],
    "min": [{"type": "Container", "min": {"cpu": "100m", "memory": "128Mi"}}],
    "gpus": [{"type": "Container", "max": {"example.com/gpu": "4"}, "default": {"example.com/gpu": "0"}}],
    "both": [
        {
            "type": "Container",
            "min": {"memory": "100Mi"},
            "max": {"memory": "1Gi"},
            "default": {"memory": "256Mi"},
        }
    ],
    "ratio": [{"type": "Container", "maxLimitRequestRatio": {"cpu": "10", "memory": "1500m"}}],
    "of-the-pod": [{"type": "Pod", "min": {"cpu": "60m"}, "max": {"cpu": "3", "memory": "2Gi"}}],
    "ratio-of-the-pod": [{"type": "Pod", "maxLimitRequestRatio": {"memory": "4"}}],
    "of-claims": [{"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}],
    "of-both": [
        {"type": "Container", "default": {"cpu": "1"}},
        {"type": "Pod", "max": {"cpu": "2", "memory": "8Gi"}},
    ],
}
ASKED: list[dict[str, Any]] = [
    rendering.resources({"cpu": "50m", "memory": "64Mi"}, discovery.LIMITS, None),
    rendering.resources({"cpu": "100m", "memory": "256Mi"}, download.LIMITS, None),
    {},
    {"requests": {"cpu": "8", "memory": "64Gi"}},
    {"limits": {"cpu": "8", "memory": "64Gi"}},
    {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    {"requests": {"cpu": "1", "example.com/gpu": "8"}, "limits": {"example.com/gpu": "8"}},
    {"requests": {"example.com/gpu": "2"}, "limits": {"example.com/gpu": "2", "memory": "300Mi"}},
    {"requests": {"memory": "99Mi"}},
    {"requests": {"cpu": "0", "memory": "0"}},
]


def pod(resources: dict[str, Any]) -> dict[str, Any]:
    containers = [{"name": "c", "image": "example.com/none", "resources": resources}]
    spec = {"containers": containers, "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def admitted(api: Api, namespace: str, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """Return the Pod as the API server would keep it; None where it is refused."""
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    try:
        made: dict[str, Any] = api.request("POST", path, manifest)
    except urllib.error.HTTPError as error:
        if error.code not in (HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise
        return None
    return made


def amounts(resources: dict[str, Any]) -> dict[str, Any]:
    return {name: quantity.parse(amount) for name, amount in resources.items()}


def a_namespace(api: Api, name: str) -> None:
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    metadata = {"name": "default", "namespace": name}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})


def differences(api: Api, namespace: str, limits: LimitRange) -> Iterator[str]:
    for resources in ASKED:
        asked, most = resources.get("requests", {}), resources.get("limits", {})
        ours, theirs = list(refusals([limits], asked, most)), admitted(api, namespace, pod(resources))
        if (theirs is None) is not bool(ours):
            yield f"{resources}: ours {ours}, theirs {theirs and theirs['spec']['containers']}"
        elif theirs is not None:
            given = theirs["spec"]["containers"][0]["resources"]
            for mine, kind in zip(defaulted([limits], asked, most), ("requests", "limits"), strict=True):
                if amounts(mine) != amounts(given.get(kind, {})):
                    yield f"{resources}: {kind} {mine}, theirs {given}"


@pytest.mark.parametrize("name", RANGES)
def test_a_limit_range_does_to_pods_what_doctor_says(control_plane: Cluster, name: str) -> None:
    api, namespace = control_plane.api, f"doctor-limits-{name}"
    a_namespace(api, namespace)
    metadata = {"name": "limits", "namespace": namespace}
    manifest = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": metadata,
        "spec": {"limits": RANGES[name]},
    }
    kept = api.apply(manifest)
    limits = msgspec.convert(kept, LimitRange, strict=False)
    assert list(differences(api, namespace, limits)) == []
