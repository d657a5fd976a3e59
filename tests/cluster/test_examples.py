"""Every object of every example set, held to a real API server without being stored."""

from __future__ import annotations

import urllib.error

import pytest

from aim_operator.cli import quickstart
from hack.cluster.api import Api, explain, object_path
from hack.cluster.cluster import Cluster

TRY = "?fieldManager=examples&force=true&fieldValidation=Strict&dryRun=All"


def refused(api: Api, example: quickstart.Example) -> str:
    """Return "" if the API server would take it, else what it says."""
    if example.ref.namespace:
        # Nothing can be tried in a namespace that is not there.
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": example.ref.namespace}}
        api.apply(namespace)
    path = f"{object_path(example.manifest)}{TRY}"
    try:
        api.request("PATCH", path, example.manifest, "application/apply-patch+yaml")
    except urllib.error.HTTPError as error:
        return f"{example.path}: {example.ref.kind} {example.ref.name}: {explain(error)}"
    return ""


@pytest.mark.parametrize("name", sorted(quickstart.shipped()))
def test_the_api_server_takes_an_example_set(control_plane: Cluster, name: str) -> None:
    examples = quickstart.load(quickstart.find(None, name))
    assert not [told for example in examples if (told := refused(control_plane.api, example))]
