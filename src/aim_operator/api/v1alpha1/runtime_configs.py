"""AIMRuntimeConfig and AIMClusterRuntimeConfig: credentials, routing and storage defaults."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import Conditions, ObjectName, ObservedGeneration
from aim_operator.api.v1alpha1.environment import ClusterConfigEnvVars, ConfigEnvVars, PullSecrets
from aim_operator.api.v1alpha1.gateway import GatewayRef, RouteTemplate
from aim_operator.api.v1alpha1.serving import Serving


class ConfigRouting(Wire):
    """Routing defaults for services that leave them out."""

    enabled: Annotated[bool | UnsetType, Field(doc="Route services that do not say; off if unset.")] = UNSET
    gateway_ref: Annotated[
        GatewayRef | UnsetType, Field(doc="Gateway to attach the HTTPRoutes of services to.")
    ] = UNSET
    route_template: RouteTemplate | UnsetType = UNSET


AccessMode = Annotated[
    str, Field(enum=("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"))
]


class Storage(Wire):
    """How the volumes of model caches are made."""

    access_modes: Annotated[
        tuple[AccessMode, ...] | UnsetType,
        Field(
            doc="Access modes of the claims; ReadWriteMany if unset.",
            min_items=1,
            max_items=4,
            list_type="set",
            rules=(
                Rule(
                    rule="self.exists(m, m != 'ReadOnlyMany')",
                    message="the download writes to the volume; add ReadWriteMany or ReadWriteOnce",
                ),
                Rule(
                    rule="self.size() == 1 || !self.exists(m, m == 'ReadWriteOncePod')",
                    message="ReadWriteOncePod can't be combined with other modes; write it alone",
                ),
            ),
        ),
    ] = UNSET
    headroom_percent: Annotated[
        int | UnsetType,
        Field(doc="Room beyond the model's size, in percent; 10 if unset.", minimum=0, maximum=1000),
    ] = UNSET


CapabilityNames = Annotated[
    tuple[str, ...],
    Field(
        max_items=64,
        list_type="atomic",
        value=Field(
            min_length=1,
            max_length=63,
            rules=(
                Rule(
                    rule="self.matches('^[A-Z][A-Z0-9_]*$') && !self.startsWith('CAP_')",
                    message="write a capability in capitals and without CAP_: NET_BIND_SERVICE, or ALL",
                ),
            ),
        ),
    ),
]


class Capabilities(Wire):
    """Linux capabilities beyond and below the container runtime's default."""

    add: Annotated[CapabilityNames | UnsetType, Field(doc="Capabilities to add.")] = UNSET
    drop: Annotated[CapabilityNames | UnsetType, Field(doc="Capabilities to drop; ALL is every one.")] = UNSET


class SeccompProfile(Wire):
    """Which system calls the container may make."""

    RULES = (
        Rule(
            rule="(self.type == 'Localhost') == has(self.localhostProfile)",
            message="goes with type Localhost and only with it; set both or neither",
            field_path=".localhostProfile",
        ),
    )

    type: Annotated[str, Field(doc="Kind of profile.", enum=("RuntimeDefault", "Unconfined", "Localhost"))]
    localhost_profile: Annotated[
        str | UnsetType,
        Field(
            doc="Path of a Localhost profile, below the kubelet's directory of seccomp profiles.",
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule="!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
                    message="write a relative path without '..', such as profiles/model.json",
                ),
            ),
        ),
    ] = UNSET


class SecurityContext(Wire):
    """Security context of the serving container; the fields of Kubernetes' own, by the same names."""

    RULES = (
        Rule(
            rule=(
                "!(has(self.runAsNonRoot) && self.runAsNonRoot && has(self.runAsUser) && self.runAsUser == 0)"
            ),
            message="0 is root, which runAsNonRoot refuses; write another uid or drop runAsNonRoot",
            field_path=".runAsUser",
        ),
        Rule(
            rule=(
                "!(has(self.privileged) && self.privileged && "
                "has(self.allowPrivilegeEscalation) && !self.allowPrivilegeEscalation)"
            ),
            message="a privileged container can't do without; set one of the two otherwise",
            field_path=".allowPrivilegeEscalation",
        ),
    )

    run_as_non_root: Annotated[bool | UnsetType, Field(doc="Refuse to start as uid 0.")] = UNSET
    run_as_user: Annotated[
        int | UnsetType,
        Field(doc="Uid to run as; the image's if unset.", minimum=0, maximum=2**31 - 1, format="int64"),
    ] = UNSET
    run_as_group: Annotated[
        int | UnsetType,
        Field(doc="Gid to run as; the image's if unset.", minimum=0, maximum=2**31 - 1, format="int64"),
    ] = UNSET
    read_only_root_filesystem: Annotated[bool | UnsetType, Field(doc="Mount the image read-only.")] = UNSET
    allow_privilege_escalation: Annotated[
        bool | UnsetType, Field(doc="Let a process gain more privileges than its parent has.")
    ] = UNSET
    privileged: Annotated[bool | UnsetType, Field(doc="Run as root on the node in all but name.")] = UNSET
    capabilities: Annotated[Capabilities | UnsetType, Field(doc="Linux capabilities to add and drop.")] = (
        UNSET
    )
    seccomp_profile: Annotated[
        SeccompProfile | UnsetType, Field(doc="Which system calls the container may make.")
    ] = UNSET


class AIMClusterRuntimeConfigSpec(Wire):
    """What images, templates, caches and services take from this configuration."""

    default_storage_class_name: Annotated[
        ObjectName | UnsetType, Field(doc="Storage class of caches; the cluster's default if unset.")
    ] = UNSET
    routing: Annotated[ConfigRouting | UnsetType, Field(doc="Routing of services that leave it open.")] = (
        UNSET
    )
    allow_unoptimized: Annotated[
        bool | UnsetType,
        Field(
            doc="Whether services that name no template and don't say may get one whose profile is not "
            "optimized; true if unset."
        ),
    ] = UNSET
    storage: Annotated[Storage | UnsetType, Field(doc="How the volumes of model caches are made.")] = UNSET
    security_context: Annotated[
        SecurityContext | UnsetType, Field(doc="Security context of the serving container.")
    ] = UNSET
    serving: Annotated[
        Serving | UnsetType, Field(doc="How model servers are run; templates and services override.")
    ] = UNSET
    env: Annotated[
        ClusterConfigEnvVars | UnsetType,
        Field(
            doc="Environment of discovery, downloads and serving, below that of templates and services. "
            "References are to Secrets in the namespace of the Pod: of cluster templates' discovery, the "
            "operator's."
        ),
    ] = UNSET


class AIMRuntimeConfigSpec(AIMClusterRuntimeConfigSpec):
    """What images, templates, caches and services of this namespace take from this configuration."""

    service_account_name: Annotated[
        ObjectName | UnsetType, Field(doc="Service account of discovery, download and serving Pods.")
    ] = UNSET
    image_pull_secrets: Annotated[
        PullSecrets | UnsetType, Field(doc="Secrets to pull model images with.")
    ] = UNSET
    env: Annotated[
        ConfigEnvVars | UnsetType,
        Field(doc="Environment of discovery, downloads and serving, below that of templates and services."),
    ] = UNSET


class AIMRuntimeConfigStatus(Wire):
    """Whether what the configuration names is there."""

    observed_generation: ObservedGeneration | UnsetType = UNSET
    status: Annotated[
        str | UnsetType,
        Field(doc="Degraded: something that it names is missing.", enum=("Ready", "Degraded")),
    ] = UNSET
    conditions: Conditions | UnsetType = UNSET


class AIMRuntimeConfig(KubeObject):
    spec: AIMRuntimeConfigSpec
    status: AIMRuntimeConfigStatus | UnsetType = UNSET


class AIMClusterRuntimeConfig(KubeObject):
    spec: AIMClusterRuntimeConfigSpec
    status: AIMRuntimeConfigStatus | UnsetType = UNSET
