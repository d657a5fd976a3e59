"""Objects at the bounds of the CRDs and of Kubernetes: as large as a user can make each kind."""

from __future__ import annotations

from typing import Any

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1.caches import MOST_SOURCES
from aim_operator.api.v1alpha1.environment import (
    DOWNLOAD_VARIABLES,
    MOST_DOWNLOAD_ENV_BYTES,
    MOST_ENV_BYTES,
    OF_ONE_TEMPLATE,
)
from aim_operator.api.v1alpha1.kinds import ALL_KINDS

DEEP_LEVELS = 9000
"""The API server's decoder takes ten thousand."""
# One character of four bytes makes Python keep the whole text with four bytes a character.
_WIDE = "\U0001f600"
_SCOPED = {resource.kind: resource.namespaced for resource in ALL_KINDS}


def text(size: int) -> str:
    """A text of `size` bytes in UTF-8, and nearly four times that in Python."""
    return _WIDE + "x" * (size - len(_WIDE.encode()))


def large(kind: str, index: int, namespace: str) -> Manifest:
    """The largest object of a kind. All refer to each other by their number, so that they are worked on."""
    name = f"large-{index:03}"
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {f"example.com/l{number:03}": "x" * 63 for number in range(300)},
        "annotations": {"example.com/note": text(240 * 1024), "example.com/other": text(8 * 1024)},
    }
    if _SCOPED[kind]:
        metadata["namespace"] = namespace
    spec = _SPECS[kind](name)
    return {"apiVersion": "aim.silogen.ai/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def deep(namespace: str) -> str:
    """A service as JSON whose engine arguments are nested as deep as the API server lets in."""
    nested = "[" * DEEP_LEVELS + "]" * DEEP_LEVELS
    return (
        '{"apiVersion":"aim.silogen.ai/v1alpha1","kind":"AIMService",'
        f'"metadata":{{"name":"deep","namespace":"{namespace}"}},'
        f'"spec":{{"model":"large-000","engineArgs":{{"a":{nested}}}}}}}'
    )


def _env(prefix: str) -> list[Manifest]:
    """128 variables, of which two have all the text that the list may have."""
    reference = {"name": "s" * 253, "key": "k" * 253}
    values = [{"name": f"{prefix}{index}", "value": text(MOST_ENV_BYTES // 2)} for index in range(2)]
    names = [f"{prefix}_{index:03}_" + "N" * (249 - len(prefix)) for index in range(126)]
    return [*values, *({"name": name, "valueFrom": {"secretKeyRef": reference}} for name in names)]


def _download_env() -> list[Manifest]:
    reference = {"name": "s" * 253, "key": "k" * 253}
    names = [name for name in DOWNLOAD_VARIABLES if name not in OF_ONE_TEMPLATE]
    values = [{"name": name, "value": text(MOST_DOWNLOAD_ENV_BYTES // 2)} for name in names[:2]]
    return [*values, *({"name": name, "valueFrom": {"secretKeyRef": reference}} for name in names[2:])]


def _resources() -> Manifest:
    quantities = {f"example.com/{'d' * 60}{index:02}": "1" * 18 for index in range(32)}
    return {"requests": quantities, "limits": quantities}


def _secrets() -> list[Manifest]:
    return [{"name": "s" * 250 + f"{index:03}"} for index in range(32)]


def _arguments() -> Manifest:
    return {"many": [[] for _ in range(900)], "long": "x" * 12_000}


def _patterns() -> list[str]:
    return [f"{index:02}" + "*a" * 127 for index in range(16)]


def _image(name: str) -> Manifest:
    return {
        "image": "registry.example.com/" + "a" * 200 + ":latest",
        "defaultServiceTemplate": name,
        "runtimeConfigName": name,
        "resources": _resources(),
    }


def _cluster_template(name: str) -> Manifest:
    sources = [
        {"name": f"m{index:02}/" + "x" * 249, "sourceUri": f"hf://o{index:02}/" + "x" * 1000, "size": "1Gi"}
        for index in range(MOST_SOURCES)
    ]
    return {
        "aimImageName": name,
        "runtimeConfigName": name,
        "modelSources": sources,
        "engineArgs": _arguments(),
        "resources": _resources(),
        "env": _env("T"),
    }


def _template(name: str) -> Manifest:
    caching = {"enabled": False, "env": _download_env(), "include": _patterns(), "exclude": _patterns()}
    return _cluster_template(name) | {"caching": caching, "imagePullSecrets": _secrets()}


def _cluster_config(_: str) -> Manifest:
    return {"env": _env("C"), "routing": {"routeTemplate": "/{.metadata.uid}{..team}{..a}{..b}" + "/a" * 200}}


def _config(name: str) -> Manifest:
    return _cluster_config(name) | {"imagePullSecrets": _secrets()}


def _cache(name: str) -> Manifest:
    return {
        "env": _download_env(),
        "imagePullSecrets": _secrets(),
        "runtimeConfigName": name,
        "include": _patterns(),
        "exclude": _patterns(),
    }


def _service(name: str) -> Manifest:
    annotations = {f"{'a.' * 126}a/{'b' * 60}{index:03}": "v" for index in range(62)}
    annotations |= {"example.com/x": text(8_000), "example.com/y": text(8_000)}
    return {
        "model": name,
        "templateRef": name,
        "runtimeConfigName": name,
        "resources": _resources(),
        "env": _env("S"),
        "engineArgs": _arguments(),
        "imagePullSecrets": _secrets(),
        "routing": {"annotations": annotations, "enabled": False},
    }


_SPECS: Any = {
    "AIMImage": _image,
    "AIMClusterImage": _image,
    "AIMServiceTemplate": _template,
    "AIMClusterServiceTemplate": _cluster_template,
    "AIMRuntimeConfig": _config,
    "AIMClusterRuntimeConfig": _cluster_config,
    "AIMTemplateCache": lambda name: _cache(name) | {"templateRef": name},
    "AIMModelCache": lambda name: (
        _cache(name) | {"sourceUri": f"hf://{name}/" + "x" * 1000, "size": "1Gi", "storageClassName": "none"}
    ),
    "AIMService": _service,
}
