"""Broken situations for `aimctl why`: how each is made, its root, and what to do.

For a World on a real API server, where admission, quotas, limits, the scheduler, the Job controller and the
controller of claims say their own words, and for one on the sandbox, as far as that has such words. What
others write is written here as their sources have it: Kubernetes v1.35 (pkg/kubelet: images/image_manager.go,
kuberuntime/kuberuntime_manager.go, eviction/helpers.go, cm/devicemanager/manager.go, cm/admission/errors.go,
kubelet.go's rejectPod and syncPod, prober/prober.go; pkg/volume/util/operationexecutor;
pkg/controller/volume/attachdetach/reconciler; pkg/controller/deployment/progress.go), KServe 0.20
(pkg/controller/v1beta1/inferenceservice), external-provisioner (lib-external-provisioner's controller.go),
Gateway API 1.4 (apis/v1/shared_types.go) in the words of Envoy Gateway and of Traefik 3.6, which has none.
What a node here comes to by itself is in why_on_a_node.py, in its own words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from aim_operator.cli.why.chain import Chain, lines
from aim_operator.cli.why.remedies import remedy
from hack.cluster.api import Manifest
from tests.support.spec_cluster import GATEWAY, GATEWAY_NAMESPACE
from tests.support.spec_world import World, routed
from tests.support.stand_ins.images import BROKEN, GARBAGE, MISSING

MOST_REQUESTS = 8
"""For one answer, one after the other: at 250 ms each, from a server far away, still within two seconds."""
NOW = "2026-01-31T12:00:00Z"
OLDER = "2026-01-31T11:00:00Z"
POD = "chat-predictor-0"
Then = Callable[[World], bool]


class Situation(NamedTuple):
    """`begin` makes it; `then` adds what others write, and is asked again while it returns False.

    `root` is the kind at the root, `says` is in its reason or message, `remedy` in the last line.
    """

    begin: Callable[[World], None]
    root: str
    says: str
    remedy: str
    then: Then | None = None
    subject: str = "chat"


def applied(*make: Callable[[World], Manifest]) -> Callable[[World], None]:
    return lambda world: world.apply(*(each(world) for each in make))


def with_catalog(*make: Callable[[World], Manifest], **template: Any) -> Callable[[World], None]:
    def begin(world: World) -> None:
        world.apply(*world.catalog(**template), *(each(world) for each in make))

    return begin


def service(name: str = "chat", **spec: Any) -> Callable[[World], Manifest]:
    return lambda world: world.service(name, **spec)


def held(who: str, begin: Callable[[World], None]) -> Callable[[World], None]:
    """Have a stand-in leave the statuses to the test."""

    def held_back(world: World) -> None:
        world.hold(who)
        begin(world)

    return held_back


def of_image(ref: str) -> Callable[[World], None]:
    def begin(world: World) -> None:
        image = world.image(ref=ref, defaultServiceTemplate="fast")
        world.apply(image, world.template(), world.config(), world.service())

    return begin


def core(kind: str, name: str, spec: Manifest) -> Callable[[World], Manifest]:
    return lambda world: {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": world.namespace},
        "spec": spec,
    }


def beside(first: Callable[[World], Manifest], begin: Callable[[World], None]) -> Callable[[World], None]:
    def both(world: World) -> None:
        world.api.request(
            "POST", f"/api/v1/namespaces/{world.namespace}/{_plural(first(world))}", first(world)
        )
        begin(world)

    return both


def _plural(manifest: Manifest) -> str:
    return {"ResourceQuota": "resourcequotas", "LimitRange": "limitranges"}[manifest["kind"]]


def condition(
    type_: str, reason: str, message: str, generation: int | None = None, *, status: str = "False"
) -> Manifest:
    told = {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
    }
    return told if generation is None else told | {"observedGeneration": generation}


def refused_route(reason: str, message: str, *, status: str = "False") -> Then:
    """Write what a gateway's controller says of the route."""

    def then(world: World) -> bool:
        route = world.get("HTTPRoute", "chat")
        if route is None:
            return False
        told = condition("Accepted", reason, message, route["metadata"]["generation"], status=status)
        parent = {
            "parentRef": {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE},
            "controllerName": "example.com/gateway",
            "conditions": [told],
        }
        world.patch("HTTPRoute", "chat", {"status": {"parents": [parent]}}, status=True)
        return True

    return then


def kserve_says(status: Manifest, *events: tuple[str, str]) -> Then:
    """Write what KServe says of the InferenceService; the last event is the youngest."""

    def then(world: World) -> bool:
        live = world.get("InferenceService", "chat")
        if live is None:
            return False
        world.patch("InferenceService", "chat", {"status": status}, status=True)
        for at, event in zip((NOW, OLDER), reversed(events), strict=False):
            tell(world, live, *event, at=at)
        return True

    return then


def each(*of: Then) -> Then:
    """Have several write, one after the other, once all can."""

    def then(world: World) -> bool:
        return all(write(world) for write in of)

    return then


def tell(world: World, of: Manifest, reason: str, message: str, *, at: str = NOW) -> None:
    """Record an event, as a recorder of client-go does: seen again, it is counted up, and none made anew."""
    metadata = of["metadata"]
    named = {"kind": of["kind"], "namespace": world.namespace, "name": metadata["name"]}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{reason.lower()}", "namespace": world.namespace},
        "involvedObject": named | {"uid": metadata["uid"], "apiVersion": of["apiVersion"]},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "firstTimestamp": OLDER,
        "lastTimestamp": at,
        "count": 1,
    }
    world.api.request("POST", f"/api/v1/namespaces/{world.namespace}/events", event)


def pod(
    status: Manifest | None = None,
    event: tuple[str, str] | None = None,
    *,
    placed: bool = False,
    of_container: Manifest | None = None,
    **spec: Any,
) -> Then:
    """Make the Pod that KServe's Deployment would have, with what the kubelet says of it.

    `placed`: the scheduler looks at it; else nobody does, and its status is the test's.
    """

    def then(world: World) -> bool:
        live = world.get("InferenceService", "chat")
        if live is None:
            return False
        labels = {
            "serving.kserve.io/inferenceservice": "chat",
            "aim.silogen.ai/revision": live["metadata"]["labels"]["aim.silogen.ai/revision"],
        }
        container = {"name": "kserve-container", "image": "example/x", **(of_container or {})}
        nobody = {} if placed else {"schedulerName": "nobody"}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "namespace": world.namespace, "labels": labels},
            "spec": {"containers": [container], **nobody, **spec},
        }
        made = world.api.request("POST", f"/api/v1/namespaces/{world.namespace}/pods", manifest)
        if status is not None:
            world.patch("Pod", POD, {"status": status}, status=True)
        if event is not None:
            tell(world, made, *event)
        return True

    return then


def container_status(state: Manifest, last: Manifest | None = None) -> Manifest:
    told = {
        "name": "kserve-container",
        "image": "example/x",
        "imageID": "",
        "ready": False,
        "restartCount": 3,
        "state": state,
    }
    # As getPhase of pkg/kubelet/kubelet_pods.go: whose container ran once is Running, also between two runs.
    phase = "Running" if last or "running" in state else "Pending"
    return {"phase": phase, "containerStatuses": [told | ({"lastState": last} if last else {})]}


def waits(reason: str, message: str = "", last: Manifest | None = None) -> Manifest:
    return container_status({"waiting": {"reason": reason, "message": message}}, last)


def ended(code: int, reason: str, message: str = "") -> Manifest:
    told = {"exitCode": code, "reason": reason, "message": message, "finishedAt": NOW, "startedAt": NOW}
    return {"terminated": told}


UID = "0f6d3a52-7c1e-4f0b-9d1c-5b8f0a4f7c11"
BACK_OFF = f"back-off 5m0s restarting failed container=kserve-container pod={POD}_team({UID})"
SANDBOX = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
    '"6a1c": plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory'
)
NO_NETWORK = (
    "network is not ready: container runtime network not ready: NetworkReady=false "
    "reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"
)
NO_ISTIO = (
    "VirtualServiceCRDNotFound",
    (
        "Istio VirtualService CRD not present; VirtualService reconciliation skipped. "
        "If you do not use Istio, set ingress.disableIstioVirtualHost=true."
    ),
)
"""KServe 0.20 notes it of every InferenceService, also of those that run."""
TIMED_OUT = 'ReplicaSet "chat-predictor-5d8f9c6b7d" has timed out progressing.'
NOT_STARTED = (
    "Unhealthy",
    (
        'Startup probe failed: Get "http://10.0.0.1:8000/v1/models": '
        "dial tcp 10.0.0.1:8000: connect: connection refused"
    ),
)
NO_FLOAT = "ValueError: could not convert string to float: 'soon'"
OF_CONTAINER = {
    "transitionStatus": "BlockedByFailedLoad",
    "lastFailureInfo": {"reason": "ModelLoadFailed", "message": NO_FLOAT, "exitCode": 1},
}
NO_MEMORY = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to create containerd task: failed "
    "to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
    "container init was OOM-killed (memory limit too low?): unknown"
)
NO_QUOTA = (
    'pods "chat-predictor-64d48c74dd-9t6jn" is forbidden: exceeded quota: none, requested: '
    "requests.amd.com/gpu=1, used: requests.amd.com/gpu=0, limited: requests.amd.com/gpu=0"
)
SERVED = held("kserve", with_catalog(service()))
PATH = "/{.metadata.namespace}/one"


def mounts(claim: str) -> Manifest:
    volume = {"name": "model", "persistentVolumeClaim": {"claimName": claim}}
    return {"volumes": [volume]}


def jobs(**settings: Any) -> Callable[[World], None]:
    """Begin with a configuration of Jobs."""

    def begin(world: World) -> None:
        image, template, _ = world.catalog()
        world.apply(world.config(jobs=settings), image, template, world.service())

    return begin


def suspended(world: World) -> bool:
    found = world.all("Job")
    if not found:
        return False
    world.patch("Job", found[0]["metadata"]["name"], {"spec": {"suspend": True}})
    return True


def paused_template(world: World) -> None:
    template = world.template()
    template["metadata"]["annotations"] = {"aim.silogen.ai/reconciliation-paused": "true"}
    world.apply(world.image(defaultServiceTemplate="fast"), template, world.service())


def paused_service(world: World) -> None:
    manifest = world.service()
    manifest["metadata"]["annotations"] = {"aim.silogen.ai/reconciliation-paused": "true"}
    world.apply(*world.catalog(), manifest)


def taken_name(world: World) -> None:
    predictor = {"model": {"modelFormat": {"name": "x"}, "runtime": "none"}}
    theirs = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "chat", "namespace": world.namespace},
        "spec": {"predictor": predictor},
    }
    world.apply(theirs, *world.catalog(), world.service())


def rivals(world: World) -> None:
    world.apply(*world.catalog(), world.service("first", routing=routed(PATH)))
    world.apply(world.service("second", routing=routed(PATH)))


def model_cache(**spec: Any) -> Callable[[World], Manifest]:
    return lambda world: {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMModelCache",
        "metadata": {"name": "llama", "namespace": world.namespace},
        "spec": {"sourceUri": "hf://example/llama", **spec},
    }


def provisioned(world: World) -> None:
    """Begin with a cache of a class whose provisioner is not Kubernetes' own: it only notes that it waits."""
    name = world.shared("slow")
    world.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "csi.example.com",
        },
        model_cache(size="1Gi", storageClassName=name)(world),
    )


def provisioner_says(message: str) -> Then:
    """Record that the provisioner of `provisioned` fails, with its words about the class {name}."""

    def then(world: World) -> bool:
        cache = world.get("AIMModelCache", "llama") or {}
        claim = cache.get("status", {}).get("persistentVolumeClaim")
        found = world.get("PersistentVolumeClaim", claim) if claim else None
        if found is None:
            return False
        tell(world, found, "ProvisioningFailed", message.format(name=world.shared("slow")))
        return True

    return then


def template_cache(world: World) -> Manifest:
    return {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMTemplateCache",
        "metadata": {"name": "warm", "namespace": world.namespace},
        "spec": {"templateRef": "gone"},
    }


def section(name: str) -> Manifest:
    reference = {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE, "sectionName": name}
    return {"enabled": True, "gatewayRef": reference}


OURS = {
    "a model that is not in the catalog": Situation(
        applied(service()), "AIMService", "ImageNotFound", "Create the image"
    ),
    "a template that is not there": Situation(
        with_catalog(service(templateRef="slow")), "AIMService", "TemplateNotFound", "Create a template"
    ),
    "an image without any template": Situation(
        applied(lambda w: w.image(), service()), "AIMService", "TemplateNotFound", "Create a template"
    ),
    "a configuration that is not there": Situation(
        with_catalog(service(runtimeConfigName="ours")), "AIMService", "RuntimeConfigMissing", "Create it"
    ),
    "a template of another image": Situation(
        applied(lambda w: w.image(), lambda w: w.template(aimImageName="other"), service(templateRef="fast")),
        "AIMService",
        "TemplateImageMismatch",
        "Name a template of this image",
    ),
    "two templates that fit equally well": Situation(
        applied(lambda w: w.image(), lambda w: w.template("one"), lambda w: w.template("two"), service()),
        "AIMService",
        "TemplateSelectionAmbiguous",
        "Set spec.templateRef",
    ),
    "a template whose image is missing": Situation(
        applied(lambda w: w.template()),
        "AIMServiceTemplate",
        "ImageNotFound",
        "Create the image",
        subject="template/fast",
    ),
    "a discovery that ends with an error": Situation(
        of_image(f"{BROKEN}:v1"), "Pod", "exited with code", "Do what the message says"
    ),
    "a discovery that prints something else": Situation(
        of_image(f"{GARBAGE}:v1"), "AIMServiceTemplate", "DiscoveryParseFailed", "Correct the image"
    ),
    "a discovery without model sources": Situation(
        with_catalog(service(), env=[{"name": "AIM_TEST_MODELS", "value": "none"}]),
        "AIMService",
        "NoModelSources",
        "Check the image",
    ),
    "a path of a label that is missing": Situation(
        with_catalog(service(routing=routed("/{.metadata.labels['team']}"))),
        "AIMService",
        "RouteTemplateInvalid",
        "",
    ),
    "an older service that has the path": Situation(
        rivals, "AIMService", "RouteConflict", "", subject="second"
    ),
    "a request above its limit": Situation(
        with_catalog(service(resources={"requests": {"cpu": "4"}}), resources={"limits": {"cpu": "1"}}),
        "AIMService",
        "ResourcesInvalid",
        "Set the quantity that the message names",
    ),
    "a service that is paused": Situation(paused_service, "AIMService", "Paused", "Remove the annotation"),
    "a template that is paused": Situation(
        paused_template, "AIMServiceTemplate", "Paused", "Remove the annotation"
    ),
    "a name that somebody else's InferenceService has": Situation(
        taken_name, "AIMService", "NameConflict", "Rename the template or service"
    ),
    "a claim of the user's that is not there": Situation(
        applied(model_cache(existingClaim={"name": "gone"})),
        "AIMModelCache",
        "ClaimNotFound",
        "",
        subject="cache/llama",
    ),
    "a cache whose configuration is missing": Situation(
        applied(model_cache(size="1Gi", runtimeConfigName="ours")),
        "AIMModelCache",
        "RuntimeConfigMissing",
        "Create it",
        subject="cache/llama",
    ),
    "a cache of a template that is not there": Situation(
        applied(template_cache),
        "AIMTemplateCache",
        "TemplateNotFound",
        "Create a template",
        subject="templatecache/warm",
    ),
}
"""An empty remedy stands for that of the list of reasons."""

OTHERS = {
    "an image that no registry has": Situation(
        of_image(f"{MISSING}:v1"), "Pod", "ImagePullFailed", "Correct the image's spec.image"
    ),
    "a quota without Pods": Situation(
        beside(core("ResourceQuota", "none", {"hard": {"pods": "0"}}), with_catalog(service())),
        "Job",
        "exceeded quota",
        "allow what the message names",
    ),
    "a limit that no Pod keeps": Situation(
        beside(
            core("LimitRange", "small", {"limits": [{"type": "Container", "max": {"cpu": "1m"}}]}),
            with_catalog(service()),
        ),
        "Job",
        "maximum cpu usage per Container is 1m",
        "allow what the message names",
    ),
    "Jobs for a node that is not there": Situation(
        jobs(scheduling={"nodeSelector": {"zone": "nowhere"}}),
        "Pod",
        "didn't match Pod's node affinity/selector",
        "compare with kubectl get nodes --show-labels",
    ),
    "a Job that a queue has suspended": Situation(
        held("node", with_catalog(service())),
        "AIMServiceTemplate",
        "Suspended",
        "spec.suspend",
        then=suspended,
    ),
    "a claim of a class that is not there": Situation(
        applied(model_cache(size="1Gi", storageClassName="nowhere")),
        "PersistentVolumeClaim",
        'storageclass.storage.k8s.io "nowhere" not found',
        "",
        subject="cache/llama",
    ),
    "a provisioner that has no room": Situation(
        provisioned,
        "PersistentVolumeClaim",
        "code = ResourceExhausted desc = not enough space",
        "",
        then=provisioner_says(
            'failed to provision volume with StorageClass "{name}": '
            "rpc error: code = ResourceExhausted desc = not enough space"
        ),
        subject="cache/llama",
    ),
    "a listener that takes no routes from here": Situation(
        held("gateway", with_catalog(service(routing=routed(PATH)))),
        "HTTPRoute",
        "NotAllowedByListeners",
        "allowedRoutes",
        then=refused_route(
            "NotAllowedByListeners", "No listeners included by this parent ref allowed this attachment."
        ),
    ),
    "a host that no listener has": Situation(
        held("gateway", with_catalog(service(routing=routed(PATH)))),
        "HTTPRoute",
        "NoMatchingListenerHostname",
        "hostname that fits",
        then=refused_route(
            "NoMatchingListenerHostname",
            "There were no hostname intersections between the HTTPRoute and this parent ref's Listener(s).",
        ),
    ),
    "a listener that does not fit, and a gateway without words": Situation(
        held("gateway", with_catalog(service(routing=routed(PATH)))),
        "HTTPRoute",
        "NoMatchingParent",
        "name a Gateway, section and port that are there",
        then=refused_route("NoMatchingParent", ""),
    ),
    "a gateway that has not decided yet": Situation(
        held("gateway", with_catalog(service(routing=routed(PATH)))),
        "HTTPRoute",
        "Pending",
        "see that the Gateway is there and that its controller runs",
        then=refused_route("Pending", "Waiting for controller", status="Unknown"),
    ),
    "a listener that is not there": Situation(
        with_catalog(service(routing=section("nowhere"))),
        "HTTPRoute",
        "NoMatchingParent",
        "name a Gateway, section and port that are there",
    ),
    "a Gateway that is not there": Situation(
        with_catalog(service(routing=routed(PATH, gateway="nowhere"))),
        "HTTPRoute",
        "no gateway controller has said anything",
        "see that the Gateway is there",
    ),
    "a Deployment that takes too long": Situation(
        SERVED,
        "InferenceService",
        "has timed out progressing",
        "read its log with aimctl logs",
        then=kserve_says(
            {
                "conditions": [
                    condition(each, "ProgressDeadlineExceeded", TIMED_OUT)
                    for each in ("PredictorReady", "Ready")
                ]
            },
            NO_ISTIO,
        ),
    ),
    "an object that KServe can't make": Situation(
        SERVED,
        "InferenceService",
        "fails to reconcile predictor",
        "correct what KServe names",
        then=kserve_says(
            {},
            (
                "InternalError",
                'fails to reconcile predictor: admission webhook "policy.example.com" denied the request: no',
            ),
            NO_ISTIO,
        ),
    ),
    "a model that KServe finds no runtime for": Situation(
        SERVED,
        "InferenceService",
        "No ServingRuntimes or ClusterServingRuntimes with the name: chat",
        "correct what KServe names",
        then=kserve_says(
            {
                "modelStatus": {
                    "transitionStatus": "InvalidSpec",
                    "lastFailureInfo": {
                        "reason": "RuntimeNotRecognized",
                        "message": "Waiting for runtime to become available",
                    },
                }
            },
            ("InternalError", "No ServingRuntimes or ClusterServingRuntimes with the name: chat"),
        ),
    ),
    "more GPUs than any node has": Situation(
        SERVED,
        "Pod",
        "Insufficient amd.com/gpu",
        "Make room",
        then=pod(placed=True, of_container={"resources": {"limits": {"amd.com/gpu": "9999"}}}),
    ),
    "a node that no label selects": Situation(
        SERVED,
        "Pod",
        "didn't match Pod's node affinity/selector",
        "compare with kubectl get nodes --show-labels",
        then=pod(placed=True, nodeSelector={"zone": "nowhere"}),
    ),
    "a claim that its Pod mounts and nobody has": Situation(
        SERVED,
        "Pod",
        'persistentvolumeclaim "gone" not found',
        "have the claim made again",
        then=pod(placed=True, **mounts("gone")),
    ),
    "a Pod with a gate": Situation(
        SERVED,
        "Pod",
        "Suspended",
        "",
        then=pod(placed=True, schedulingGates=[{"name": "kueue.x-k8s.io/admission"}]),
    ),
    "a model server that takes too much memory": Situation(
        SERVED,
        "Pod",
        "OOMKilled",
        "raise resources.limits.memory",
        then=pod(waits("CrashLoopBackOff", BACK_OFF, ended(137, "OOMKilled"))),
    ),
    "a model server that the hub refuses": Situation(
        SERVED,
        "Pod",
        "401 Client Error",
        "set HF_TOKEN",
        then=pod(
            waits("CrashLoopBackOff", BACK_OFF, ended(1, "Error", "requests.HTTPError: 401 Client Error: no"))
        ),
    ),
    "a model server that reaches no hub": Situation(
        SERVED,
        "Pod",
        "Max retries exceeded",
        "set HF_ENDPOINT to a mirror",
        then=pod(
            waits("CrashLoopBackOff", BACK_OFF, ended(1, "Error", "ConnectionError: Max retries exceeded"))
        ),
    ),
    "a model server that ends for reasons of its own": Situation(
        SERVED,
        "Pod",
        "could not convert string to float",
        "do what its last words say",
        then=each(
            kserve_says({"modelStatus": OF_CONTAINER}),
            pod(waits("CrashLoopBackOff", BACK_OFF, ended(1, "Error", NO_FLOAT))),
        ),
    ),
    "a limit in which no container starts": Situation(
        SERVED,
        "Pod",
        "memory limit too low",
        "raise resources.limits.memory",
        then=pod(waits("ContainerCreating"), ("FailedCreatePodSandBox", NO_MEMORY)),
    ),
    "a Pod that no quota has room for": Situation(
        SERVED,
        "InferenceService",
        "exceeded quota",
        "have the namespace's ResourceQuota allow what the message names",
        then=kserve_says(
            {
                "conditions": [
                    condition(type_, "FailedCreate", NO_QUOTA) for type_ in ("PredictorReady", "Ready")
                ]
            }
        ),
    ),
    "a model image that wants credentials": Situation(
        SERVED,
        "Pod",
        "ImagePullAuthFailed",
        "Add imagePullSecrets",
        then=pod(
            waits(
                "ErrImagePull",
                'rpc error: code = Unknown desc = failed to pull and unpack image "ghcr.io/example/x:v1": '
                'failed to resolve reference "ghcr.io/example/x:v1": failed to authorize: failed to fetch '
                "anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=repository%3Aexample"
                "%2Fx%3Apull&service=ghcr.io: 401 Unauthorized",
            )
        ),
    ),
    "a model image whose signature is refused": Situation(
        SERVED,
        "Pod",
        "the signature validation failed",
        "",
        then=pod(
            waits(
                "SignatureValidationFailed",
                "image pull failed for ghcr.io/example/x:v1 because the signature validation failed: Source "
                "image rejected: A signature was required, but no signature exists",
            )
        ),
    ),
    "a Secret that the Pod names and nobody has": Situation(
        SERVED,
        "Pod",
        'secret "hf-token" not found',
        "create what the message names",
        then=pod(waits("CreateContainerConfigError", 'secret "hf-token" not found')),
    ),
    "a Pod that was evicted": Situation(
        SERVED,
        "Pod",
        "low on resource: ephemeral-storage",
        "free on the node what the message names",
        then=pod(
            {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, "
                "available: 512Mi. Container kserve-container was using 80Gi, request is 0, has larger "
                "consumption of ephemeral-storage. ",
            }
        ),
    ),
    "a device plugin that has lost its devices": Situation(
        SERVED,
        "Pod",
        "requested number of devices unavailable",
        "device plugin",
        then=pod(
            {
                "phase": "Failed",
                "reason": "UnexpectedAdmissionError",
                "message": "Pod was rejected: Allocate failed due to requested number of devices unavailable "
                "for amd.com/gpu. Requested: 1, Available: 0, which is unexpected",
            }
        ),
    ),
    "a node that is fuller than the scheduler knew": Situation(
        SERVED,
        "Pod",
        "OutOfcpu",
        "free cpu on the Pod's node",
        then=pod(
            {
                "phase": "Failed",
                "reason": "OutOfcpu",
                "message": "Pod was rejected: Node didn't have enough resource: cpu, requested: 4000, used: "
                "30000, capacity: 32000",
            }
        ),
    ),
    "devices that no one NUMA node has": Situation(
        SERVED,
        "Pod",
        "Resources cannot be allocated with Topology locality",
        "topologyManagerPolicy",
        then=pod(
            {
                "phase": "Failed",
                "reason": "TopologyAffinityError",
                "message": "Pod was rejected: Resources cannot be allocated with Topology locality",
            }
        ),
    ),
    "a volume that does not mount": Situation(
        SERVED,
        "Pod",
        'configmap "certificates" not found',
        "create what the message names",
        then=pod(
            waits("ContainerCreating"),
            ("FailedMount", 'MountVolume.SetUp failed for volume "ca" : configmap "certificates" not found'),
        ),
    ),
    "a volume that another node has": Situation(
        SERVED,
        "Pod",
        "Multi-Attach error",
        "until the other node has let go",
        then=pod(
            waits("ContainerCreating"),
            (
                "FailedAttachVolume",
                'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) a',
            ),
        ),
    ),
    "a volume that its driver can't attach": Situation(
        SERVED,
        "Pod",
        "AttachVolume.Attach failed",
        "kubectl get volumeattachments",
        then=pod(
            waits("ContainerCreating"),
            (
                "FailedAttachVolume",
                'AttachVolume.Attach failed for volume "pvc-1" : rpc error: code = NotFound desc = no volume',
            ),
        ),
    ),
    "a node without a network": Situation(
        SERVED,
        "Pod",
        "cni plugin not initialized",
        "network plugin",
        then=pod(
            waits("ContainerCreating"),
            ("NetworkNotReady", NO_NETWORK),
        ),
    ),
    "a network plugin that fails": Situation(
        SERVED,
        "Pod",
        "failed to setup network for sandbox",
        "network plugin",
        then=pod(waits("ContainerCreating"), ("FailedCreatePodSandBox", SANDBOX)),
    ),
    "a model server that does not answer": Situation(
        SERVED,
        "Pod",
        "Startup probe failed",
        "serving.startupTimeoutSeconds",
        then=pod(
            container_status({"running": {"startedAt": NOW}}),
            NOT_STARTED,
        ),
    ),
    "a model server that was stopped before it answered": Situation(
        SERVED,
        "Pod",
        "exited with code 137: INFO loading shard 3 of 8; Startup probe failed",
        "serving.startupTimeoutSeconds",
        then=pod(
            waits("CrashLoopBackOff", BACK_OFF, ended(137, "Error", "INFO loading shard 3 of 8")), NOT_STARTED
        ),
    ),
}
SITUATIONS = OURS | OTHERS

REAL_ONLY = frozenset(
    {
        "a discovery that prints something else",
        "a discovery without model sources",
        "a quota without Pods",
        "a limit that no Pod keeps",
        "a Job that a queue has suspended",
        "a claim of a class that is not there",
        "a provisioner that has no room",
        "a listener that takes no routes from here",
        "a host that no listener has",
        "a listener that does not fit, and a gateway without words",
        "a gateway that has not decided yet",
        "a Gateway that is not there",
        "more GPUs than any node has",
        "a node that no label selects",
        "a claim that its Pod mounts and nobody has",
        "a Pod with a gate",
    }
)
"""Those in which the sandbox has no such controller, or stand-ins that can't be held back."""


def lacks(chain: Chain, want: Situation) -> str:
    """Return what an answer lacks; "" where it names root and remedy, and nothing was hidden."""
    root, printed = chain.root, [line for line, _ in lines(chain, {})]
    text = "\n".join(printed)
    if root.kind != want.root or want.says not in f"{root.reason} {root.message}":
        return f"the root is not {want.root} {want.says!r}:\n{text}"
    last = printed[-1]
    if not last.startswith("Do: ") or (want.remedy or remedy(root.reason) or "?") not in last:
        return f"the last line does not say {want.remedy or remedy(root.reason)!r}:\n{text}"
    return f"something is not seen:\n{text}" if chain.unseen else ""
