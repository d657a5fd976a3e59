"""AIMRuntimeConfig and AIMClusterRuntimeConfig: credentials, routing and storage defaults."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.autoscaling import ConfigAutoscaling
from aim_operator.api.v1alpha1.common import Conditions, ObjectName, ObservedGeneration
from aim_operator.api.v1alpha1.environment import ClusterConfigEnvVars, ConfigEnvVars, PullSecrets
from aim_operator.api.v1alpha1.gateway import (
    AllowedHostnames,
    GatewayRef,
    GatewayRefs,
    Hostnames,
    PathPrefix,
    RequestTimeout,
    RouteAnnotations,
    RouteTemplate,
)
from aim_operator.api.v1alpha1.jobs import Jobs
from aim_operator.api.v1alpha1.propagation import Propagate
from aim_operator.api.v1alpha1.resources import Quantity
from aim_operator.api.v1alpha1.rollout import Rollout
from aim_operator.api.v1alpha1.scheduling import PodSettings, Scheduling
from aim_operator.api.v1alpha1.security import PodSecurityContext
from aim_operator.api.v1alpha1.serving import Serving


class ConfigRouting(Wire):
    """Routing defaults for services that leave them out."""

    enabled: Annotated[bool | None, Field(doc="Route services that do not say; off if unset.")] = None
    gateway_ref: Annotated[
        GatewayRef | None, Field(doc="Gateway to attach the HTTPRoutes of services to.")
    ] = None
    gateway_refs: Annotated[
        GatewayRefs | None, Field(doc="Gateways to attach the HTTPRoutes of services to beside gatewayRef.")
    ] = None
    hostnames: Annotated[
        Hostnames | None, Field(doc="Hosts that routes are for; every one of the listeners' if unset.")
    ] = None
    annotations: Annotated[
        RouteAnnotations | None,
        Field(doc="Annotations for the HTTPRoutes; those of services override, by key."),
    ] = None
    route_template: RouteTemplate | None = None
    request_timeout: Annotated[
        RequestTimeout | None,
        Field(
            doc="Longest time of a request, as a Gateway API duration such as 30s. 0s, also if unset, is "
            "without limit; Gateway leaves it to the gateway."
        ),
    ] = None


class ClusterConfigRouting(ConfigRouting):
    """Routing defaults for services that leave them out, and where routes may lie."""

    path_prefix: PathPrefix | None = None
    allowed_hostnames: AllowedHostnames | None = None


AccessMode = Annotated[
    str, Field(enum=("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"))
]


class UnusedCaches(Wire):
    """What becomes of model caches that no template and no service uses any more."""

    after_days: Annotated[
        int | None,
        Field(doc="Days without use after which the policy applies; 30 if unset.", minimum=1, maximum=3650),
    ] = None
    policy: Annotated[
        str | None,
        Field(
            doc="Keep (if unset) shows them, and leaves them alone. Delete announces the deletion a day "
            "before in a condition and an event, then deletes those that the operator made and that have no "
            "spec.retain, and their files.",
            enum=("Keep", "Delete"),
        ),
    ] = None


class Storage(Wire):
    """How the volumes of model caches are made."""

    access_modes: Annotated[
        tuple[AccessMode, ...] | None,
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
    ] = None
    headroom_percent: Annotated[
        int | None,
        Field(doc="Room beyond the model's size, in percent; 10 if unset.", minimum=0, maximum=1000),
    ] = None
    budget: Annotated[
        Quantity | None,
        Field(
            doc="What the claims of all model caches of a namespace may ask for together, such as 2Ti; "
            "without limit if unset. A cache beyond it waits, the oldest first. The smallest of those holds "
            "that the configurations named default, of cluster and namespace, and the cache's own say.",
            int_or_string=True,
            max_length=64,
            rules=(
                Rule(
                    rule="isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
                    message="write a quantity above 0, such as 2Ti",
                ),
            ),
        ),
    ] = None
    unused: Annotated[
        UnusedCaches | None, Field(doc="What becomes of model caches that nobody uses any more.")
    ] = None


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
    """Linux capabilities: those of the container runtime's default that are dropped, then those added."""

    add: Annotated[CapabilityNames | None, Field(doc="Capabilities to add.")] = None
    drop: Annotated[
        CapabilityNames | None,
        Field(doc="Capabilities to drop; ALL, which is every one, if unset. An empty list drops none."),
    ] = None


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
        str | None,
        Field(
            doc="Path of a Localhost profile, below the kubelet's directory of seccomp profiles.",
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule="!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
                    message="write a relative path without '..', such as profiles/model.json",
                ),
                Rule(
                    rule="!self.contains('{{')",
                    message="KServe would expand '{{' as a Go template; name the profile otherwise",
                ),
            ),
        ),
    ] = None


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

    run_as_non_root: Annotated[bool | None, Field(doc="Refuse to start as uid 0.")] = None
    run_as_user: Annotated[
        int | None,
        Field(doc="Uid to run as; the image's if unset.", minimum=0, maximum=2**31 - 1, format="int64"),
    ] = None
    run_as_group: Annotated[
        int | None,
        Field(doc="Gid to run as; the image's if unset.", minimum=0, maximum=2**31 - 1, format="int64"),
    ] = None
    read_only_root_filesystem: Annotated[bool | None, Field(doc="Mount the image read-only.")] = None
    allow_privilege_escalation: Annotated[
        bool | None, Field(doc="Let a process gain more privileges than its parent has; false if unset.")
    ] = None
    privileged: Annotated[
        bool | None,
        Field(doc="Run as root on the node in all but name. No default for other fields applies then."),
    ] = None
    capabilities: Annotated[Capabilities | None, Field(doc="Linux capabilities to add and drop.")] = None
    seccomp_profile: Annotated[
        SeccompProfile | None,
        Field(doc="Which system calls the container may make; RuntimeDefault if unset."),
    ] = None


class _RuntimeConfigSpec(Wire):
    """What the configurations of both scopes have."""

    default_storage_class_name: Annotated[
        ObjectName | None, Field(doc="Storage class of caches; the cluster's default if unset.")
    ] = None
    routing: Annotated[ConfigRouting | None, Field(doc="Routing of services that leave it open.")] = None
    allow_unoptimized: Annotated[
        bool | None,
        Field(
            doc="Whether services that name no template and don't say may get one whose profile is not "
            "optimized; true if unset."
        ),
    ] = None
    storage: Annotated[Storage | None, Field(doc="How the volumes of model caches are made.")] = None
    jobs: Annotated[Jobs | None, Field(doc="How the Jobs of discovery and downloads are run.")] = None
    security_context: Annotated[
        SecurityContext | None,
        Field(
            doc="Security context of the serving container, field by field over the default: no privilege "
            "escalation, no capabilities, the container runtime's seccomp profile."
        ),
    ] = None
    pod_security_context: Annotated[
        PodSecurityContext | None, Field(doc="Groups of serving Pods, for devices and volumes.")
    ] = None
    serving: Annotated[
        Serving | None, Field(doc="How model servers are run; templates and services override.")
    ] = None
    scheduling: Annotated[
        Scheduling | None, Field(doc="Where model servers may run; templates and services override.")
    ] = None
    pods: Annotated[
        PodSettings | None,
        Field(doc="Labels, annotations and so on of model servers' Pods; templates and services override."),
    ] = None
    rollout: Annotated[
        Rollout | None,
        Field(doc="How Pods of services are replaced by those of a new revision; services override."),
    ] = None
    propagate: Annotated[
        Propagate | None,
        Field(doc="Which labels and annotations of services, templates and caches reach Pods and Jobs."),
    ] = None
    env: Annotated[
        ClusterConfigEnvVars | None,
        Field(
            doc="Environment of discovery, downloads and serving, below that of templates and services. "
            "References are to Secrets in the namespace of the Pod: of cluster templates' discovery, the "
            "operator's."
        ),
    ] = None


class AIMClusterRuntimeConfigSpec(_RuntimeConfigSpec):
    """What images, templates, caches and services take from this configuration."""

    routing: Annotated[
        ClusterConfigRouting | None, Field(doc="Routing of services that leave it open, and its limits.")
    ] = None
    autoscaling: Annotated[
        ConfigAutoscaling | None,
        Field(
            doc="What autoscaling of services needs to know of the cluster. Namespaces can't set it: KEDA "
            "asks at that address, from where it runs."
        ),
    ] = None


class AIMRuntimeConfigSpec(_RuntimeConfigSpec):
    """What images, templates, caches and services of this namespace take from this configuration."""

    merge: Annotated[
        str | None,
        Field(
            doc="What happens to an AIMClusterRuntimeConfig of the same name. Merge, which unset means: "
            "what is unset here is taken from it, field by field, and environment and pull secrets by name. "
            "Replace: nothing is.",
            enum=("Merge", "Replace"),
        ),
    ] = None
    service_account_name: Annotated[
        ObjectName | None,
        Field(
            doc="Service account of discovery, download and serving Pods. If unset, it is the namespace's "
            "default, whose token no Pod mounts; the token of one that is named is mounted for discovery and "
            "serving."
        ),
    ] = None
    image_pull_secrets: Annotated[PullSecrets | None, Field(doc="Secrets to pull model images with.")] = None
    env: Annotated[
        ConfigEnvVars | None,
        Field(doc="Environment of discovery, downloads and serving, below that of templates and services."),
    ] = None


class AIMRuntimeConfigStatus(Wire):
    """Whether what the configuration names is there."""

    observed_generation: ObservedGeneration | None = None
    status: Annotated[
        str | None,
        Field(doc="Degraded: something that it names is missing.", enum=("Ready", "Degraded")),
    ] = None
    conditions: Conditions | None = None


class AIMRuntimeConfig(KubeObject):
    spec: AIMRuntimeConfigSpec
    status: AIMRuntimeConfigStatus | None = None


class AIMClusterRuntimeConfig(KubeObject):
    spec: AIMClusterRuntimeConfigSpec
    status: AIMRuntimeConfigStatus | None = None
