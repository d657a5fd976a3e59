"""Beside other field managers on a real API server: GitOps owns the spec, and marks of policies stay."""

from __future__ import annotations

from typing import Any

from hack.cluster.api import Manifest, object_path
from tests.support.spec_world import World, routed

ARGO = "argocd-controller"
TRACKING = {"argocd.argoproj.io/tracking-id": "models:aim.silogen.ai/AIMService:team/chat"}
LABEL = {"app.kubernetes.io/instance": "models"}


def apply_as(world: World, manager: str, manifest: Manifest, *, force: bool = False) -> None:
    path = f"{object_path(manifest)}?fieldManager={manager}&force={str(force).lower()}"
    world.api.request("PATCH", path, manifest, "application/apply-patch+yaml")


def owned(obj: Manifest, manager: str) -> dict[str, Any]:
    """What a manager owns of an object, by subresource ("" for the object itself)."""
    return {
        entry.get("subresource", ""): entry["fieldsV1"]
        for entry in obj["metadata"]["managedFields"]
        if entry["manager"] == manager
    }


def test_the_spec_stays_the_gitops_programs_and_marks_of_policies_stay_on_children(world: World) -> None:
    world.apply(*world.catalog())
    service = world.service(routing=routed(world.path()))
    service["metadata"] |= {"annotations": TRACKING, "labels": LABEL}
    apply_as(world, ARGO, service)
    world.until_service("Running")
    live = world.need("AIMService", "chat")
    assert set(owned(live, "aim-operator")) == {"status"}
    assert "f:status" not in owned(live, ARGO)[""]

    marks = {"labels": {"policy.example.com/checked": "true"}, "annotations": {"policy.example.com/by": "us"}}
    for kind in ("InferenceService", "HTTPRoute"):
        child = world.need(kind, "chat")
        assert not {*TRACKING, *LABEL} & {
            *child["metadata"]["labels"],
            *child["metadata"].get("annotations", {}),
        }
        named = {"name": "chat", "namespace": world.namespace}
        marked = {"apiVersion": child["apiVersion"], "kind": kind, "metadata": {**named, **marks}}
        apply_as(world, "kyverno", marked)

    # No conflict, though it does not force: nobody else owns a field of the spec.
    changed = {**service, "spec": {**service["spec"], "env": [{"name": "A", "value": "b"}]}}
    apply_as(world, ARGO, changed)
    world.until_service("Running")
    for kind in ("InferenceService", "HTTPRoute"):
        metadata = world.need(kind, "chat")["metadata"]
        assert metadata["labels"]["policy.example.com/checked"] == "true"
        assert metadata["annotations"]["policy.example.com/by"] == "us"
    world.delete(service)
