"""The YAML of the pages, held to a real API server without being stored."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from typing import Any

import yaml

from hack.cluster.api import Api, Manifest, explain, object_path
from tests.docs.blocks import Block

API_VERSION = "aim.silogen.ai/v1alpha1"
SPEC_OF: dict[str, Manifest] = {
    "AIMImage": {"image": "ghcr.io/example/model:v1"},
    "AIMClusterImage": {"image": "ghcr.io/example/model:v1"},
    "AIMServiceTemplate": {"aimImageName": "model"},
    "AIMClusterServiceTemplate": {"aimImageName": "model"},
    "AIMRuntimeConfig": {},
    "AIMClusterRuntimeConfig": {},
    "AIMTemplateCache": {"templateRef": "template"},
    "AIMModelCache": {"sourceUri": "hf://example/model"},
    "AIMService": {"model": "model"},
}
"""What makes an object whole of which a page shows a part."""

CHART_VALUES = "the chart's values"
"""What a block is part of that goes to Helm; the chart's schema judges it, no API server does."""


def manifests(block: Block) -> Iterator[Manifest]:
    """Yield the objects of a YAML block; a part of an object is made whole."""
    if block.says.get("part of") == CHART_VALUES:
        return
    for document in yaml.safe_load_all(block.text):
        if document is None:
            continue
        if kind := block.says.get("part of"):
            metadata = {"name": "part"}
            if not kind.startswith("AIMCluster"):
                metadata["namespace"] = "default"
            whole = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": SPEC_OF[kind]}
            yield _merged(whole, document)
        else:
            yield document


def refused(api: Api, block: Block) -> str:
    """Return "" if the API server would take every object of the block, else what it says."""
    for manifest in manifests(block):
        namespace = manifest["metadata"].get("namespace")
        if namespace:
            api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        path = f"{object_path(manifest)}?fieldManager=docs&force=true&fieldValidation=Strict&dryRun=All"
        try:
            api.request("PATCH", path, manifest, "application/apply-patch+yaml")
        except urllib.error.HTTPError as error:
            return f"{block.where}: {manifest['kind']} {manifest['metadata']['name']}: {explain(error)}"
    return ""


def _merged(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {key: _merged(base.get(key), over[key]) if key in over else base[key] for key in base | over}
