"""Whatever is sent, sandbox and API server agree on whether they take it, and on what becomes of it."""

from __future__ import annotations

import json
import urllib.error
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aim_operator.api.crd import all_crds
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1.kinds import ALL_KINDS
from aim_operator.errors import ApiError
from aim_operator.sandbox import SandboxServer
from hack.cluster.api import Api, Manifest
from hack.cluster.cluster import Cluster
from tests.support import tables
from tests.support.schema_values import values
from tests.support.virtual_clock import VirtualClock

DATA = Path(__file__).parent / "data"
TRY = "?dryRun=All&fieldValidation=Ignore"
EXAMPLES = 100
FIXTURE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
repeatable = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    # Each example is a request: what is wrong is printed as it was found.
    phases=[Phase.generate],
    suppress_health_check=FIXTURE,
)


@cache
def sandbox() -> SandboxServer:
    return SandboxServer(VirtualClock(), crds=all_crds())


@cache
def specs(kind: str) -> st.SearchStrategy[Any]:
    """Of an object that is known to be good, with some fields that may be anything, and some left out."""
    [crd] = [crd for crd in all_crds() if crd["spec"]["names"]["kind"] == kind]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    good = [row["spec"] for row in tables.load(DATA / "good_objects.yaml") if row["kind"] == kind]
    some = {name: values(each) for name, each in schema["properties"].items()}
    changes = st.lists(st.sampled_from(sorted(some)), max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: some[name] for name in names})
    )
    left_out = st.sampled_from(["", "", "", "", *sorted(some)])
    return st.builds(
        lambda spec, change, without: {k: v for k, v in (spec | change).items() if k != without},
        st.sampled_from(good),
        changes,
        left_out,
    )


def taken_by_the_sandbox(resource: Resource[Any], manifest: Manifest) -> tuple[Any, str]:
    """The spec that is kept, or why there is none."""
    server = sandbox()
    kind = server.kinds.served(resource)
    try:
        stored = server.create(kind, json.loads(json.dumps(manifest)))
    except ApiError as error:
        return None, str(error)
    server.delete(kind, stored.key.name, namespace=stored.key.namespace)
    return stored.obj.get("spec"), ""


def taken(api: Api, path: str, manifest: Manifest) -> tuple[Any, str]:
    try:
        return api.request("POST", f"{path}{TRY}", manifest).get("spec"), ""
    except urllib.error.HTTPError as error:
        return None, error.read().decode()


def in_floats(value: Any) -> Any:
    """Go writes a float of less than 1e21 as an integer, with zeros for what it does not know."""
    return json.loads(json.dumps(value), parse_int=float)


@pytest.mark.parametrize("resource", ALL_KINDS, ids=lambda resource: resource.kind)
def test_an_object_is_taken_by_both_or_by_neither(control_plane: Cluster, resource: Resource[Any]) -> None:
    @given(spec=specs(resource.kind))
    @repeatable
    def agree(spec: Any) -> None:
        where = {"namespace": "default"} if resource.namespaced else {}
        manifest = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": "a"} | where,
            "spec": spec,
        }
        ours, why_not = taken_by_the_sandbox(resource, manifest)
        theirs, refusal = taken(
            control_plane.api, resource.collection_path(where.get("namespace", "")), manifest
        )
        assert bool(why_not) == bool(refusal), (
            f"{spec}: ours {why_not or 'taken'}; theirs {refusal or 'taken'}"
        )
        assert in_floats(ours) == in_floats(theirs)

    agree()
