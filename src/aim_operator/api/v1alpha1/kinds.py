"""What the CRDs say beside their schemas, and where each kind is served."""

from __future__ import annotations

from aim_operator.api.resource import K, Resource
from aim_operator.api.schema import Column, Kind, Rule, Scale
from aim_operator.api.v1alpha1.caches import AIMModelCache, AIMTemplateCache
from aim_operator.api.v1alpha1.common import GROUP, VERSION
from aim_operator.api.v1alpha1.images import AIMClusterImage, AIMImage
from aim_operator.api.v1alpha1.runtime_configs import AIMClusterRuntimeConfig, AIMRuntimeConfig
from aim_operator.api.v1alpha1.services import AIMService
from aim_operator.api.v1alpha1.templates import AIMClusterServiceTemplate, AIMServiceTemplate

_STATUS = Column(name="Status", json_path=".status.status")
_AGE = Column(name="Age", json_path=".metadata.creationTimestamp", type="date")
_REASON = Column(
    name="Reason",
    json_path=".status.conditions[?(@.type=='Ready')].reason",
    priority=1,
)
_BLOCKED_BY = Column(
    name="Blocked by",
    json_path=".status.blockedBy.name",
    priority=1,
    doc="What it waits for; status.blockedBy has its kind and since when.",
)
_PROGRESS = Column(name="Progress", json_path=".status.progress.percentage", type="integer")
_IMAGE_COLUMNS = (
    _STATUS,
    Column(name="Image", json_path=".spec.image"),
    Column(name="Template", json_path=".spec.defaultServiceTemplate", priority=1),
    _REASON,
    _BLOCKED_BY,
    _AGE,
)
_TEMPLATE_COLUMNS = (
    _STATUS,
    Column(name="Image", json_path=".spec.aimImageName"),
    Column(name="Engine", json_path=".status.profile.metadata.engine"),
    Column(name="Metric", json_path=".status.profile.metadata.metric"),
    Column(name="Precision", json_path=".status.profile.metadata.precision"),
    Column(name="GPUs", json_path=".status.profile.metadata.gpu_count", type="integer"),
    Column(name="GPU", json_path=".status.profile.metadata.gpu"),
    Column(name="Type", json_path=".status.profile.metadata.type"),
    Column(name="Profile", json_path=".status.profileId", priority=1),
    _REASON,
    _BLOCKED_BY,
    _AGE,
)
_CONFIG_COLUMNS = (
    _STATUS,
    Column(name="Routing", json_path=".spec.routing.enabled", type="boolean"),
    Column(name="Gateway", json_path=".spec.routing.gatewayRef.name"),
    _REASON,
    _AGE,
)

_SERVICE_NAME = Rule(
    rule="self.metadata.name.size() <= 53 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    message=(
        "KServe serves it as <name>-predictor; write at most 53 lower-case letters, digits and '-', "
        "the first a letter"
    ),
    field_path=".metadata.name",
)

_ENFORCED = Rule(
    rule=("self.metadata.name == 'default' || !has(self.spec.routing) || !has(self.spec.routing.pathPrefix)"),
    message=(
        "holds for all services, whichever configuration they use, so it is read from the one named default "
        "only; set it there"
    ),
    field_path=".spec.routing.pathPrefix",
)

_ENFORCED_HOSTS = Rule(
    rule=(
        "self.metadata.name == 'default' || !has(self.spec.routing)"
        " || !has(self.spec.routing.allowedHostnames)"
    ),
    message=_ENFORCED.message,
    field_path=".spec.routing.allowedHostnames",
)

KINDS: dict[type, Kind] = {
    AIMImage: Kind(
        kind="AIMImage",
        plural="aimimages",
        short_name="aimimg",
        namespaced=True,
        doc="Catalog entry of one namespace: maps a model id (its name) to a container image.",
        columns=_IMAGE_COLUMNS,
    ),
    AIMClusterImage: Kind(
        kind="AIMClusterImage",
        plural="aimclusterimages",
        short_name="aimclimg",
        namespaced=False,
        doc="Catalog entry for all namespaces: maps a model id (its name) to a container image.",
        columns=_IMAGE_COLUMNS,
    ),
    AIMServiceTemplate: Kind(
        kind="AIMServiceTemplate",
        plural="aimservicetemplates",
        short_name="aimst",
        namespaced=True,
        doc="Runtime profile of an image in one namespace, and the cache of what discovery learnt of it.",
        columns=_TEMPLATE_COLUMNS,
    ),
    AIMClusterServiceTemplate: Kind(
        kind="AIMClusterServiceTemplate",
        plural="aimclusterservicetemplates",
        short_name="aimclst",
        namespaced=False,
        doc="Runtime profile of an image for all namespaces, and the cache of what discovery learnt of it.",
        columns=_TEMPLATE_COLUMNS,
    ),
    AIMRuntimeConfig: Kind(
        kind="AIMRuntimeConfig",
        plural="aimruntimeconfigs",
        short_name="aimrcfg",
        namespaced=True,
        doc="Credentials, routing and storage defaults of one namespace.",
        columns=_CONFIG_COLUMNS,
    ),
    AIMClusterRuntimeConfig: Kind(
        kind="AIMClusterRuntimeConfig",
        plural="aimclusterruntimeconfigs",
        short_name="aimcrcfg",
        namespaced=False,
        doc="Routing and storage defaults for all namespaces.",
        columns=_CONFIG_COLUMNS,
        name_rules=(_ENFORCED, _ENFORCED_HOSTS),
    ),
    AIMTemplateCache: Kind(
        kind="AIMTemplateCache",
        plural="aimtemplatecaches",
        short_name="aimtc",
        namespaced=True,
        doc="Warms the model sources of a template into this namespace.",
        columns=(
            _STATUS,
            Column(name="Template", json_path=".spec.templateRef"),
            _REASON,
            _BLOCKED_BY,
            _AGE,
        ),
    ),
    AIMModelCache: Kind(
        kind="AIMModelCache",
        plural="aimmodelcaches",
        short_name="aimmc",
        namespaced=True,
        doc="The files of one model source on a volume, shared by the namespace.",
        columns=(
            _STATUS,
            Column(name="Source", json_path=".spec.sourceUri"),
            Column(name="Size", json_path=".status.size"),
            _PROGRESS,
            Column(name="Unused", json_path=".status.unusedSince", type="date"),
            Column(name="Claim", json_path=".status.persistentVolumeClaim", priority=1),
            _REASON,
            _BLOCKED_BY,
            _AGE,
        ),
    ),
    AIMService: Kind(
        kind="AIMService",
        plural="aimservices",
        short_name="aimsvc",
        namespaced=True,
        doc="One model, served by KServe and routed through a Gateway.",
        columns=(
            _STATUS,
            Column(name="Model", json_path=".spec.model"),
            Column(name="Template", json_path=".status.resolvedTemplate.name"),
            Column(
                name="Desired",
                json_path=".status.desiredReplicas",
                type="integer",
                doc="Copies that are wanted now, by the spec or by an autoscaler.",
            ),
            Column(
                name="Ready",
                json_path=".status.readyReplicas",
                type="integer",
                doc="Copies that answer requests.",
            ),
            Column(
                name="Updated",
                json_path=".status.updatedReplicas",
                type="integer",
                priority=1,
                doc="Copies of the current revision.",
            ),
            Column(name="Path", json_path=".status.routing.path"),
            _REASON,
            _BLOCKED_BY,
            _AGE,
        ),
        scale=Scale(
            replicas=".spec.replicas", status_replicas=".status.replicas", selector=".status.selector"
        ),
        name_rules=(_SERVICE_NAME,),
    ),
}


def _resource(type_: type[K]) -> Resource[K]:
    kind = KINDS[type_]
    return Resource(
        group=GROUP,
        version=VERSION,
        plural=kind.plural,
        kind=kind.kind,
        namespaced=kind.namespaced,
        type=type_,
    )


IMAGES = _resource(AIMImage)
CLUSTER_IMAGES = _resource(AIMClusterImage)
TEMPLATES = _resource(AIMServiceTemplate)
CLUSTER_TEMPLATES = _resource(AIMClusterServiceTemplate)
RUNTIME_CONFIGS = _resource(AIMRuntimeConfig)
CLUSTER_RUNTIME_CONFIGS = _resource(AIMClusterRuntimeConfig)
TEMPLATE_CACHES = _resource(AIMTemplateCache)
MODEL_CACHES = _resource(AIMModelCache)
SERVICES = _resource(AIMService)

ALL_KINDS = (
    IMAGES,
    CLUSTER_IMAGES,
    TEMPLATES,
    CLUSTER_TEMPLATES,
    RUNTIME_CONFIGS,
    CLUSTER_RUNTIME_CONFIGS,
    TEMPLATE_CACHES,
    MODEL_CACHES,
    SERVICES,
)
