"""A service's children: the InferenceService and the HTTPRoute."""

from __future__ import annotations

from msgspec import UNSET, Struct

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.api.meta import Manifest, given
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import AIMService, AIMServiceTemplateStatus, Discovery, ServiceRouting
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.core import labels, resources
from aim_operator.core.catalog import Image, RuntimeConfig, Template, kind_of, union_pull_secrets
from aim_operator.core.manifests import child, merge_env, owner_reference, plain
from aim_operator.core.naming import label_value, short_hash
from aim_operator.core.service.route import Route
from aim_operator.core.template.desired import GPU_RESOURCE, MODEL_FORMAT, discovered, gpu_count

PREDICTOR = "-predictor"
PREDICTOR_PORT = 80
_OF_PODS = ("runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile")


def predictor_service(name: str) -> str:
    """Return the name of the Service, and of the Deployment, that KServe makes for the predictor."""
    return f"{name}{PREDICTOR}"


CACHE_PATH = "/workspace/model-cache"


class Mount(Struct, frozen=True, kw_only=True):
    """One cached model: the claim with its files goes below CACHE_PATH under the model's name."""

    model: str
    claim: str


def inference_service(
    service: AIMService,
    image: Image,
    template: Template,
    config: RuntimeConfig,
    mounts: tuple[Mount, ...] = (),
) -> Child:
    """Render the InferenceService: with `mounts` from the caches, else for a server that fetches by itself.

    Raises SpecError(ResourcesInvalid).
    """
    status = given(template.status, AIMServiceTemplateStatus())
    spec = service.spec
    merged = resources.merge(
        spec.resources,
        template.spec.resources,
        image.spec.resources,
        gpu_count=gpu_count(status) or None,
        gpu_resource=GPU_RESOURCE,
    )
    model: Manifest = {
        "modelFormat": {"name": MODEL_FORMAT, "version": "1"},
        "runtime": template.metadata.name,
        "resources": {"requests": merged.requests, "limits": merged.limits},
    }
    cached = ({"name": "AIM_CACHE_PATH", "value": CACHE_PATH},) if mounts else ()
    if env := merge_env(cached, plain(given(spec.env, ()))):
        model["env"] = env
    if mounts:
        # Without any storage KServe takes a predictor for a multi-model server and adds its agent:
        # docs/adr/0006-cached-models-are-pvc-storage.md.
        model["storageUri"] = f"pvc://{mounts[0].claim}"
        model["volumeMounts"] = [
            {"name": _volume(mount), "mountPath": f"{CACHE_PATH}/{mount.model}", "readOnly": True}
            for mount in mounts
        ]
    else:
        # The server fetches by itself, with the user's variables, and never looks at what KServe would
        # fetch. Without a path this adds no storage initializer, and without it KServe adds its agent.
        model["storage"] = {}
    if config.security_context is not UNSET:
        model["securityContext"] = plain(config.security_context)
    predictor: Manifest = {
        "model": model,
        "minReplicas": spec.replicas,
        "maxReplicas": spec.replicas,
    }
    if mounts:
        predictor["volumes"] = [
            {"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
            for name, claim in ((_volume(mount), mount.claim) for mount in mounts)
        ]
    if pod_context := _pod_level(model.get("securityContext", {})):
        predictor["securityContext"] = pod_context
    if config.service_account_name is not None:
        predictor["serviceAccountName"] = config.service_account_name
    secrets = union_pull_secrets(given(spec.image_pull_secrets, ()), config.image_pull_secrets)
    if secrets:
        predictor["imagePullSecrets"] = plain(secrets)
    metadata = discovered(status)
    return child(
        INFERENCE_SERVICES,
        metadata={
            "name": service.metadata.name,
            "namespace": service.metadata.namespace,
            "labels": {
                labels.NAME: "aim-service",
                labels.COMPONENT: "inference-service",
                labels.MANAGED_BY: labels.CONTROLLER,
                labels.TEMPLATE: label_value(template.metadata.name),
                labels.MODEL_ID: label_value(image.metadata.name),
                labels.IMAGE: label_value(_image_reference(status, image)),
                labels.TEMPLATE_METRIC: label_value(_text(metadata, "metric", template.spec.metric)),
                labels.TEMPLATE_PRECISION: label_value(_text(metadata, "precision", template.spec.precision)),
            },
            "annotations": {
                # Standard (raw) deployments have a plain Service for the route to point at,
                # whatever mode the cluster defaults to; replicas are ours, not an autoscaler's.
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
            },
            "ownerReferences": [owner_reference(API_VERSION, kind_of(service), service.metadata)],
        },
        spec={"predictor": predictor},
    )


def _volume(mount: Mount) -> str:
    """Name a volume by what is in it, so that the order of sources changes nothing."""
    return f"model-{short_hash(mount.model)}"


def http_route(service: AIMService, route: Route) -> Child:
    """Render the HTTPRoute: the path prefix is cut off before the request reaches the model server."""
    routing = given(service.spec.routing, ServiceRouting())
    rule: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": route.path}}],
        "filters": [
            {
                "type": "URLRewrite",
                "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
            }
        ],
        "backendRefs": [
            {"name": predictor_service(service.metadata.name), "port": PREDICTOR_PORT, "kind": "Service"}
        ],
    }
    timeout = given(routing.request_timeout, None)
    if timeout is not None:
        rule["timeouts"] = {"request": timeout}
    metadata: Manifest = {
        "name": service.metadata.name,
        "namespace": service.metadata.namespace,
        "labels": {
            labels.NAME: "aim-service",
            labels.COMPONENT: "route",
            labels.MANAGED_BY: labels.CONTROLLER,
        },
        "ownerReferences": [owner_reference(API_VERSION, kind_of(service), service.metadata)],
    }
    if annotations := given(routing.annotations, {}):
        metadata["annotations"] = dict(annotations)
    return child(
        HTTP_ROUTES,
        # Under a stranger's InferenceService it would lead to the stranger's model.
        after=INFERENCE_SERVICES.kind,
        metadata=metadata,
        spec={"parentRefs": [plain(route.gateway)], "rules": [rule]},
    )


def _image_reference(status: AIMServiceTemplateStatus, image: Image) -> str:
    """Return the image that the runtime has: the one that was discovered.

    A newer one of the catalog is yet to be discovered; its name in a label would restart the model
    servers, with the old image.
    """
    return given(given(status.discovery, Discovery()).image, "") or image.spec.image


def _pod_level(context: Manifest) -> Manifest:
    """Return what of a container's security context a Pod has too.

    KServe's storage initializer gets nothing from the model's container; what it lacks itself, it takes
    from the Pod.
    """
    return {key: context[key] for key in _OF_PODS if key in context}


def _text(metadata: Manifest, key: str, fallback: object) -> str:
    found = metadata.get(key) or fallback
    return found if isinstance(found, str) else ""
