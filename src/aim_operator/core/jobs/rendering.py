"""What our Jobs have in common: non-root Pods that any namespace admits, retries that are ours, an owner."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from aim_operator.api import quantity
from aim_operator.api.external import JOBS, Job
from aim_operator.api.meta import Manifest, ObjectMeta
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    JobResources,
    JobSettings,
    LocalObjectReference,
    PodSettings,
    Quantity,
    Scheduling,
)
from aim_operator.core import canonical, propagation, scheduling
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.jobs import readings
from aim_operator.core.manifests import child, plain

NON_ROOT_UID = 65532

POD_SECURITY: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": NON_ROOT_UID,
    "runAsGroup": NON_ROOT_UID,
    "seccompProfile": {"type": "RuntimeDefault"},
}
VOLUME_GROUP: Manifest = {"fsGroup": NON_ROOT_UID, "fsGroupChangePolicy": "OnRootMismatch"}
"""Who writes to a volume owns it as a group, where its driver can do that."""
_OF_VOLUMES = ("fsGroup", "fsGroupChangePolicy")
CONTAINER_SECURITY: Manifest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""With POD_SECURITY all that Pod Security "restricted" asks for."""

NO_SIDECARS: Manifest = {
    "labels": {"sidecar.istio.io/inject": "false"},
    "annotations": {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
}
"""Asks meshes for no proxy beside a Job's container. A Job ends beside one, too, but the container may start
before the proxy can be used, and what sets it up needs rights that Pod Security "restricted" refuses."""


def pod_security(config: RuntimeConfig, *, writes: bool = False) -> Manifest:
    """Return the security context of a Job's Pod; `writes` to a volume that is the operator's own.

    Where the configuration says who it runs as, it says all of it: a fixed uid is refused where the platform
    chooses one.
    """
    chosen = config.jobs.security_context
    if chosen is None:
        return {**POD_SECURITY, **(VOLUME_GROUP if writes else {})}
    own: Manifest = plain(chosen)
    fields = {name: value for name, value in own.items() if writes or name not in _OF_VOLUMES}
    return {
        "runAsNonRoot": chosen.run_as_user != 0,
        "seccompProfile": POD_SECURITY["seccompProfile"],
        **fields,
    }


def resources(requests: Manifest, limits: Manifest, settings: JobSettings | None) -> Manifest:
    """Return a container's resources: the operator's own, overridden by those of the configuration.

    What was chosen stays; what was not gives way, since Kubernetes takes no request above its limit.
    """
    chosen = (settings.resources if settings is not None else None) or JobResources()
    asked: Manifest = {**requests, **(chosen.requests or {})}
    most: Manifest = {**limits, **(chosen.limits or {})}
    for name in asked.keys() & most.keys():
        if not _exceeds(asked[name], most[name]):
            continue
        if name in (chosen.limits or {}):
            asked[name] = most[name]
        else:
            most[name] = asked[name]
    return {"requests": asked, "limits": most}


def _exceeds(one: Quantity, other: Quantity) -> bool:
    amount, limit = quantity.parse(one), quantity.parse(other)
    return amount is not None and limit is not None and amount > limit


def deadline(settings: JobSettings | None, default: int) -> int:
    """Return how many seconds an attempt may run."""
    chosen = settings.deadline_seconds if settings is not None else None
    return default if chosen is None else chosen


def job(
    metadata: Manifest,
    pod_spec: Manifest,
    *,
    config: RuntimeConfig,
    made_for: ObjectMeta,
    pull_secrets: Sequence[LocalObjectReference],
    spec: Manifest,
    nodes: Sequence[Manifest] = (),
    served: Scheduling | None = None,
) -> Child:
    """Render a Job: `pod_spec` with its credentials, `spec` with what is particular to its kind.

    It hands on what the configuration takes from the labels and annotations of `made_for`. `nodes` are
    affinities that its node must fit, too; `served` is where what it makes is used, and decides which nodes,
    instead of what the configuration says about Jobs. It has no TTL: see `expiring`.
    """
    settings = config.jobs.pods or PodSettings()
    pod: Manifest = {
        "restartPolicy": "Never",
        **pod_spec,
        **scheduling.pod_fields(_scheduling(config, served), *nodes, same=metadata["labels"]),
        **scheduling.service_links(settings),
    }
    if settings.image_pull_policy is not None:
        pod["containers"] = [
            {**container, "imagePullPolicy": settings.image_pull_policy} for container in pod["containers"]
        ]
    if config.service_account_name is not None:
        pod["serviceAccountName"] = config.service_account_name
    if pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in canonical.secret_names(pull_secrets)]
    extra = propagation.merged(
        propagation.handed_on(made_for, config.propagate), scheduling.metadata(settings)
    )
    own = {"labels": metadata["labels"]}
    return child(
        JOBS,
        metadata={**metadata, **propagation.merged(extra, own)},
        spec={
            "backoffLimit": 0,  # the retries are ours: they need a status, and a slot or a pause
            **spec,
            "template": {"metadata": propagation.merged(_no_sidecars(extra), extra, own), "spec": pod},
        },
    )


def expiring(job: Job, owner: Manifest, ttl_seconds: int) -> tuple[Child, ...]:
    """Return what has a finished Job go after a while, once its result is kept elsewhere: for its log.

    Nothing where it has a TTL. Nothing else of it is written: its Pod template can't be changed, and another
    version of the operator may have rendered it otherwise. `owner` is a reference to whose Job it is.
    """
    metadata = job.metadata
    done = readings.finished(job) and metadata.deletion_timestamp is None
    if not done or job.spec.ttl_seconds_after_finished is not None:
        return ()
    known = {"name": metadata.name, "namespace": metadata.namespace, "ownerReferences": [owner]}
    expiry = child(JOBS, metadata=known, spec={"ttlSecondsAfterFinished": ttl_seconds})
    return (structs.replace(expiry, disposable=True),)


def _scheduling(config: RuntimeConfig, served: Scheduling | None) -> Scheduling | None:
    """Return where a Job runs: as the configuration says of Jobs, but for what must be where it is used.

    No Job may be kept from there by nodes that the others are to run on.
    """
    own = config.jobs.scheduling
    if served is None or own is None:
        return served or own
    return scheduling.layered(served, structs.replace(own, node_selector=None, affinity=None))


def _no_sidecars(chosen: Manifest) -> Manifest:
    """Return what asks for no proxies, but for where the configuration itself speaks of one.

    As a label or an annotation: a mesh reads both, and ours must not override what was chosen.
    """
    mentioned = {*chosen.get("labels", ()), *chosen.get("annotations", ())}
    return {
        name: {key: text for key, text in each.items() if key not in mentioned}
        for name, each in NO_SIDECARS.items()
    }
