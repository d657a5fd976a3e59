"""Beside other field managers on a real API server: GitOps owns the spec, and marks of policies stay."""

from __future__ import annotations

from typing import Any

from hack.cluster.api import Manifest, object_path
from tests.support.operator_process import eventually
from tests.support.spec_world import World, routed, told

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


RESTORED = {"velero.io/restore-name": "monday"}


def restored(obj: Manifest) -> Manifest:
    """Return it as Velero makes it again: no status, owners and uid, and with its label."""
    metadata = obj["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "annotations") if name in metadata}
    labels = {**metadata.get("labels", {}), **RESTORED}
    rest = {name: value for name, value in obj.items() if name not in ("metadata", "status")}
    return {**rest, "metadata": {**kept, "labels": labels}}


def test_what_velero_restores_is_adopted_again_and_no_model_server_is_made_anew(world: World) -> None:
    """Children come before their owners here; the real garbage collector took the first ones."""
    base = world.template()
    service = world.service(routing=routed(world.path()), overrides={"metric": "throughput"})
    world.run(world.image(defaultServiceTemplate="fast"), base, world.config(), service)
    derived = world.status()["resolvedTemplate"]["name"]
    saved = [
        restored(world.need(kind, name))
        for kind, name in (
            ("InferenceService", "chat"),
            ("HTTPRoute", "chat"),
            ("ServingRuntime", derived),
            ("AIMServiceTemplate", derived),
            ("AIMService", "chat"),
        )
    ]
    world.delete(service)
    for kind, name in (("AIMServiceTemplate", derived), ("InferenceService", "chat"), ("HTTPRoute", "chat")):
        world.until_gone(kind, name)
    world.until_gone("ServingRuntime", derived)
    # The stand-in for KServe makes the Service of an InferenceService, and looks for it but once.
    left = f"/api/v1/namespaces/{world.namespace}/services/chat-predictor"
    eventually(lambda: world.api.get(left) is None, "nothing is left")

    uids = {}
    for manifest in saved:
        collection = object_path(manifest).rpartition("/")[0]
        made = world.api.request("POST", collection, manifest)
        uids[manifest["kind"]] = made["metadata"]["uid"]
    status = world.until_service("Running")
    assert told(status, "RoutingReady").startswith("True/")
    for kind, name in (("InferenceService", "chat"), ("HTTPRoute", "chat"), ("ServingRuntime", derived)):
        metadata = world.need(kind, name)["metadata"]
        assert metadata["uid"] == uids[kind], f"the {kind} is the one that was restored"
        owner = "AIMServiceTemplate" if kind == "ServingRuntime" else "AIMService"
        assert [each["uid"] for each in metadata["ownerReferences"]] == [uids[owner]]
        assert RESTORED.items() <= metadata["labels"].items()
    world.delete(service)
    world.until_gone("InferenceService", "chat")
