"""Broken situations for `aimctl why` that a real node, KServe and gateway come to by themselves.

As in why_situations.py, whose other statuses are written by tests, in words copied from their sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from hack.cluster.api import Manifest, object_path
from hack.cluster.cluster import Cluster
from tests.support.registry import BUSY, LOCKED
from tests.support.spec_cluster import GATEWAY_NAMESPACE
from tests.support.spec_world import World, routed
from tests.support.viewer import viewer_of
from tests.support.why_situations import Situation, core, model_cache, section

MAIN, RESTRICTED, REFUSING, NO_GPUS, NO_PODS = "main", "restricted", "refusing", "no-gpus", "no-pods"
NAMESPACES = (MAIN, RESTRICTED, REFUSING, NO_GPUS, NO_PODS)
Begin = Callable[[World], None]
Situations = dict[str, tuple[str, Situation]]
"""Each with its namespace."""
FAST = {"metric": "latency", "precision": "fp16", "gpuSelector": {"model": "MI300X", "count": 1}}
REQUESTS, LIMITS = {"cpu": "5m", "memory": "4Mi"}, {"cpu": "1", "memory": "128Mi"}
TOO_LITTLE_TO_RUN = {"memory": "10Mi"}
"""The stand-in serves in 21 MB; runc needs less to start it."""
TOO_LITTLE_TO_START = {"cpu": "5m", "memory": "1Mi"}
START = "AIM_STAND_IN_START_SECONDS"
NOBODY, FRIDAYS = "example.com/nobody", "no model servers on Fridays"
ALLOW = "allow what the message names"
CREATE = "create what the message names"


def service(name: str, *, limits: Manifest | None = None, **spec: Any) -> Begin:
    """One that fits a laptop's node but for what is given."""
    resources = {"requests": REQUESTS, "limits": LIMITS | (limits or {})}
    return lambda world: world.apply(world.service(name, **{"resources": resources} | spec))


def loading(name: str, seconds: str) -> Begin:
    return service(name, env=[{"name": START, "value": seconds}], serving={"startupTimeoutSeconds": 600})


def of_image(name: str, ref: str) -> Begin:
    """An image and its template, which bears the same name."""

    def begin(world: World) -> None:
        image = world.image(ref=ref)
        image["metadata"]["name"] = name
        world.apply(image, world.template(name, aimImageName=name))

    return begin


def mounting(name: str, **source: Manifest) -> Begin:
    return service(name, serving={"volumes": [{"name": "more", "mountPath": "/more", **source}]})


def reading(name: str, secret: str, key: str) -> Begin:
    reference = {"secretKeyRef": {"name": secret, "key": key}}
    return service(name, env=[{"name": "HF_TOKEN", "valueFrom": reference}])


def cache(name: str, class_: str) -> Begin:
    def begin(world: World) -> None:
        manifest = model_cache(size="1Gi", storageClassName=class_)(world)
        manifest["metadata"]["name"] = name
        world.apply(manifest)

    return begin


def not_provisioned(name: str) -> Begin:
    """A cache of a class whose provisioner does not run."""

    def begin(world: World) -> None:
        class_ = world.shared("nobody")
        world.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": class_},
                "provisioner": NOBODY,
            }
        )
        cache(name, class_)(world)

    return begin


def _of_images(registry: str) -> Iterator[tuple[str, Situation]]:
    for what, name, ref, says, remedy in (
        (
            "an image that the registry has not",
            "missing",
            f"{registry}/example/missing:v1",
            "not found",
            "Correct the image's spec.image",
        ),
        (
            "an image that wants credentials",
            "locked",
            f"{registry}/{LOCKED}/model:v1",
            "ImagePullAuthFailed",
            "Add imagePullSecrets",
        ),
        (
            "a registry of which too much was asked",
            "busy",
            f"{registry}/{BUSY}/model:v1",
            "429 Too Many Requests",
            "the kubelet tries again",
        ),
        (
            "a registry that nobody reaches",
            "unreachable",
            "registry.invalid/example/model:v1",
            "registry.invalid",
            "see that the Pod's node reaches the registry",
        ),
        (
            "a discovery that ends with an error",
            "broken",
            "ghcr.io/example/broken:v1",
            "exited with code 3",
            "Do what the message says",
        ),
    ):
        yield what, Situation(of_image(name, ref), "Pod", says, remedy, subject=f"template/{name}")


def _of_model_servers() -> Iterator[tuple[str, Situation]]:
    rootless = service("rootless", securityContext={"runAsNonRoot": True})
    nowhere = service("nowhere", scheduling={"nodeSelector": {"zone": "nowhere"}})
    tiny = service("tiny", resources=dict.fromkeys(("requests", "limits"), TOO_LITTLE_TO_START))
    for what, name, begin, says, remedy in (
        ("a server that ends", "ends", loading("ends", "soon"), "exited with code 1", "its last words"),
        (
            "a server that does not answer yet",
            "slow",
            loading("slow", "600"),
            "Startup probe failed",
            "serving.startupTimeoutSeconds",
        ),
        (
            "a server that takes too much memory",
            "big",
            service("big", limits=TOO_LITTLE_TO_RUN),
            "OOMKilled",
            "raise resources.limits.memory",
        ),
        (
            "a limit in which nothing starts",
            "tiny",
            tiny,
            "memory limit too low",
            "raise resources.limits.memory",
        ),
        (
            "more GPUs than any node has",
            "many",
            service("many", limits={"amd.com/gpu": "999"}),
            "Insufficient amd.com/gpu",
            "Make room",
        ),
        (
            "a node that no label selects",
            "nowhere",
            nowhere,
            "didn't match Pod's node affinity/selector",
            "compare with kubectl get nodes --show-labels",
        ),
        (
            "an image of root where nobody may be root",
            "rootless",
            rootless,
            "image will run as root",
            "set securityContext.runAsUser",
        ),
        (
            "a Secret that nobody has",
            "no-secret",
            reading("no-secret", "gone", "token"),
            'secret "gone" not found',
            CREATE,
        ),
        (
            "a key that the Secret has not",
            "no-key",
            reading("no-key", "tokens", "gone"),
            "couldn't find key gone in Secret",
            CREATE,
        ),
        (
            "a ConfigMap that nobody has",
            "no-map",
            mounting("no-map", configMap={"name": "gone"}),
            'configmap "gone" not found',
            CREATE,
        ),
        (
            "a claim that nobody has",
            "no-claim",
            mounting("no-claim", persistentVolumeClaim={"claimName": "gone"}),
            'persistentvolumeclaim "gone" not found',
            "have the claim made again",
        ),
    ):
        yield what, Situation(begin, "Pod", says, remedy, subject=name)


def _of_claims() -> Iterator[tuple[str, Situation]]:
    for what, name, begin, says, remedy in (
        (
            "a class that is not there",
            "classless",
            cache("classless", "nowhere"),
            'storageclass.storage.k8s.io "nowhere" not found',
            "",
        ),
        (
            "a provisioner that does not run",
            "orphan",
            not_provisioned("orphan"),
            NOBODY,
            "see that the provisioner which the message names runs",
        ),
        ("a provisioner that fails", "failing", cache("failing", "local-broken"), "ProvisioningFailed", ""),
    ):
        yield what, Situation(begin, "PersistentVolumeClaim", says, remedy, subject=f"cache/{name}")


def _of_routes(closed: str) -> Iterator[tuple[str, Situation]]:
    for what, name, routing, says, remedy in (
        (
            "a Gateway that is not there",
            "no-gateway",
            routed(gateway="nowhere"),
            "no gateway controller has said anything",
            "see that the Gateway is there",
        ),
        (
            "a listener that is not there",
            "no-section",
            section("nowhere"),
            "NoMatchingParent",
            "name a Gateway, section and port that are there",
        ),
        (
            "a listener that takes no routes from here",
            "not-allowed",
            routed(gateway=closed),
            "NotAllowedByListeners",
            "allowedRoutes",
        ),
    ):
        yield what, Situation(service(name, routing=routing), "HTTPRoute", says, remedy, subject=name)


def situations(registry: str, closed: str) -> Situations:
    """`registry` has no image; `closed` is a Gateway that takes no routes of other namespaces."""
    of_main = (*_of_images(registry), *_of_model_servers(), *_of_claims(), *_of_routes(closed))
    server = "InferenceService"
    return {what: (MAIN, situation) for what, situation in of_main} | {
        "a quota without GPUs": (NO_GPUS, Situation(service("chat"), server, "exceeded quota", ALLOW)),
        "a quota without Pods": (NO_PODS, Situation(service("chat"), "Job", "exceeded quota", ALLOW)),
        "a namespace whose Pod Security refuses": (
            RESTRICTED,
            Situation(service("chat"), server, "violates PodSecurity", "securityContext"),
        ),
        "a policy that refuses model servers": (
            REFUSING,
            Situation(service("chat"), "AIMService", FRIDAYS, ""),
        ),
    }


def fill(worlds: dict[str, World]) -> None:
    """Give each namespace its catalog, and what is in the way there."""
    for world in worlds.values():
        world.api.apply(viewer_of(world.namespace))
        world.apply(*world.catalog(**FAST))
    tokens = {"apiVersion": "v1", "kind": "Secret", "stringData": {"token": "x"}}
    worlds[MAIN].apply(tokens | {"metadata": {"name": "tokens", "namespace": worlds[MAIN].namespace}})
    worlds[REFUSING].apply(*_policy(worlds[REFUSING].namespace))
    for where, resource in ((NO_GPUS, "requests.amd.com/gpu"), (NO_PODS, "pods")):
        worlds[where].apply(core("ResourceQuota", "none", {"hard": {resource: "0"}})(worlds[where]))
    level = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    path = f"/api/v1/namespaces/{worlds[RESTRICTED].namespace}"
    worlds[RESTRICTED].api.request("PATCH", path, level, "application/merge-patch+json")


def _policy(namespace: str) -> tuple[Manifest, Manifest]:
    """Return what refuses every InferenceService of a namespace, and its binding."""
    group, kind, name = (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        f"refuses-{namespace}",
    )
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "apiVersions": ["*"],
        "operations": ["CREATE"],
        "resources": ["inferenceservices"],
    }
    spec: Manifest = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": FRIDAYS}],
    }
    bound = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
    }
    metadata = {"name": name}
    return (
        {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec},
        {"apiVersion": group, "kind": f"{kind}Binding", "metadata": metadata, "spec": bound},
    )


@contextmanager
def closed_gateway(cluster: Cluster, suffix: str) -> Iterator[str]:
    """Yield the name of a Gateway whose listener takes routes of its own namespace only."""
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": urlsplit(cluster.gateway_url).port,
        "hostname": f"{suffix}.example.com",
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    manifest: Manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": f"closed-{suffix}", "namespace": GATEWAY_NAMESPACE},
        "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
    }
    cluster.api.apply(manifest)
    try:
        yield manifest["metadata"]["name"]
    finally:
        cluster.api.delete(object_path(manifest))
