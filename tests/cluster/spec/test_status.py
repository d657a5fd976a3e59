"""Behaviour "status": what was resolved, how far it is, what is told of failures, and when events come."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import msgspec

from aim_operator.api.v1alpha1 import AIMServiceStatus, AIMServiceTemplateStatus
from aim_operator.core.labels import PLACEMENT, REVISION
from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from tests.support.operator_process import eventually, running_operator
from tests.support.service_status import assert_service_status_well_formed
from tests.support.spec_world import IMAGE, World, message, routed, told
from tests.support.status import assert_status_well_formed

GPU = "amd.com/gpu"


def reference(obj: Manifest, scope: str) -> dict[str, str]:
    """Return how a status refers to an object."""
    metadata = obj["metadata"]
    where = {"namespace": metadata["namespace"]} if scope == "Namespace" else {}
    return {
        "kind": obj["kind"],
        "name": metadata["name"],
        "scope": scope,
        "uid": metadata["uid"],
        **where,
    }


def well_formed(service: Manifest) -> None:
    """Hold a status to what every status of a service must be."""
    status = msgspec.convert(service["status"], AIMServiceStatus, strict=False)
    assert_service_status_well_formed(status, generation=service["metadata"]["generation"])


def test_it_tells_what_was_used_with_scope_and_uid_and_a_hash_of_the_config(world: World) -> None:
    base, config = world.shared("base"), world.config("ours")
    world.run(
        world.cluster_image(defaultServiceTemplate=base),
        world.cluster_template(base),
        config,
        world.service(runtimeConfigName="ours", routing=routed(world.path())),
    )
    service = world.need("AIMService", "chat")
    status = service["status"]
    assert status["resolvedImage"] == reference(world.need("AIMClusterImage", world.model), "Cluster")
    assert status["resolvedTemplate"] == reference(world.need("AIMClusterServiceTemplate", base), "Cluster")
    used = dict(status["resolvedRuntimeConfig"])
    first = used.pop("hash")
    assert used == reference(world.need("AIMRuntimeConfig", "ours"), "Namespace")
    assert status["routing"] == {"path": world.path()}
    assert status["observedGeneration"] == service["metadata"]["generation"]
    well_formed(service)

    world.apply(world.config("ours", securityContext={"runAsUser": 1000}))
    world.until(
        "AIMService",
        "chat",
        lambda s: s["status"]["resolvedRuntimeConfig"]["hash"] != first,
        "has another hash",
    )
    # What the service runs on is recorded before its InferenceService follows.
    world.until(
        "InferenceService",
        "chat",
        lambda s: s["spec"]["predictor"]["model"]["securityContext"].get("runAsUser") == 1000,
        "has the security context",
    )


def test_a_service_goes_from_pending_over_starting_to_running(world: World) -> None:
    world.hold("node")
    world.hold("kserve")
    world.apply(*world.catalog(), world.service(routing=routed(world.path())))
    waiting = world.until_service("Pending", "TemplateNotAvailable")
    assert told(waiting, "Resolved") == "False/TemplateNotAvailable"
    assert told(waiting, "CacheReady") == "True/CachingNotRequested"
    assert told(waiting, "RoutingReady") == "False/ConfiguringRoute"
    well_formed(world.need("AIMService", "chat"))

    world.hold("node", on=False)
    starting = world.until_service("Starting", "CreatingRuntime")
    assert told(starting, "Resolved") == "True/Resolved"
    assert told(starting, "RuntimeReady") == "False/CreatingRuntime"
    well_formed(world.need("AIMService", "chat"))

    world.hold("kserve", on=False)
    done = world.until_service("Running", "RuntimeReady")
    assert {type_: told(done, type_) for type_ in ("RuntimeReady", "RoutingReady", "Ready")} == {
        "RuntimeReady": "True/RuntimeReady",
        "RoutingReady": "True/RouteReady",
        "Ready": "True/RuntimeReady",
    }
    assert told(done, "Progressing") == told(done, "Failure") == "False/RuntimeReady"
    well_formed(world.need("AIMService", "chat"))


def test_a_template_goes_from_pending_over_progressing_to_available(world: World) -> None:
    world.hold("node")
    world.apply(*world.catalog(metric="throughput", precision="fp8", gpuSelector={"count": 2}))
    running = world.until_template("Progressing", "DiscoveryRunning")
    assert told(running, "Discovered") == "False/DiscoveryRunning"
    assert told(running, "Progressing") == "True/DiscoveryRunning"
    assert told(running, "Failure") == "False/DiscoveryRunning"
    assert "modelSources" not in running
    (job,) = world.all("Job")
    assert (
        job["metadata"]["labels"].items()
        >= {
            "app.kubernetes.io/name": "aim-discovery",
            "app.kubernetes.io/component": "discovery-job",
            "app.kubernetes.io/managed-by": "aim-controller",
            "aim.silogen.ai/template": "fast",
        }.items()
    )
    assert "ttlSecondsAfterFinished" not in job["spec"], "its result is nowhere else yet"

    world.hold("node", on=False)
    done = world.until_template("Available", "Available")
    assert told(done, "Discovered") == "True/Discovered"
    assert told(done, "Progressing") == told(done, "Failure") == "False/Available"
    assert done["modelSources"] == [
        {
            "name": "sandbox/llama-3.1-8b-instruct",
            "sourceUri": "hf://sandbox/llama-3.1-8b-instruct",
            "size": str(1024**3),
        }
    ]
    profile = done["profile"]
    assert profile["metadata"] == {
        "engine": "vllm",
        "gpu": "MI300X",
        "precision": "fp8",
        "gpu_count": 2,
        "metric": "throughput",
    }
    assert profile["filename"] == "vllm-mi300x-fp8-tp2-throughput.yaml"
    assert done["discovery"]["image"] == IMAGE
    template = world.need("AIMServiceTemplate", "fast")
    assert done["resolvedImage"] == reference(world.need("AIMImage", world.model), "Namespace")
    assert_status_well_formed(msgspec.convert(template["status"], AIMServiceTemplateStatus, strict=False))
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("AIMServiceTemplate", template["metadata"]["uid"])
    world.until("Job", job["metadata"]["name"], lambda j: j["spec"].get("ttlSecondsAfterFinished") == 600)


def test_discovery_that_fails_keeps_its_job_for_its_log_and_is_tried_again(world: World) -> None:
    world.apply(world.image(ref="ghcr.io/example/broken:v1"), world.template(), world.config())
    status = world.until_template("Failed", "DiscoveryFailed")
    assert "exited with code 3: error: no profile of this image fits" in message(status, "Failure")
    assert status["discovery"]["attempts"] == 1
    (job,) = world.all("Job")
    world.annotate("AIMServiceTemplate", "fast", rediscover="now")
    world.until(
        "AIMServiceTemplate",
        "fast",
        lambda t: t["status"]["discovery"]["specHash"] not in job["metadata"]["name"],
    )
    world.until_gone("Job", job["metadata"]["name"])
    world.apply(world.image())
    world.until_template("Available")


def test_an_image_that_cannot_be_pulled_is_told_in_the_registrys_words(world: World) -> None:
    world.apply(world.image(ref="ghcr.io/example/not-there:v1"), world.template(), world.config())
    status = world.until_template("Degraded", "ImagePullFailed")
    assert told(status, "Discovered") == "False/ImagePullFailed"
    assert "failed to resolve reference" in message(status, "Discovered")
    world.apply(world.image())
    world.until_template("Available")


def test_the_inference_service_is_what_kserve_needs_to_run_it_as_the_template_says(world: World) -> None:
    catalog = world.catalog(metric="latency", precision="fp16", gpuSelector={"count": 2})
    world.run(*catalog, world.service(replicas=3))
    inference = world.need("InferenceService", "chat")
    metadata, predictor = inference["metadata"], inference["spec"]["predictor"]
    (owner,) = metadata["ownerReferences"]
    assert owner["uid"] == world.need("AIMService", "chat")["metadata"]["uid"]
    assert owner["controller"] is True
    labels = metadata["labels"]
    assert re.fullmatch("[0-9a-f]{8}", labels.pop(REVISION))
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{8}", labels.pop(PLACEMENT))
    image_label = labels.pop("aim.silogen.ai/aim-image")
    assert image_label.startswith("ghcr.io-example-llama-3.1-8b-instruct")
    assert labels == {
        "app.kubernetes.io/name": "aim-service",
        "app.kubernetes.io/component": "inference-service",
        "app.kubernetes.io/managed-by": "aim-controller",
        "aim.silogen.ai/template": "fast",
        "aim.silogen.ai/model-id": world.model,
        "aim.silogen.ai/template.metric": "latency",
        "aim.silogen.ai/template.precision": "fp16",
    }
    assert metadata["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert metadata["annotations"]["serving.kserve.io/autoscalerClass"] == "none"
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (3, 3)
    model = predictor["model"]
    assert model["modelFormat"] == {"name": "aim", "version": "1"}
    assert model["runtime"] == "fast"
    assert model["storage"] == {}, "the server fetches by itself"
    assert model["image"] == IMAGE
    # What nobody sets comes of the number of GPUs: docs/concepts/resources.md.
    assert model["resources"] == {
        "requests": {GPU: "2", "cpu": "8", "memory": "64Gi"},
        "limits": {GPU: "2", "memory": "96Gi"},
    }
    assert model["volumeMounts"] == [{"name": "dshm", "mountPath": "/dev/shm"}]
    assert predictor["volumes"] == [{"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}]
    world.apply(world.service(replicas=1))
    world.until("InferenceService", "chat", lambda s: s["spec"]["predictor"]["maxReplicas"] == 1)


def test_an_available_template_publishes_the_runtime(world: World) -> None:
    world.apply(*world.catalog(gpuSelector={"count": 2}))
    world.until_template("Available")
    runtime = world.need("ServingRuntime", "fast")
    assert runtime["metadata"]["ownerReferences"][0]["kind"] == "AIMServiceTemplate"
    # A shape only: KServe hands each change of a runtime on to every service on it at once.
    assert runtime["spec"] == {
        "supportedModelFormats": [{"name": "aim", "version": "1"}],
        "containers": [
            {
                "name": "kserve-container",
                "image": IMAGE,
                "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
            }
        ],
    }


def test_a_failure_is_told_in_kserves_own_words(world: World) -> None:
    world.hold("kserve")
    world.apply(*world.catalog(), world.service())
    world.until_service("Starting", "CreatingRuntime")
    failure = {"reason": "ModelLoadFailed", "message": "the model does not fit into memory"}
    generation = world.need("InferenceService", "chat")["metadata"]["generation"]
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "modelStatus": {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": failure},
    }
    world.patch("InferenceService", "chat", {"status": status}, status=True)
    told_ = world.until_service("Failed", "RuntimeFailed")
    assert told(told_, "RuntimeReady") == "False/RuntimeFailed"
    assert message(told_, "RuntimeReady") == "the model does not fit into memory"
    well_formed(world.need("AIMService", "chat"))
    world.patch("InferenceService", "chat", {"status": {"modelStatus": None}}, status=True)
    world.hold("kserve", on=False)
    world.until_service("Running")


def test_a_crashing_pod_is_told_in_its_own_words(world: World) -> None:
    world.hold("kserve")
    world.apply(*world.catalog(), world.service())
    world.until_service("Starting", "CreatingRuntime")
    container = {"name": "kserve-container", "image": IMAGE}
    labels = {
        "app.kubernetes.io/managed-by": "aim-controller",
        "serving.kserve.io/inferenceservice": "chat",
        # KServe hands the labels of the InferenceService on to its Pods.
        REVISION: world.need("InferenceService", "chat")["metadata"]["labels"][REVISION],
    }
    world.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "predictor", "namespace": world.namespace, "labels": labels},
            # On no node: only this test writes its status.
            "spec": {"containers": [container], "schedulerName": "nobody"},
        }
    )
    state = {
        "name": "kserve-container",
        "image": IMAGE,
        "imageID": "",
        "ready": False,
        "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1m20s"}},
        "lastState": {"terminated": {"exitCode": 137, "message": "HIP out of memory"}},
    }
    world.patch("Pod", "predictor", {"status": {"containerStatuses": [state]}}, status=True)
    status = world.until_service("Failed", "RuntimeFailed")
    assert (
        message(status, "RuntimeReady")
        == "container kserve-container exited with code 137: HIP out of memory"
    )
    up = {**state, "ready": True, "state": {"running": {"startedAt": "2026-01-31T12:00:00Z"}}}
    ready = {"type": "Ready", "status": "True"}
    healed = {"containerStatuses": [up], "conditions": [ready]}
    world.patch("Pod", "predictor", {"status": healed}, status=True)
    world.hold("kserve", on=False)
    world.until_service("Running")


def test_events_tell_of_each_transition_once(world: World) -> None:
    world.run(*world.catalog(), world.service())
    want = {
        ("Normal", "RuntimeConfigResolved"),
        ("Normal", "TemplateResolved"),
        ("Normal", "InferenceServiceCreated"),
        ("Normal", "RuntimeReady"),
    }
    eventually(lambda: want <= set(world.events("chat")), "the service's events are there")
    template = {("Normal", "DiscoveryStarted"), ("Normal", "DiscoverySucceeded")}
    eventually(lambda: template <= set(world.events("fast")), "the template's events are there")
    world.apply(world.service(env=[{"name": "A", "value": "b"}]))
    updated = ("Normal", "InferenceServiceUpdated")
    eventually(lambda: updated in world.events("chat"), "the update is told")
    world.apply(world.service(runtimeConfigName="gone"))
    missing = ("Warning", "RuntimeConfigMissing")
    eventually(lambda: missing in world.events("chat"), "the missing configuration is told")
    world.until_service("Degraded", "RuntimeConfigMissing")
    assert max(Counter(world.events("chat")).values()) == 1
    assert max(Counter(world.events("fast")).values()) == 1


def test_a_restart_repeats_no_event_and_writes_nothing(control_plane: Cluster) -> None:
    with control_plane.namespace() as namespace:
        world = World(control_plane, namespace)
        world.apply(world.service())
        warning = ("Warning", "ImageNotFound")
        flags, admin = (f"--namespaces={namespace}",), control_plane.kubeconfig
        with running_operator(control_plane, *flags, kubeconfig=admin):
            world.until_service("Degraded", "ImageNotFound")
            eventually(lambda: world.events("chat") == [warning], "the event is there")
        before = world.need("AIMService", "chat")
        with running_operator(control_plane, *flags, kubeconfig=admin) as operator:
            eventually(operator.synced, "the operator is at work again")
            # Judged after the service was: both wait in one queue.
            world.apply(world.image())
            world.until("AIMImage", world.model, lambda i: i.get("status", {}).get("status") == "Ready")
            world.until_service("Degraded", "TemplateNotFound")
        assert before["status"]["conditions"], "there was something to repeat"
        assert Counter(world.events("chat"))[warning] == 1


def test_kubectl_shows_status_what_it_points_at_and_age(world: World) -> None:
    world.run(
        *world.catalog(metric="latency", precision="fp16", gpuSelector={"count": 1}),
        world.service(routing=routed(world.path())),
    )

    def shown(kind: str) -> dict[str, str]:
        lines = world.cluster.kubectl("get", kind, f"--namespace={world.namespace}").splitlines()
        return dict(zip(lines[0].split(), lines[1].split(), strict=False))

    service = shown("aimsvc")
    assert service["STATUS"] == "Running"
    assert service["MODEL"] == world.model
    assert service["TEMPLATE"] == "fast"
    assert service["PATH"] == world.path()
    template = shown("aimst")
    assert (
        template.items()
        >= {
            "STATUS": "Available",
            "ENGINE": "vllm",
            "METRIC": "latency",
            "PRECISION": "fp16",
            "GPUS": "1",
            "GPU": "MI300X",
        }.items()
    )
    both = world.cluster.kubectl("get", "aim", f"--namespace={world.namespace}", "-o", "name")
    kinds = {line.partition(".")[0] for line in both.split()}
    # Those of the cluster are there while some other test has one.
    assert {kind for kind in kinds if not kind.startswith("aimcluster")} == {
        "aimimage",
        "aimruntimeconfig",
        "aimservicetemplate",
        "aimservice",
    }
