"""Behaviour "Only objects the operator owns are changed": a namesake is reported, left alone, waited for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.v1alpha1 import AIMImage, AIMServiceTemplate
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.naming import discovery_job_name
from aim_operator.core.template.discovery import digest
from hack.cluster.api import Manifest
from tests.support.spec_world import VERSIONS, World, message, routed, told

RUNTIME = {
    "supportedModelFormats": [{"name": "somebody-elses", "version": "1"}],
    "containers": [{"name": "kserve-container", "image": "example.com/theirs:v1"}],
}
MODEL = {"modelFormat": {"name": "somebody-elses"}, "storageUri": "hf://somebody/else"}
ROUTE = {"rules": [{"backendRefs": [{"name": "theirs", "port": 80}]}]}


def foreign(kind: str, name: str, spec: Manifest, namespace: str = "", **metadata: Any) -> Manifest:
    where = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": VERSIONS[kind],
        "kind": kind,
        "metadata": {"name": name, **where, **metadata},
        "spec": spec,
    }


def untouched(before: Manifest, after: Manifest) -> bool:
    """Whether nobody wrote it meanwhile; stand-ins may write statuses."""
    fields = ("uid", "generation", "labels", "annotations", "ownerReferences")
    same = all(before["metadata"].get(field) == after["metadata"].get(field) for field in fields)
    managers = {entry["manager"] for entry in after["metadata"].get("managedFields", [])}
    return same and before["spec"] == after["spec"] and "aim-operator" not in managers


NAMESAKES: list[Any] = [
    pytest.param(
        "InferenceService", {"predictor": {"model": MODEL}}, "RuntimeReady", id="an InferenceService"
    ),
    pytest.param("HTTPRoute", ROUTE, "RoutingReady", id="an HTTPRoute"),
]
LABELLED: list[Any] = [
    pytest.param({}, id="plain"),
    pytest.param({"labels": {"app.kubernetes.io/managed-by": "aim-controller"}}, id="with our label on it"),
]


@pytest.mark.parametrize("metadata", LABELLED)
@pytest.mark.parametrize(("kind", "spec", "condition"), NAMESAKES)
def test_a_namesake_of_a_services_child(
    world: World, kind: str, spec: Manifest, condition: str, metadata: dict[str, Any]
) -> None:
    world.hold("kserve")
    world.hold("gateway")
    theirs = foreign(kind, "chat", spec, world.namespace, **metadata)
    world.apply(theirs, *world.catalog(), world.service(routing=routed(world.path())))
    before = world.need(kind, "chat")
    status = world.until_service("Degraded", "NameConflict")
    assert told(status, condition) == "False/NameConflict"
    assert told(status, "Failure") == "True/NameConflict"
    assert f"{kind} 'chat' exists and is not managed by the operator" in message(status, condition)
    # Another reconcile, for another reason, does not touch it either.
    world.apply(world.service(routing=routed(world.path()), env=[{"name": "A", "value": "b"}]))
    world.until_service("Degraded", "NameConflict")
    assert untouched(before, world.need(kind, "chat"))
    for who in ("kserve", "gateway"):
        world.hold(who, on=False)
    world.delete(theirs)
    world.until_service("Running")


def test_a_namesake_of_a_templates_runtime(world: World) -> None:
    theirs = foreign("ServingRuntime", "fast", RUNTIME, world.namespace)
    world.apply(theirs, *world.catalog(), world.service())
    before = world.need("ServingRuntime", "fast")
    template = world.until_template("Degraded", "NameConflict")
    assert "ServingRuntime 'fast' exists and is not managed by the operator" in message(template, "Failure")
    assert told(template, "Discovered") == "True/Discovered", "what was discovered stays"
    world.until_service("Degraded", "NameConflict")
    assert untouched(before, world.need("ServingRuntime", "fast"))
    world.delete(theirs)
    world.until_template("Available")
    world.until_service("Running")


def test_a_namesake_of_a_cluster_templates_runtime(world: World) -> None:
    name = world.shared("base")
    theirs = foreign("ClusterServingRuntime", name, RUNTIME)
    world.apply(
        theirs,
        world.cluster_image(defaultServiceTemplate=name),
        world.cluster_template(name),
        world.config(),
        world.service(),
    )
    before = world.need("ClusterServingRuntime", name)
    status = world.until_service("Degraded", "NameConflict")
    assert f"ClusterServingRuntime '{name}' exists" in message(status, "Failure")
    assert untouched(before, world.need("ClusterServingRuntime", name))
    world.delete(theirs)
    world.until_service("Running")


def test_a_namespaced_runtime_that_would_shadow_the_cluster_templates(world: World) -> None:
    name = world.shared("base")
    theirs = foreign("ServingRuntime", name, RUNTIME, world.namespace)
    world.apply(
        theirs,
        world.cluster_image(defaultServiceTemplate=name),
        world.cluster_template(name),
        world.config(),
        world.service(),
    )
    before = world.need("ServingRuntime", name)
    status = world.until_service("Degraded", "NameConflict")
    assert "would be used instead of the cluster template's runtime" in message(status, "RuntimeReady")
    assert world.get("InferenceService", "chat") is None
    assert untouched(before, world.need("ServingRuntime", name))
    world.delete(theirs)
    world.until_service("Running")


def test_a_namesake_of_a_discovery_job(world: World) -> None:
    paused = world.template()
    paused["metadata"]["annotations"] = {"aim.silogen.ai/reconciliation-paused": "true"}
    world.apply(world.image(defaultServiceTemplate="fast"), world.config(), paused)
    name = job_name(world)
    container = {"name": "theirs", "image": "ghcr.io/example/theirs:v1"}
    pod = {"restartPolicy": "Never", "containers": [container]}
    theirs = foreign("Job", name, {"suspend": True, "template": {"spec": pod}}, world.namespace)
    world.apply(theirs)
    before = world.need("Job", name)
    world.apply(world.template())
    status = world.until_template("Degraded", "NameConflict")
    assert f"Job '{name}'" in message(status, "Failure")
    assert untouched(before, world.need("Job", name))
    world.delete(theirs)
    world.until_template("Available")


def job_name(world: World) -> str:
    """Return the name that the template's discovery Job will have, as the operator computes it."""
    template = msgspec.convert(world.need("AIMServiceTemplate", "fast"), AIMServiceTemplate, strict=False)
    image = msgspec.convert(world.need("AIMImage", world.model), AIMImage, strict=False)
    return discovery_job_name("fast", digest(template, image, RuntimeConfig()))


def test_children_that_were_deleted_or_edited_come_back_as_they_were(world: World) -> None:
    world.run(*world.catalog(), world.service(routing=routed(world.path())))
    uid = world.need("InferenceService", "chat")["metadata"]["uid"]
    world.patch("InferenceService", "chat", {"spec": {"predictor": {"minReplicas": 7}}})
    world.until(
        "InferenceService", "chat", lambda s: s["spec"]["predictor"]["minReplicas"] == 1, "is repaired"
    )
    for kind in ("InferenceService", "HTTPRoute"):
        world.delete(foreign(kind, "chat", {}, world.namespace))
    world.until("InferenceService", "chat", lambda s: s["metadata"]["uid"] != uid, "is made anew")
    world.until_service("Running")


def test_a_deleted_service_takes_its_children_along_and_nothing_else(world: World) -> None:
    theirs = foreign("HTTPRoute", "theirs", ROUTE, world.namespace)
    service = world.service(routing=routed(world.path()))
    world.run(theirs, *world.catalog(), service)
    world.delete(service)
    for kind in ("InferenceService", "HTTPRoute"):
        world.until_gone(kind, "chat")
    assert world.get("HTTPRoute", "theirs") is not None
    assert world.get("AIMServiceTemplate", "fast") is not None
    assert world.get("ServingRuntime", "fast") is not None
