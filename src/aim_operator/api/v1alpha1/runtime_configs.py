"""AIMRuntimeConfig and AIMClusterRuntimeConfig: credentials, routing and storage defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field
from aim_operator.api.v1alpha1.common import (
    Conditions,
    GatewayRef,
    ObjectName,
    ObservedGeneration,
    PullSecrets,
    RouteTemplate,
)


class ConfigRouting(Wire):
    """Routing defaults for services that leave them out."""

    enabled: Annotated[bool | UnsetType, Field(doc="Route services that do not say; off if unset.")] = UNSET
    gateway_ref: Annotated[GatewayRef | UnsetType, Field(doc="Gateway to attach HTTPRoutes to.")] = UNSET
    route_template: RouteTemplate | UnsetType = UNSET


class Storage(Wire):
    """How the volumes of model caches are made."""

    access_modes: Annotated[
        tuple[Literal["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"], ...] | UnsetType,
        Field(
            doc="Access modes of the claims; ReadWriteMany if unset.",
            min_items=1,
            max_items=4,
            list_type="set",
        ),
    ] = UNSET
    headroom_percent: Annotated[
        int | UnsetType,
        Field(doc="Room beyond the model's size, in percent; 10 if unset.", minimum=0, maximum=1000),
    ] = UNSET


class Capabilities(Wire):
    add: Annotated[
        tuple[str, ...] | UnsetType, Field(doc="Capabilities to add.", max_items=64, list_type="atomic")
    ] = UNSET
    drop: Annotated[
        tuple[str, ...] | UnsetType, Field(doc="Capabilities to drop.", max_items=64, list_type="atomic")
    ] = UNSET


class SeccompProfile(Wire):
    type: Annotated[Literal["RuntimeDefault", "Unconfined", "Localhost"], Field(doc="Kind of profile.")]
    localhost_profile: Annotated[
        str | UnsetType, Field(doc="Path of a Localhost profile.", max_length=253)
    ] = UNSET


class SecurityContext(Wire):
    """Security context of the serving container; the fields of Kubernetes' own, by the same names."""

    run_as_non_root: Annotated[bool | UnsetType, Field(doc="Refuse to run as uid 0.")] = UNSET
    run_as_user: Annotated[int | UnsetType, Field(doc="Uid to run as.", minimum=0, format="int64")] = UNSET
    run_as_group: Annotated[int | UnsetType, Field(doc="Gid to run as.", minimum=0, format="int64")] = UNSET
    read_only_root_filesystem: Annotated[bool | UnsetType, Field(doc="Mount the image read-only.")] = UNSET
    allow_privilege_escalation: Annotated[bool | UnsetType, Field(doc="Allow setuid and the like.")] = UNSET
    privileged: Annotated[bool | UnsetType, Field(doc="Run privileged.")] = UNSET
    capabilities: Annotated[Capabilities | UnsetType, Field(doc="Linux capabilities.")] = UNSET
    seccomp_profile: Annotated[SeccompProfile | UnsetType, Field(doc="Seccomp profile.")] = UNSET


class AIMClusterRuntimeConfigSpec(Wire):
    default_storage_class_name: Annotated[
        ObjectName | UnsetType, Field(doc="Storage class of caches; the cluster's default if unset.")
    ] = UNSET
    routing: Annotated[ConfigRouting | UnsetType, Field(doc="Routing defaults.")] = UNSET
    storage: Annotated[Storage | UnsetType, Field(doc="Cache volume defaults.")] = UNSET
    security_context: Annotated[
        SecurityContext | UnsetType, Field(doc="Security context of the serving container.")
    ] = UNSET


class AIMRuntimeConfigSpec(AIMClusterRuntimeConfigSpec):
    service_account_name: Annotated[
        ObjectName | UnsetType, Field(doc="Service account of discovery, download and serving Pods.")
    ] = UNSET
    image_pull_secrets: Annotated[
        PullSecrets | UnsetType, Field(doc="Secrets to pull model images with.")
    ] = UNSET


class AIMRuntimeConfigStatus(Wire):
    observed_generation: ObservedGeneration | UnsetType = UNSET
    status: Annotated[str | UnsetType, Field(doc="Ready or Degraded.")] = UNSET
    conditions: Conditions | UnsetType = UNSET


class AIMRuntimeConfig(KubeObject):
    spec: AIMRuntimeConfigSpec
    status: AIMRuntimeConfigStatus | UnsetType = UNSET


class AIMClusterRuntimeConfig(KubeObject):
    spec: AIMClusterRuntimeConfigSpec
    status: AIMRuntimeConfigStatus | UnsetType = UNSET
