"""Renders the InferenceService of a service from what it runs on.

It carries everything that differs between versions: image, environment, resources, volumes, credentials. The
(Cluster)ServingRuntime that it names holds nothing but the shape, so that a change of a runtime, which KServe
applies to every InferenceService on it at once, restarts nobody (docs/adr/0014).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from aim_operator.api.external import INFERENCE_SERVICES, SERVING_RUNTIMES, InferenceService
from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    ActiveMount,
    ActiveWorkload,
    AIMService,
    PodSettings,
    Rollout,
    Scheduling,
    Serving,
    UnlabelledPods,
)
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.core import canonical, engine_args, hardware, labels, propagation, resources, scheduling
from aim_operator.core.catalog import kind_of
from aim_operator.core.manifests import child, merge_env, owner_reference, plain
from aim_operator.core.naming import label_value, short_hash
from aim_operator.core.serving import autoscaling, before_placement, handover, security, settings, volumes
from aim_operator.core.serving.go_templates import without_templates
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE
from aim_operator.core.template.desired import MODEL_FORMAT, runtime_spec

CACHE_PATH = "/workspace/model-cache"
KSERVE_VISIBILITY = "networking.kserve.io/visibility"
CLUSTER_LOCAL = "cluster-local"
"""With this visibility KServe makes no ingress of its own, which may be an HTTPRoute of our route's name."""
_SCALE = ("minReplicas", "maxReplicas", "autoScaling")
"""What changes no Pod."""
_MOST_RESTART = 64


def own_runtime(service: AIMService, active: ActiveWorkload) -> Child:
    """Render the service's own ServingRuntime, for while that of its template is gone with the template.

    KServe changes nothing about an InferenceService whose runtime it does not find. Raises
    SpecError(GoTemplateRefused).
    """
    own = child(
        SERVING_RUNTIMES,
        metadata={
            "name": own_runtime_name(service),
            "namespace": service.metadata.namespace,
            "labels": {
                labels.NAME: "aim-runtime",
                labels.COMPONENT: "serving-runtime",
                labels.MANAGED_BY: labels.CONTROLLER,
            },
            "ownerReferences": [owner_reference(API_VERSION, kind_of(service), service.metadata)],
        },
        spec=runtime_spec(active.image),
    )
    return without_templates(own)


def own_runtime_name(service: AIMService) -> str:
    return f"{service.metadata.name}-active"


def inference_service(
    service: AIMService,
    active: ActiveWorkload,
    *,
    runtime: str,
    scaling: dict[str, str] | None = None,
    live: InferenceService | None = None,
    routed: bool = False,
) -> Child:
    """Render the InferenceService of `service` on `active`, by the runtime of that name.

    `scaling` are annotations that tell who writes the number of copies. Where the operator makes the
    service's HTTPRoute, `routed`, KServe is told to make none (docs/adr/0021). Nothing restarts for that
    alone: KServe gives the label to the Pods, too, so that a `live` one has or has not what it has until its
    next roll-out. One that the version before placements made of just this keeps the form of that version.

    Raises SpecError(ResourcesInvalid, EngineArgsInvalid or GoTemplateRefused).
    """
    predictor = _predictor(service, active)
    # Not part of the revision: all runtimes have one shape.
    per_pod = {key: value for key, value in predictor.items() if key not in _SCALE}
    predictor["model"] = {**predictor["model"], "runtime": runtime}
    template = active.resolved_template.name
    own_labels = {
        labels.NAME: "aim-service",
        labels.COMPONENT: "inference-service",
        labels.MANAGED_BY: labels.CONTROLLER,
        labels.TEMPLATE: label_value(template),
        labels.MODEL_ID: label_value(active.resolved_image.name),
        labels.IMAGE: label_value(active.image),
        labels.TEMPLATE_METRIC: label_value(active.metric or ""),
        labels.TEMPLATE_PRECISION: label_value(active.precision or ""),
    }
    # KServe hands labels on to the Pods: it tells those of this version from those of the one before.
    own_labels[labels.PLACEMENT] = handover.placement(predictor)
    own_class = autoscaling.autoscaler_class(service)
    # KServe hands annotations on as well.
    by_scaler = [] if own_class == autoscaling.NONE else [own_class]
    own_labels[labels.REVISION] = short_hash([own_labels, per_pod, *by_scaler])
    # The version before placements had no autoscaler, and one that comes now replaces the Pods anyway.
    held = None if by_scaler else _held(service, active, predictor, own_labels, live)
    if held is not None:
        predictor, own_labels = held
    if live is not None and live.metadata.label(labels.REVISION) == own_labels[labels.REVISION]:
        routed = _hides(live)
    if routed:
        own_labels[KSERVE_VISIBILITY] = CLUSTER_LOCAL
    rendered = child(
        INFERENCE_SERVICES,
        metadata={
            "name": service.metadata.name,
            "namespace": service.metadata.namespace,
            "labels": own_labels,
            "annotations": {
                # Standard (raw) deployments have a plain Service for the route to point at,
                # whatever mode the cluster defaults to.
                "serving.kserve.io/deploymentMode": "Standard",
                **({autoscaling.CLASS: own_class} if scaling is None else scaling),
            },
            "ownerReferences": [owner_reference(API_VERSION, kind_of(service), service.metadata)],
        },
        spec={"predictor": predictor},
    )
    return without_templates(rendered)


def serving_of(service: AIMService, active: ActiveWorkload) -> Serving:
    """Return how the model server of a service is run, by all levels."""
    return settings.layered(service.spec.serving, active.serving) or Serving()


def restart_of(service: AIMService) -> str | None:
    """Return the value of a service's annotation that asks for a restart, a long one by its hash."""
    value = service.metadata.annotation(labels.RESTART)
    return short_hash(value) if value is not None and len(value) > _MOST_RESTART else value


def rollout_of(service: AIMService, active: ActiveWorkload) -> Rollout | None:
    """Return how Pods are replaced: by the service, else by its configuration."""
    return active.rollout if service.spec.rollout is None else service.spec.rollout


def with_strategy(inference_service: Child, strategy: Manifest | None) -> Child:
    """Return the InferenceService with the strategy of its Deployment, which is no part of the revision."""
    if strategy is None:
        return inference_service
    manifest = inference_service.manifest
    predictor = {**manifest["spec"]["predictor"], "deploymentStrategy": strategy}
    return structs.replace(
        inference_service, manifest={**manifest, "spec": {**manifest["spec"], "predictor": predictor}}
    )


def _hides(live: InferenceService) -> bool:
    """Whether KServe makes no ingress for it."""
    return live.metadata.label(KSERVE_VISIBILITY) == CLUSTER_LOCAL


def revision_of(inference_service: Child) -> str:
    """Return what tells the Pods of this rendering from those of another."""
    revision: str = inference_service.manifest["metadata"]["labels"][labels.REVISION]
    return revision


def placement_of(inference_service: Child) -> str:
    """Return what tells whether its Pods fit where others are; "" of those that are held as they were."""
    placed: str = inference_service.manifest["metadata"]["labels"].get(labels.PLACEMENT, "")
    return placed


def unlabelled_pods(
    service: AIMService, active: ActiveWorkload, inference_service: Child
) -> UnlabelledPods | None:
    """Return where the Pods are of an InferenceService that is held as it was; None if it is not."""
    if placement_of(inference_service):
        return None
    placed = handover.placement(_predictor(service, active))
    return UnlabelledPods(revision=revision_of(inference_service), placement=placed)


def _held(
    service: AIMService,
    active: ActiveWorkload,
    predictor: Manifest,
    own_labels: dict[str, str],
    live: InferenceService | None,
) -> tuple[Manifest, dict[str, str]] | None:
    """Return predictor and labels in the form of before placements, if that is exactly what is `live`.

    A new version of the operator alone restarts no model server: the new form comes with the next change of
    whatever makes a Pod.
    """
    if live is None or live.metadata.label(labels.PLACEMENT) is not None:
        return None
    former_labels = {
        key: value for key, value in own_labels.items() if key not in (labels.PLACEMENT, labels.REVISION)
    }
    for drains in (False, True):
        former = before_placement.predictor_of(
            predictor,
            env=_environment(service, active),
            pods=_pod_settings(service, active),
            pull_secrets=_pull_secret_names(service, active),
            serving=serving_of(service, active),
            where=_where(service, active, dict),
            security=(
                security.container_security(service, active, before_placement.as_given),
                security.pod_security(service, active, before_placement.as_given),
            ),
            drains=drains,
        )
        per_pod = {key: value for key, value in former.items() if key not in _SCALE}
        model = {key: value for key, value in former["model"].items() if key != "runtime"}
        revision = short_hash([former_labels, {**per_pod, "model": model}])
        if live.metadata.label(labels.REVISION) == revision:
            return former, {**former_labels, labels.REVISION: revision}
    return None


def _environment(service: AIMService, active: ActiveWorkload) -> list[Manifest]:
    """Return the variables in the order in which they are given."""
    cached = [{"name": "AIM_CACHE_PATH", "value": CACHE_PATH}] if active.mounts else []
    return engine_args.lay_over(
        merge_env(plain(active.env), cached, plain(service.spec.env or ())), service.spec.engine_args
    )


def _pod_settings(service: AIMService, active: ActiveWorkload) -> PodSettings:
    configured = scheduling.read(active.pods, PodSettings)
    return scheduling.layered_pods(service.spec.pods, configured) or PodSettings()


def _predictor(service: AIMService, active: ActiveWorkload) -> Manifest:
    spec, mounts = service.spec, active.mounts or ()
    serving = serving_of(service, active)
    own_volumes = serving.volumes or ()
    merged = resources.merge(
        spec.resources,
        active.template_resources,
        active.image_resources,
        gpu_count=active.gpu_count or None,
        gpu_resource=(hardware.AMD_RESOURCE if active.gpu_resource is None else active.gpu_resource),
        per_gpu=settings.resources_per_gpu(serving),
    )
    model: Manifest = {
        "modelFormat": {"name": MODEL_FORMAT, "version": "1"},
        "image": active.image,
        "env": canonical.pod_env(_environment(service, active)),
        "resources": {"requests": merged.requests, "limits": merged.limits},
        **settings.probes(serving),
        **settings.lifecycle(serving),
        # Gives the Pod's status the last words of a server that ended, without reading its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # The path by which vLLM shares memory between its processes.
        "volumeMounts": [
            {"name": "dshm", "mountPath": "/dev/shm"},  # noqa: S108
            *map(_volume_mount, mounts),
            *volumes.mounts(own_volumes),
        ],
    }
    if mounts:
        # Without any storage KServe takes a predictor for a multi-model server and adds its agent:
        # docs/adr/0006-cached-models-are-pvc-storage.md.
        model["storageUri"] = f"pvc://{mounts[0].claim}"
    else:
        # The server fetches by itself, with the user's variables, and never looks at what KServe would
        # fetch. Without a path this adds no storage initializer, and without it KServe adds its agent.
        model["storage"] = {}
    predictor: Manifest = {
        "model": model,
        **autoscaling.bounds(service),
        "volumes": [
            {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory(serving)}},
            *map(_volume, mounts),
            *volumes.pod_volumes(own_volumes),
        ],
        "terminationGracePeriodSeconds": settings.grace_period(serving),
    }
    if context := security.container_security(service, active):
        model["securityContext"] = context
    if pod_context := security.pod_security(service, active):
        predictor["securityContext"] = pod_context
    predictor |= security.credentials(service, active) | _pull_secrets(service, active)
    return predictor | _placement(service, active, model)


def _placement(service: AIMService, active: ActiveWorkload, model: Manifest) -> Manifest:
    """Return what of the predictor says where its Pods run and what they have; `model` gets its pull policy.

    A node must fit the GPU and what the settings say.
    """
    pods = _pod_settings(service, active)
    if pods.image_pull_policy not in (None, _usual_policy(active.image)):
        model["imagePullPolicy"] = pods.image_pull_policy
    restart = {} if active.restart is None else {"annotations": {labels.RESTART: active.restart}}
    handed_on = propagation.handed_on(service.metadata, active.propagate)
    return {
        **_where(service, active, canonical.fields),
        **scheduling.service_links(pods),
        **propagation.merged(handed_on, scheduling.metadata(pods), restart),
    }


def _where(service: AIMService, active: ActiveWorkload, form: Callable[[Manifest], Manifest]) -> Manifest:
    """Return what says where Pods run, written as `form` does."""
    return scheduling.pod_fields(
        scheduling.layered(service.spec.scheduling, scheduling.read(active.scheduling, Scheduling)),
        None if active.gpu_model is None else hardware.node_affinity(active.gpu_model),
        same={OF_INFERENCE_SERVICE: service.metadata.name},
        form=form,
    )


def _usual_policy(image: str) -> str:
    """Return when Kubernetes pulls an image where nothing is said: SetDefaults_Container of its core/v1."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if not digest and tag in ("", "latest") else "IfNotPresent"


def _pull_secrets(service: AIMService, active: ActiveWorkload) -> Manifest:
    names = sorted(set(_pull_secret_names(service, active)))
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def _pull_secret_names(service: AIMService, active: ActiveWorkload) -> list[str]:
    own = [secret.name for secret in service.spec.image_pull_secrets or ()]
    return [*own, *(active.image_pull_secrets or ())]


def _volume(mount: ActiveMount) -> dict[str, Any]:
    return {
        "name": _volume_name(mount),
        "persistentVolumeClaim": {"claimName": mount.claim, "readOnly": True},
    }


def _volume_mount(mount: ActiveMount) -> dict[str, Any]:
    out = {"name": _volume_name(mount), "mountPath": f"{CACHE_PATH}/{mount.model}", "readOnly": True}
    return out if mount.sub_path is None else {**out, "subPath": mount.sub_path}


def _volume_name(mount: ActiveMount) -> str:
    """Name a volume by what is in it, so that the order of sources changes nothing."""
    return f"model-{short_hash(mount.model)}"
