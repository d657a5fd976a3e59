"""The CRDs on a real API server: served, explained, and strict with a message that says what to write.

Objects are only tried (dryRun=All), except those that an update or a table needs.
"""

from __future__ import annotations

import json
import re
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aim_operator.api.crd import schema
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1.kinds import ALL_KINDS, KINDS
from hack.cluster.api import Api, Manifest
from hack.cluster.cluster import Cluster
from tests.support import tables

DATA = Path(__file__).parent / "data"
GROUP_VERSION = "/apis/aim.silogen.ai/v1alpha1"
RESOURCES = {resource.kind: resource for resource in ALL_KINDS}
TRY = "?dryRun=All&fieldValidation=Strict"
MERGE_PATCH = "application/merge-patch+json"

Row = dict[str, Any]


def rows(name: str) -> list[Any]:
    return [pytest.param(row, id=row["id"]) for row in tables.load(DATA / name)]


def manifest(kind: str, spec: Row | None, name: str = "sample", namespace: str = "default") -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if RESOURCES[kind].namespaced else {})
    out = {"apiVersion": "aim.silogen.ai/v1alpha1", "kind": kind, "metadata": metadata}
    return out if spec is None else out | {"spec": spec}


def collection(obj: Manifest) -> str:
    return RESOURCES[obj["kind"]].collection_path(obj["metadata"].get("namespace", ""))


def create(api: Api, obj: Manifest) -> Manifest:
    made: Manifest = api.request("POST", f"{collection(obj)}{TRY}", obj)
    return made


def refusal(api: Api, method: str, path: str, body: Manifest, content_type: str = "application/json") -> Row:
    """The Status object that the server answers with instead."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        api.request(method, path, body, content_type)
    status: Row = json.loads(caught.value.read())
    return status


def refused_fields(status: Row) -> set[str]:
    """Fields named by the causes. "<nil>" only says that further rules were not looked at.

    What the scale subresource reads is checked twice, the second time as ".spec.replicas".
    """
    return {cause["field"].removeprefix(".") for cause in status["details"]["causes"]} - {"<nil>"}


def schema_name(resource: Resource[Any]) -> str:
    return f"ai.silogen.aim.v1alpha1.{resource.kind}"


@pytest.fixture
def published(control_plane: Cluster) -> Manifest:
    """The schemas that the server publishes; it does so a moment after a kind is established."""
    names = {schema_name(resource) for resource in ALL_KINDS}
    document: Manifest = control_plane.api.wait_for(
        f"/openapi/v3{GROUP_VERSION}",
        lambda found: names <= found["components"]["schemas"].keys(),
        10,
        "our kinds' schemas are",
    )
    schemas: Manifest = document["components"]["schemas"]
    return schemas


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    with control_plane.namespace("crds") as name:
        yield name


@pytest.mark.parametrize("resource", ALL_KINDS, ids=lambda resource: resource.kind)
def test_the_kind_is_served_with_its_short_name_and_categories(
    control_plane: Cluster, resource: Resource[Any]
) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource.qualified}"
    conditions = control_plane.api.get(path)["status"]["conditions"]
    got = {condition["type"]: condition["status"] for condition in conditions}
    # A NonStructuralSchema condition would stand here too.
    assert got == {"NamesAccepted": "True", "Established": "True"}

    served = control_plane.api.wait_for(
        GROUP_VERSION,
        lambda found: any(entry["name"] == resource.plural for entry in found["resources"]),
        10,
        f"{resource.plural} are",
    )["resources"]
    [found] = [entry for entry in served if entry["name"] == resource.plural]
    assert found["kind"] == resource.kind
    assert found["namespaced"] == resource.namespaced
    assert found["shortNames"] == [KINDS[resource.type].short_name]
    assert set(found["categories"]) == {"aim", "all"}
    assert f"{resource.plural}/status" in {entry["name"] for entry in served}


def test_every_kind_is_published_with_its_schema(published: Manifest) -> None:
    for resource in ALL_KINDS:
        got, want = published[schema_name(resource)], schema(resource)
        assert got["description"] == want["description"]
        assert got["properties"]["spec"]["description"] == want["properties"]["spec"]["description"]
        assert got["properties"].keys() == want["properties"].keys()


@pytest.mark.usefixtures("published")
def test_kubectl_explains_what_an_unset_field_means(control_plane: Cluster) -> None:
    told = " ".join(control_plane.kubectl("explain", "aimservice.spec.templateRef").split())
    assert "If unset, the image's default, else the best one available for the image." in told


@pytest.mark.parametrize("path", sorted((DATA / "seed").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_of_the_seed_page_is_accepted(control_plane: Cluster, path: Path) -> None:
    obj = yaml.safe_load(path.read_text())
    if "namespace" in obj["metadata"]:
        obj["metadata"]["namespace"] = "default"
    assert create(control_plane.api, obj)["spec"].items() >= obj["spec"].items()


@pytest.mark.parametrize("row", rows("good_objects.yaml"))
def test_a_good_object_is_accepted_as_it_is(control_plane: Cluster, row: Row) -> None:
    obj = manifest(row["kind"], row["spec"], row.get("name", "sample"))
    got = create(control_plane.api, obj)["spec"]
    defaults = {"replicas": 1} if row["kind"] == "AIMService" else {}
    assert got == defaults | obj["spec"]


@pytest.mark.parametrize("row", rows("bad_objects.yaml"))
def test_a_bad_object_is_refused_with_the_field_and_the_remedy(control_plane: Cluster, row: Row) -> None:
    obj = manifest(row["kind"], row.get("spec"), row.get("name", "sample"))
    status = refusal(control_plane.api, "POST", f"{collection(obj)}{TRY}", obj)
    assert status["reason"] == "Invalid"
    assert refused_fields(status) == {row["field"]}
    assert [part for part in row["says"] if part not in status["message"]] == [], status["message"]


def test_every_rule_refuses_something_in_the_table(control_plane: Cluster) -> None:
    said = ""
    for row in tables.load(DATA / "bad_objects.yaml"):
        obj = manifest(row["kind"], row.get("spec"), row.get("name", "sample"))
        said += refusal(control_plane.api, "POST", f"{collection(obj)}{TRY}", obj)["message"] + "\n"
    rules = [rule for resource in ALL_KINDS for rule in rules_of(schema(resource))]
    # An update is needed to break a rule about oldSelf; those have a test of their own.
    unseen = {
        literal
        for rule in rules
        if "oldSelf" not in rule["rule"]
        for literal in literals_of(rule)
        if literal not in said
    }
    assert len(rules) > 100
    assert unseen == set()


def rules_of(node: Manifest) -> Iterator[Manifest]:
    yield from node.get("x-kubernetes-validations", ())
    children = [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]
    for child in filter(None, children):
        yield from rules_of(child)


def literals_of(rule: Manifest) -> list[str]:
    """What a refusal by this rule certainly says; a messageExpression ends with its longest literal."""
    if "messageExpression" in rule:
        return [rule["messageExpression"].rsplit("+", 1)[1].strip().strip("'")]
    return [rule["message"]]


def test_an_object_at_every_bound_is_within_the_budget_of_the_rules(control_plane: Cluster) -> None:
    quantities = {f"example.com/{'d' * 60}{index}": "1" * 18 for index in range(32)}
    label = "metadata.labels['" + "a" * 290 + "']"
    spec = {
        "model": "m" * 253,
        "aimImageName": "m" * 253,
        "templateRef": "t" * 253,
        "runtimeConfigName": "r" * 253,
        "resources": {"requests": quantities, "limits": quantities},
        "env": [
            {"name": "N" * 253 + f"{index:03}", "valueFrom": {"fieldRef": {"fieldPath": label}}}
            for index in range(128)
        ],
        "imagePullSecrets": [{"name": "s" * 250 + f"{index:03}"} for index in range(32)],
        "routing": {
            "annotations": {"a." * 126 + f"a/{'b' * 60}{index:03}": "v" * 256 for index in range(64)},
            "routeTemplate": "/a" * 512,
            "requestTimeout": "1h1m1s1ms",
        },
    }
    assert create(control_plane.api, manifest("AIMService", spec))["spec"] == spec | {"replicas": 1}


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        ("AIMClusterServiceTemplate", {"aimImageName": "a", "caching": {"enabled": True}}, "spec.caching"),
        ("AIMClusterServiceTemplate", {"aimImageName": "a", "imagePullSecrets": []}, "spec.imagePullSecrets"),
        ("AIMClusterRuntimeConfig", {"serviceAccountName": "a"}, "spec.serviceAccountName"),
        ("AIMClusterRuntimeConfig", {"imagePullSecrets": []}, "spec.imagePullSecrets"),
        ("AIMService", {"model": "a", "replica": 2}, "spec.replica"),
    ],
)
def test_a_field_that_the_kind_does_not_have_is_named(
    control_plane: Cluster, kind: str, spec: Row, field: str
) -> None:
    obj = manifest(kind, spec)
    status = refusal(control_plane.api, "POST", f"{collection(obj)}{TRY}", obj)
    assert f'unknown field "{field}"' in status["message"]


@pytest.mark.parametrize(
    ("kind", "spec", "field", "says"),
    [
        (
            "AIMServiceTemplate",
            {"aimImageName": "llama"},
            "aimImageName",
            "immutable; create a new template for another image",
        ),
        (
            "AIMClusterServiceTemplate",
            {"aimImageName": "llama"},
            "aimImageName",
            "immutable; create a new template for another image",
        ),
        (
            "AIMModelCache",
            {"sourceUri": "hf://a/b", "size": "1Gi"},
            "sourceUri",
            "immutable; create a new AIMModelCache for another source",
        ),
    ],
)
def test_an_immutable_field_can_be_repeated_and_not_changed(
    control_plane: Cluster, namespace: str, kind: str, spec: Row, field: str, says: str
) -> None:
    api = control_plane.api
    # Cluster kinds keep apart by name.
    obj = manifest(kind, spec, name=f"fixed-{namespace}", namespace=namespace)
    api.request("POST", collection(obj), obj)
    path = f"{collection(obj)}/{obj['metadata']['name']}"
    try:
        again = {"spec": spec | {"runtimeConfigName": "other"}}
        assert api.request("PATCH", path, again, MERGE_PATCH)["metadata"]["generation"] == 2
        changed = {"spec": {field: f"{spec[field]}-2"}}
        status = refusal(api, "PATCH", path, changed, MERGE_PATCH)
        assert refused_fields(status) == {f"spec.{field}"}
        assert says in status["message"]
    finally:
        api.delete(path)


BLOCKED_BY = {
    "kind": "AIMClusterServiceTemplate",
    "name": "awaited",
    "reason": "TemplateNotAvailable",
    "since": "2026-01-01T00:00:00Z",
}
COLUMNS = [
    (
        "AIMService",
        {"model": "llama"},
        {"status": "Running", "routing": {"path": "/a/b"}}
        | {"desiredReplicas": 3, "readyReplicas": 2, "updatedReplicas": 1}
        | {"resolvedTemplate": {"kind": "AIMServiceTemplate", "name": "llama-fp8", "scope": "Namespace"}},
        {
            "STATUS": "Running",
            "MODEL": "llama",
            "TEMPLATE": "llama-fp8",
            "DESIRED": "3",
            "READY": "2",
            "UPDATED": "1",
            "PATH": "/a/b",
        },
    ),
    (
        "AIMServiceTemplate",
        {"aimImageName": "llama"},
        {
            "status": "Available",
            "profileId": "vllm-x",
            "profile": {
                "engine_args": {"max-model-len": 8192, "nested": {"any": [1, "thing"]}},
                "metadata": {
                    "engine": "vllm",
                    "gpu": "MI300X",
                    "gpu_count": 2,
                    "metric": "latency",
                    "precision": "fp8",
                    "type": "preview",
                },
            },
        },
        {"STATUS": "Available", "IMAGE": "llama", "ENGINE": "vllm", "METRIC": "latency"}
        | {"PRECISION": "fp8", "GPUS": "2", "GPU": "MI300X", "TYPE": "preview", "PROFILE": "vllm-x"},
    ),
    (
        "AIMImage",
        {"image": "ghcr.io/example/llama:v1", "defaultServiceTemplate": "llama-fp8"},
        {"status": "Ready"},
        {"STATUS": "Ready", "IMAGE": "ghcr.io/example/llama:v1", "TEMPLATE": "llama-fp8"},
    ),
    (
        "AIMRuntimeConfig",
        {"routing": {"enabled": True, "gatewayRef": {"name": "inference"}}},
        {"status": "Ready"},
        {"STATUS": "Ready", "ROUTING": "true", "GATEWAY": "inference"},
    ),
    (
        "AIMTemplateCache",
        {"templateRef": "llama-fp8"},
        {"status": "Progressing"},
        {"STATUS": "Progressing", "TEMPLATE": "llama-fp8"},
    ),
    (
        "AIMModelCache",
        {"sourceUri": "hf://a/b", "size": "1Gi"},
        {
            "status": "Progressing",
            "size": "8589934592",
            "persistentVolumeClaim": "claim-1",
            "progress": {"totalBytes": 2**33, "downloadedBytes": 2**32, "percentage": 50},
            "unusedSince": "2026-01-01T00:00:00Z",
        },
        {
            "STATUS": "Progressing",
            "SOURCE": "hf://a/b",
            "SIZE": "8589934592",
            "PROGRESS": "50",
            "CLAIM": "claim-1",
        },
    ),
]


@pytest.mark.parametrize(("kind", "spec", "status", "want"), COLUMNS, ids=[row[0] for row in COLUMNS])
def test_kubectl_get_shows_what_the_object_points_at_and_how_it_is(
    control_plane: Cluster, namespace: str, kind: str, spec: Row, status: Row, want: dict[str, str]
) -> None:
    api = control_plane.api
    obj = manifest(kind, spec, namespace=namespace)
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "BecauseOfTheTest",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    api.request("POST", collection(obj), obj)
    waits = {"blockedBy": BLOCKED_BY} if kind != "AIMRuntimeConfig" else {}
    patch = {"status": status | {"observedGeneration": 1, "conditions": [ready]} | waits}
    api.request("PATCH", f"{collection(obj)}/sample/status", patch, MERGE_PATCH)
    told = control_plane.kubectl(
        "get", RESOURCES[kind].plural, "sample", f"--namespace={namespace}", "-owide"
    )
    head, line = told.splitlines()
    got = dict(zip(re.split(r" {2,}", head.strip()), line.split(), strict=True))
    assert got.pop("AGE").endswith("s")
    assert got.pop("UNUSED", "1d")[-1] in "dy", "the age of a date"
    assert got.pop("BLOCKED BY", "") == ("awaited" if waits else "")
    assert got == {"NAME": "sample", "REASON": "BecauseOfTheTest"} | want


def test_kubectl_get_all_and_get_aim_find_our_objects(
    control_plane: Cluster, namespace: str, tmp_path: Path
) -> None:
    obj = manifest("AIMService", {"model": "llama"}, namespace=namespace)
    control_plane.api.request("POST", collection(obj), obj)
    for category in ("all", "aim"):
        # Not the user's cache: it may be of an older cluster that had the same port.
        got = control_plane.kubectl(
            "get", category, f"--namespace={namespace}", "-oname", f"--cache-dir={tmp_path}"
        )
        assert got == "aimservice.aim.silogen.ai/sample\n"


def test_a_status_that_is_none_of_ours_is_refused(control_plane: Cluster, namespace: str) -> None:
    api = control_plane.api
    obj = manifest("AIMService", {"model": "llama"}, namespace=namespace)
    api.request("POST", collection(obj), obj)
    patch = {"status": {"status": "Sleeping"}}
    status = refusal(api, "PATCH", f"{collection(obj)}/sample/status", patch, MERGE_PATCH)
    assert refused_fields(status) == {"status.status"}
    assert "Degraded" in status["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("kind", "job", id="a resource where a kind belongs"),
        pytest.param("name", "", id="no name"),
        pytest.param("namespace", "n" * 64, id="a namespace that none can have"),
        pytest.param("reason", "it is not there", id="words where a reason belongs"),
        pytest.param("since", "yesterday", id="no time"),
    ],
)
def test_what_names_no_object_that_is_waited_for_is_refused(
    control_plane: Cluster, namespace: str, field: str, value: str
) -> None:
    api = control_plane.api
    obj = manifest("AIMService", {"model": "llama"}, namespace=namespace)
    api.request("POST", collection(obj), obj)
    patch = {"status": {"blockedBy": BLOCKED_BY | {field: value}}}
    status = refusal(api, "PATCH", f"{collection(obj)}/sample/status", patch, MERGE_PATCH)
    assert refused_fields(status) == {f"status.blockedBy.{field}"}
