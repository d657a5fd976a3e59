"""One test's corner of the spec cluster: its namespace, its objects, and waiting for what comes of them."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Callable, Iterator
from typing import Any

from hack.cluster.api import Manifest, object_path
from hack.cluster.cluster import Cluster
from hack.cluster.patience import Patience
from tests.support.spec_cluster import GATEWAY, GATEWAY_NAMESPACE
from tests.support.stand_ins.common import HOLD, PREFIX

API = "aim.silogen.ai/v1alpha1"
VERSIONS = {
    "PodDisruptionBudget": "policy/v1",
    "InferenceService": "serving.kserve.io/v1beta1",
    "ServingRuntime": "serving.kserve.io/v1alpha1",
    "ClusterServingRuntime": "serving.kserve.io/v1alpha1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "Job": "batch/v1",
    "Pod": "v1",
    "PersistentVolumeClaim": "v1",
    "Namespace": "v1",
}
OPERATOR_NAMESPACE = "kaiwo-system"
IMAGE = "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0"
SECONDS = 30.0

Check = Callable[[Manifest], bool]


class World:
    """Objects of the namespace are named as the test likes; cluster-wide ones with `shared`."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.api = cluster.api
        self.model = self.shared("model")
        self._outside: dict[str, Manifest] = {}

    def shared(self, name: str) -> str:
        """Return a name that no other test has."""
        return f"{name}-{self.namespace.rpartition('-')[2]}"

    def path(self, name: str = "a") -> str:
        """Return a path that no other test has: on the one gateway the oldest service keeps a path."""
        return f"/{self.namespace}/{name}"

    # Manifests

    def image(self, *, ref: str = IMAGE, **spec: Any) -> Manifest:
        return self._ours("AIMImage", self.model, {"image": ref, **spec})

    def cluster_image(self, *, ref: str = IMAGE, **spec: Any) -> Manifest:
        return _object(API, "AIMClusterImage", self.model, "", {"image": ref, **spec})

    def template(self, name: str = "fast", **spec: Any) -> Manifest:
        return self._ours("AIMServiceTemplate", name, {"aimImageName": self.model, **spec})

    def cluster_template(self, name: str, **spec: Any) -> Manifest:
        return _object(API, "AIMClusterServiceTemplate", name, "", {"aimImageName": self.model, **spec})

    def config(self, name: str = "default", namespace: str = "", **spec: Any) -> Manifest:
        return _object(API, "AIMRuntimeConfig", name, namespace or self.namespace, spec)

    def cluster_config(self, name: str, **spec: Any) -> Manifest:
        return _object(API, "AIMClusterRuntimeConfig", name, "", spec)

    def service(self, name: str = "chat", *, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
        manifest = self._ours("AIMService", name, {"model": self.model, **spec})
        if labels:
            manifest["metadata"]["labels"] = labels
        return manifest

    def _ours(self, kind: str, name: str, spec: Manifest) -> Manifest:
        return _object(API, kind, name, self.namespace, spec)

    def catalog(self, **template: Any) -> tuple[Manifest, ...]:
        """Return an image with a default template `fast`, and a configuration that says nothing."""
        return self.image(defaultServiceTemplate="fast"), self.template(**template), self.config()

    # Writing

    def apply(self, *manifests: Manifest) -> None:
        """Make the objects as given: server-side apply, so fields left out this time are removed."""
        for manifest in manifests:
            if manifest["metadata"].get("namespace") != self.namespace:
                self._outside[object_path(manifest)] = manifest
            self.api.apply_when_served(manifest)

    def delete(self, manifest: Manifest) -> None:
        self.api.delete(object_path(manifest))

    def annotate(self, kind: str, name: str, **annotations: str | None) -> None:
        """Set annotations of aim.silogen.ai/; underscores are dashes."""
        keys = {f"aim.silogen.ai/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.patch(kind, name, {"metadata": {"annotations": keys}})

    def patch(self, kind: str, name: str, patch: Manifest, *, status: bool = False) -> None:
        path = self._path(kind, name) + ("/status" if status else "")
        self.api.request("PATCH", path, patch, "application/merge-patch+json")

    def hold(self, who: str, *, on: bool = True) -> None:
        """Hold a stand-in back in this namespace: node, kserve or gateway."""
        annotations = {PREFIX + who: HOLD if on else None}
        path = f"/api/v1/namespaces/{self.namespace}"
        self.api.request(
            "PATCH", path, {"metadata": {"annotations": annotations}}, "application/merge-patch+json"
        )

    def clear(self) -> None:
        """Remove what lies outside of the namespace, services' templates last."""
        for path in reversed(self._outside):
            self.api.delete(path)

    # Looking

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        found: Manifest | None = self.api.get(self._path(kind, name, namespace))
        return found

    def all(self, kind: str, namespace: str | None = None) -> list[Manifest]:
        path = self._path(kind, "", namespace).rstrip("/")
        items: list[Manifest] = self.api.request("GET", path)["items"]
        return items

    def need(self, kind: str, name: str, namespace: str | None = None) -> Manifest:
        found = self.get(kind, name, namespace)
        assert found is not None, f"no {kind} {name}"
        return found

    def status(self, kind: str = "AIMService", name: str = "chat") -> dict[str, Any]:
        status: dict[str, Any] = self.need(kind, name).get("status", {})
        return status

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return (type, reason) of the events about an object of the namespace, oldest first."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        items = self.api.request("GET", f"{path}?fieldSelector=regarding.name={name}")["items"]
        items.sort(key=lambda e: (e["metadata"]["creationTimestamp"], e["eventTime"] or ""))
        return [(event["type"], event["reason"]) for event in items]

    # Waiting

    def until(
        self, kind: str, name: str, check: Check, what: str = "", *, seconds: float = SECONDS
    ) -> Manifest:
        """Return the object once `check` holds for it; it is watched, not asked again and again."""
        last: Manifest | None = None
        for last in self._versions(kind, name, Patience(seconds)):
            if last is not None and check(last):
                return last
        raise AssertionError(f"not within {seconds:.0f} s: {kind} {name} {what}; last: {_shown(last)}")

    def until_gone(self, kind: str, name: str, *, seconds: float = SECONDS) -> None:
        for last in self._versions(kind, name, Patience(seconds)):
            if last is None:
                return
        raise AssertionError(f"not within {seconds:.0f} s: {kind} {name} is gone")

    def until_service(self, state: str, reason: str = "", *, name: str = "chat") -> dict[str, Any]:
        """Return the status of the service once it says so about the spec that it has now."""
        found = self.until("AIMService", name, lambda s: _says(s, state, reason), f"is {state} {reason}")
        status: dict[str, Any] = found["status"]
        return status

    def until_template(self, state: str, reason: str = "", *, name: str = "fast") -> dict[str, Any]:
        found = self.until(
            "AIMServiceTemplate", name, lambda t: _says(t, state, reason), f"is {state} {reason}"
        )
        status: dict[str, Any] = found["status"]
        return status

    def run(self, *manifests: Manifest, name: str = "chat") -> dict[str, Any]:
        """Apply and wait until the service runs."""
        self.apply(*manifests)
        return self.until_service("Running", name=name)

    def _versions(self, kind: str, name: str, patience: Patience) -> Iterator[Manifest | None]:
        """Yield the object as it is and with every change; None where it is not there."""
        collection = self._path(kind, "").rstrip("/")
        selector = f"fieldSelector=metadata.name={name}"
        listed = self.api.request("GET", f"{collection}?{selector}")
        yield listed["items"][0] if listed["items"] else None
        version = listed["metadata"]["resourceVersion"]
        while (left := patience.left) > 0:
            query = f"{selector}&watch=1&resourceVersion={version}&timeoutSeconds={int(left) + 1}"
            for event in self.api.stream(f"{collection}?{query}"):
                if event["type"] == "ERROR":
                    raise AssertionError(f"the watch of {kind} {name} broke: {event}")
                version = event["object"]["metadata"]["resourceVersion"]
                yield None if event["type"] == "DELETED" else event["object"]

    def _path(self, kind: str, name: str, namespace: str | None = None) -> str:
        cluster_wide = "Cluster" in kind or kind == "Namespace"
        manifest: Manifest = {
            "apiVersion": VERSIONS.get(kind, API),
            "kind": kind,
            "metadata": {"name": name},
        }
        if not cluster_wide:
            manifest["metadata"]["namespace"] = self.namespace if namespace is None else namespace
        return object_path(manifest)


def routed(template: str | None = None, *, gateway: str = GATEWAY, **more: Any) -> Manifest:
    """Return `spec.routing` of a service or configuration, on the gateway of the cluster."""
    reference = {"name": gateway, "namespace": GATEWAY_NAMESPACE}
    path = {"routeTemplate": template} if template is not None else {}
    return {"enabled": True, "gatewayRef": reference, **path, **more}


def told(status: dict[str, Any], type_: str) -> str:
    """Return status and reason of a condition, such as "False/ImageNotFound"; "" where it is absent."""
    found = next((c for c in status.get("conditions", []) if c["type"] == type_), None)
    return f"{found['status']}/{found['reason']}" if found else ""


def message(status: dict[str, Any], type_: str) -> str:
    return str(next(c for c in status["conditions"] if c["type"] == type_)["message"])


def served_image(inference_service: Manifest) -> str:
    """Return the image that an InferenceService runs."""
    image: str = inference_service["spec"]["predictor"]["model"]["image"]
    return image


def variables(container: Manifest) -> dict[str, str]:
    """Return the literal environment of a container, in its order."""
    return {each["name"]: each.get("value", "") for each in container.get("env", [])}


def names(references: list[dict[str, str]]) -> list[str]:
    return [each["name"] for each in references]


def refused(world: World, manifest: Manifest) -> str:
    """Return why the API server will not take an object. Nothing is kept."""
    path = f"{object_path(manifest)}?fieldManager=test&dryRun=All"
    try:
        world.api.request("PATCH", path, manifest, "application/apply-patch+yaml")
    except urllib.error.HTTPError as error:
        return str(json.loads(error.read())["message"])
    return ""


def _says(obj: Manifest, state: str, reason: str) -> bool:
    status = obj.get("status", {})
    current = status.get("observedGeneration") == obj["metadata"]["generation"]
    said = told(status, "Ready").partition("/")[2]
    return current and status.get("status") == state and reason in ("", said)


def _object(api_version: str, kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def _shown(obj: Manifest | None) -> str:
    return "not there" if obj is None else json.dumps(obj.get("status", {}))[:2000]
