"""The built-in kinds, as far as an operator of ours can notice them.

Merge keys, defaults, quantities and immutability of Jobs and Pods are the real server's; everything not
mentioned is let through unchecked. Called by server.py once, at its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from aim_operator.api import quantity
from aim_operator.api.meta import Manifest
from aim_operator.sandbox.kinds import KindId, ServedKind, builtin_schema
from aim_operator.sandbox.refusals import Cause
from aim_operator.sandbox.schema import Node

_NAME_LIMIT = 63


def _open(properties: dict[str, Manifest] | None = None, **more: Any) -> Manifest:
    return {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": properties or {},
        **more,
    }


def _list_map(keys: list[str], item: Manifest | None = None) -> Manifest:
    return {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": keys,
        "items": item or _open(),
    }


_STRING: Manifest = {"type": "string"}
_CONTAINER = _open(
    {
        "name": _STRING,
        "image": _STRING,
        "env": _list_map(["name"], _open({"name": _STRING}, required=["name"])),
        "ports": _list_map(
            ["containerPort", "protocol"], _open({"protocol": {"type": "string", "default": "TCP"}})
        ),
        "volumeMounts": _list_map(["mountPath"]),
        "volumeDevices": _list_map(["devicePath"]),
        "resources": _open(default={}),
        "terminationMessagePath": {"type": "string", "default": "/dev/termination-log"},
        "terminationMessagePolicy": {"type": "string", "default": "File"},
    },
    required=["name"],
)
_CONTAINERS = _list_map(["name"], _CONTAINER)
_POD_SPEC = _open(
    {
        "containers": _CONTAINERS,
        "initContainers": _CONTAINERS,
        "volumes": _list_map(["name"]),
        "imagePullSecrets": _list_map(["name"]),
        "restartPolicy": {
            "type": "string",
            "enum": ["Always", "OnFailure", "Never"],
            "default": "Always",
        },
        "dnsPolicy": {"type": "string", "default": "ClusterFirst"},
        "schedulerName": {"type": "string", "default": "default-scheduler"},
        "terminationGracePeriodSeconds": {"type": "integer", "default": 30},
        "securityContext": _open(default={}),
    },
    required=["containers"],
)
_CONDITIONS = _list_map(["type"])
_JOB = builtin_schema(
    {
        "spec": _open(
            {
                "parallelism": {"type": "integer", "default": 1},
                "completions": {"type": "integer", "default": 1},
                "backoffLimit": {"type": "integer", "default": 6, "minimum": 0},
                "activeDeadlineSeconds": {"type": "integer", "minimum": 0},
                "ttlSecondsAfterFinished": {"type": "integer", "minimum": 0},
                "completionMode": {"type": "string", "default": "NonIndexed"},
                "suspend": {"type": "boolean", "default": False},
                "manualSelector": {"type": "boolean", "default": False},
                "podReplacementPolicy": {"type": "string"},
                "template": _open({"metadata": _open(), "spec": _POD_SPEC}, required=["spec"]),
            },
            required=["template"],
        ),
        # The real server declares a Job's conditions atomic.
        "status": _open(),
    }
)


def _prepare_containers(pod_spec: Manifest) -> None:
    for container in (*pod_spec.get("initContainers", ()), *pod_spec.get("containers", ())):
        name = container.get("image", "").rpartition("/")[2]
        latest = "@" not in name and (":" not in name or name.endswith(":latest"))
        container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
        _shorten(container.get("resources", {}))
        if container.get("env") == []:
            # Go leaves out what is empty.
            del container["env"]


def _shorten(resources: Manifest) -> None:
    for kind in ("requests", "limits"):
        if isinstance(resources.get(kind), dict):
            resources[kind] = {
                name: quantity.canonical(value) or value for name, value in resources[kind].items()
            }


def _prepare_pod(pod: Manifest) -> None:
    _prepare_containers(pod["spec"])
    pod.setdefault("status", {"phase": "Pending", "qosClass": "BestEffort"})


def _prepare_job(job: Manifest) -> None:
    template = job["spec"].get("template")
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        return
    _prepare_containers(template["spec"])
    # SetDefaults_Job in kubernetes/pkg/apis/batch/v1/defaults.go
    replacement = "Failed" if "podFailurePolicy" in job["spec"] else "TerminatingOrFailed"
    job["spec"].setdefault("podReplacementPolicy", replacement)
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    labels.setdefault("batch.kubernetes.io/controller-uid", uid)
    labels.setdefault("batch.kubernetes.io/job-name", name)
    labels.setdefault("controller-uid", uid)
    labels.setdefault("job-name", name)
    job["spec"].setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
    job.setdefault("status", {})


def _validate_job(job: Manifest, old: Manifest | None) -> Iterator[Cause]:
    name = job["metadata"]["name"]
    if len(name) > _NAME_LIMIT:
        message = f'Invalid value: "{name}": must be no more than 63 characters'
        yield Cause("spec.template.labels", message)
    pod = job["spec"]["template"]["spec"]
    yield from _without_image(pod, "spec.template.spec")
    if pod["restartPolicy"] == "Always":
        message = 'Required value: valid values: "OnFailure", "Never"'
        yield Cause("spec.template.spec.restartPolicy", message)
    if old is not None:
        before = {**old["spec"], "template": _as_far_as_fixed(job, old)}
        for field in ("template", "selector", "completions", "completionMode"):
            if job["spec"].get(field) != before.get(field):
                yield Cause(f"spec.{field}", "Invalid value: field is immutable")


def _as_far_as_fixed(job: Manifest, old: Manifest) -> Manifest:
    """The old template, with what queues may change of it: where the Pods of a Job that never started run.

    validatePodTemplateUpdate in pkg/apis/batch/validation/validation.go of Kubernetes 1.35.
    """
    template: Manifest = old["spec"]["template"]
    if not old["spec"].get("suspend") or old.get("status", {}).get("startTime"):
        return template
    new = job["spec"]["template"]
    return {
        **template,
        "metadata": _taken(template.get("metadata", {}), new.get("metadata", {}), ("labels", "annotations")),
        "spec": _taken(template["spec"], new["spec"], ("nodeSelector", "tolerations", "schedulingGates")),
    }


def _taken(old: Manifest, new: Manifest, fields: tuple[str, ...]) -> Manifest:
    """`old`, with these fields as `new` has them."""
    kept = {name: value for name, value in old.items() if name not in fields}
    return kept | {name: new[name] for name in fields if name in new}


def _without_image(pod_spec: Manifest, path: str) -> Iterator[Cause]:
    for index, container in enumerate(pod_spec["containers"]):
        if not container.get("image"):
            yield Cause(f"{path}.containers[{index}].image", "Required value")


def _validate_pod(pod: Manifest, old: Manifest | None) -> Iterator[Cause]:
    yield from _without_image(pod["spec"], "spec")
    spec = pod["spec"]
    if old is not None and "nodeName" not in old["spec"]:
        # A real scheduler binds by a subresource; here it is an update like any other.
        spec = {field: value for field, value in spec.items() if field != "nodeName"}
    if old is not None and _without_images(spec) != _without_images(old["spec"]):
        yield Cause(
            "spec",
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions"
            " to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it"
            " was previously negative)",
        )


def _without_images(spec: Manifest) -> Manifest:
    containers = [{**container, "image": ""} for container in spec["containers"]]
    return {**spec, "containers": containers, "activeDeadlineSeconds": None, "tolerations": None}


def _prepare_claim(claim: Manifest) -> None:
    claim["spec"].setdefault("volumeMode", "Filesystem")
    _shorten(claim["spec"].get("resources", {}))
    claim.setdefault("status", {"phase": "Pending"})


def _validate_claim(claim: Manifest, old: Manifest | None) -> Iterator[Cause]:
    if not claim["spec"].get("accessModes"):
        yield Cause("spec.accessModes", "Required value: at least 1 access mode is required")
    if old is None:
        return
    bound = claim.get("status", {}).get("phase") == "Bound"
    if _immutable(claim, old, bound=bound) != _immutable(old, old, bound=bound):
        yield Cause(
            "spec",
            "Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        )
    capacity = claim_size(old.get("status", {}).get("capacity") or {})
    if claim_size(_requests(claim)) < claim_size(_requests(old)) and claim_size(_requests(claim)) <= capacity:
        yield Cause(
            "spec.resources.requests.storage", "Forbidden: field can not be less than status.capacity"
        )


def claim_size(amounts: Manifest) -> Decimal:
    """The bytes that a claim's requests or capacity name; 0 where they name none."""
    return quantity.parse(amounts.get("storage", 0)) or Decimal(0)


def _requests(claim: Manifest) -> Manifest:
    requests: Manifest = claim["spec"].get("resources", {}).get("requests") or {}
    return requests


def _immutable(claim: Manifest, old: Manifest, *, bound: bool) -> Manifest:
    # The volume's name is filled in once, when the claim is bound; a default class, once there is one.
    spec = {**claim["spec"], "volumeName": None}
    if bound:
        spec["resources"] = None
    if not old["spec"].get("storageClassName"):
        spec["storageClassName"] = None
    return spec


def _prepare_namespace(namespace: Manifest) -> None:
    name = namespace["metadata"]["name"]
    namespace["metadata"].setdefault("labels", {}).setdefault("kubernetes.io/metadata.name", name)
    if "resourceVersion" not in namespace["metadata"]:
        # Only a new one has it of itself: who takes it off ends the namespace.
        namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace.setdefault("status", {"phase": "Active"})


def _prepare_crd(crd: Manifest) -> None:
    names = crd["spec"]["names"]
    conditions = [
        {"type": type_, "status": "True", "reason": reason, "message": message}
        for type_, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [version["name"] for version in crd["spec"]["versions"] if version["storage"]]
    crd.setdefault("status", {"conditions": conditions, "acceptedNames": names, "storedVersions": stored})


def _validate_event(event: Manifest, old: Manifest | None) -> Iterator[Cause]:  # noqa: ARG001 - a Validate
    about = event.get("involvedObject") or {}
    where = about.get("namespace") or "default"
    if event["metadata"].get("namespace") != where:
        yield Cause("involvedObject.namespace", f'Invalid value: "{where}": does not match event.namespace')


def _validate_new_event(event: Manifest, old: Manifest | None) -> Iterator[Cause]:
    yield from _validate_event(event, old)
    if old is not None:
        return
    if not event.get("eventTime"):
        yield Cause("eventTime", "Required value")
    for stored, served in (
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
        ("action", "action"),
        ("reason", "reason"),
    ):
        if not event.get(stored):
            yield Cause(served, "Required value")
    if event.get("type") not in ("Normal", "Warning"):
        yield Cause("type", 'Invalid value: "": has invalid value: ' + str(event.get("type", "")))
    if len(event.get("message", "")) > 1024:
        yield Cause("note", "Invalid value: can have at most 1024 characters")


_EVENT = KindId("", "Event")
_ABOUT = frozenset(
    f"involvedObject.{name}"
    for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)
_EVENT_FIELDS = frozenset({"reason", "reportingComponent", "source", "type"})
_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}


@cache
def builtin_kinds() -> tuple[ServedKind, ...]:
    """All of them, in the versions that a current cluster prefers."""
    anything = builtin_schema({})
    return (
        _kind("", "v1", "namespaces", "Namespace", namespaced=False, has_status=True,
              selectable=frozenset({"status.phase"}), prepare=_prepare_namespace),
        _kind("", "v1", "nodes", "Node", namespaced=False, has_status=True,
              schema=builtin_schema({"status": _open({"conditions": _CONDITIONS})}),
              selectable=frozenset({"spec.unschedulable"})),
        _kind("", "v1", "pods", "Pod", has_status=True, has_generation=True,
              schema=builtin_schema({"spec": _POD_SPEC, "status": _open({"conditions": _CONDITIONS})}),
              selectable=frozenset({"spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
                                    "spec.serviceAccountName", "status.phase", "status.podIP"}),
              prepare=_prepare_pod, validate=_validate_pod),
        _kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", has_status=True,
              schema=builtin_schema({"spec": _open(), "status": _open({"conditions": _CONDITIONS})}),
              prepare=_prepare_claim, validate=_validate_claim),
        _kind("", "v1", "secrets", "Secret", selectable=frozenset({"type"})),
        _kind("", "v1", "configmaps", "ConfigMap"),
        _kind("", "v1", "serviceaccounts", "ServiceAccount"),
        _kind("", "v1", "services", "Service", has_status=True),
        _kind("", "v1", "events", "Event", selectable=_ABOUT | _EVENT_FIELDS, validate=_validate_event),
        _kind("events.k8s.io", "v1", "events", "Event", stored_in=_EVENT, renamed=_RENAMED,
              selectable=frozenset(name.replace("involvedObject", "regarding") for name in _ABOUT)
              | frozenset({"reason", "reportingController", "type"}),
              validate=_validate_new_event),
        _kind("batch", "v1", "jobs", "Job", schema=_JOB, has_status=True, has_generation=True,
              selectable=frozenset({"status.successful"}), prepare=_prepare_job, validate=_validate_job),
        _kind("apps", "v1", "deployments", "Deployment", has_status=True, has_generation=True,
              schema=builtin_schema({"spec": _open({"replicas": {"type": "integer", "default": 1}}),
                                     "status": _open({"conditions": _CONDITIONS})})),
        _kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", has_status=True,
              schema=builtin_schema({"spec": _open({}), "status": _open({"conditions": _CONDITIONS})})),
        _kind("coordination.k8s.io", "v1", "leases", "Lease", created_by_replace=True),
        _kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", has_status=True,
              has_generation=True),
        _kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False),
        _kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
              namespaced=False, has_status=True, has_generation=True, schema=anything, prepare=_prepare_crd),
    )  # fmt: skip


def _kind(
    group: str,
    version: str,
    plural: str,
    kind: str,
    *,
    namespaced: bool = True,
    schema: Node | None = None,
    **more: Any,
) -> ServedKind:
    return ServedKind(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        schema=schema or builtin_schema({"spec": _open()}),
        **more,
    )
