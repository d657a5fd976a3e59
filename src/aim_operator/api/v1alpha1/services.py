"""AIMService: one running, routed model."""

from __future__ import annotations

from typing import Annotated, Any

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.autoscaling import Autoscaling
from aim_operator.api.v1alpha1.common import (
    Blocked,
    Conditions,
    GpuSelector,
    Metric,
    ObjectName,
    ObservedGeneration,
    Precision,
    ResolvedReference,
    ResolvedRuntimeConfig,
    RuntimeConfigName,
    Scope,
)
from aim_operator.api.v1alpha1.environment import EnvVar, EnvVars, PullSecrets
from aim_operator.api.v1alpha1.gateway import (
    GatewayRef,
    GatewayRefs,
    Hostnames,
    RequestTimeout,
    RouteAnnotations,
    RouteTemplate,
)
from aim_operator.api.v1alpha1.profiles import EngineArgs
from aim_operator.api.v1alpha1.propagation import Propagate
from aim_operator.api.v1alpha1.resources import ResourceRequirements
from aim_operator.api.v1alpha1.rollout import Rollout, RolloutStatus, UnlabelledPods
from aim_operator.api.v1alpha1.runtime_configs import ConfigRouting, SecurityContext
from aim_operator.api.v1alpha1.scheduling import PodSettings, Scheduling
from aim_operator.api.v1alpha1.security import PodSecurityContext
from aim_operator.api.v1alpha1.serving import ServiceServing, Serving


class Overrides(Wire):
    """What this service wants different from its template; a derived template carries it."""

    metric: Annotated[Metric | None, Field(doc="What to optimise for.")] = None
    precision: Annotated[Precision | None, Field(doc="Numeric precision of inference.")] = None
    gpu_selector: Annotated[GpuSelector | None, Field(doc="GPUs of one replica.")] = None


class ServiceRouting(Wire):
    """How the service is reached through a Gateway."""

    enabled: Annotated[
        bool | None, Field(doc="Create an HTTPRoute; the runtime configuration decides if unset.")
    ] = None
    gateway_ref: Annotated[
        GatewayRef | None, Field(doc="Gateway to attach to; that of the runtime configuration if unset.")
    ] = None
    gateway_refs: Annotated[
        GatewayRefs | None,
        Field(doc="Gateways to attach to beside gatewayRef; those of the runtime configuration if unset."),
    ] = None
    hostnames: Annotated[
        Hostnames | None,
        Field(
            doc="Hosts that the route is for, as Gateway API has them; those of the runtime configuration "
            "if unset, and every one of the listeners' where there are none."
        ),
    ] = None
    annotations: Annotated[
        RouteAnnotations | None,
        Field(doc="Annotations for the HTTPRoute, over those of the runtime configuration, by key."),
    ] = None
    route_template: RouteTemplate | None = None
    request_timeout: Annotated[
        RequestTimeout | None,
        Field(
            doc="Longest time of a request, as a Gateway API duration such as 30s; that of the runtime "
            "configuration if unset. 0s, also if unset there, is without limit; Gateway leaves it to the "
            "gateway."
        ),
    ] = None


class AIMServiceSpec(Wire):
    """Which model to serve, and what of it to change."""

    RULES = (
        Rule(
            rule="has(self.model) || has(self.aimImageName)",
            message="write the name of an AIMImage or AIMClusterImage",
            field_path=".model",
            reason="FieldValueRequired",
        ),
        Rule(
            rule="!has(self.model) || !has(self.aimImageName) || self.model == self.aimImageName",
            message="an alias of spec.model; set one of the two, or both to the same name",
            field_path=".aimImageName",
        ),
        Rule(
            rule="!has(self.autoscaling) || !has(self.replicas) || self.replicas <= 1",
            message="the autoscaler of spec.autoscaling decides about the number of copies; change its "
            "bounds, or leave it out. 0 stops the service, 1 or nothing starts it",
            field_path=".replicas",
        ),
    )

    model: Annotated[
        ObjectName | None,
        Field(doc="Model to serve: the name of an AIMImage, else of an AIMClusterImage."),
    ] = None
    aim_image_name: Annotated[
        ObjectName | None, Field(doc="Alias of model: set one of the two, or both alike.")
    ] = None
    template_ref: Annotated[
        ObjectName | None,
        Field(
            doc="Template to run with: an AIMServiceTemplate, else an AIMClusterServiceTemplate. "
            "If unset, the image's default, else the best one available for the image."
        ),
    ] = None
    allow_unoptimized: Annotated[
        bool | None,
        Field(
            doc="Whether a template whose profile is not optimized may be chosen where none is named; the "
            "runtime configuration decides if unset. One that is named is used in any case."
        ),
    ] = None
    runtime_config_name: RuntimeConfigName | None = None
    replicas: Annotated[
        int,
        Field(
            doc="Copies of the model server to run. 0 stops the service and keeps everything else: caches, "
            "the route and its path, and what it runs on. Scaled by `kubectl scale` and autoscalers.",
            minimum=0,
            maximum=1000,
            default=1,
        ),
    ] = 1
    autoscaling: Annotated[
        Autoscaling | None,
        Field(doc="Has an autoscaler decide about the number of copies; replicas 0 still stops the service."),
    ] = None
    rollout: Annotated[
        Rollout | None,
        Field(doc="How Pods are replaced by those of a new revision; overrides the runtime configuration."),
    ] = None
    resources: Annotated[
        ResourceRequirements | None, Field(doc="Resources of one replica; override template and image.")
    ] = None
    serving: Annotated[
        ServiceServing | None,
        Field(doc="How the model server is run; overrides template and runtime configuration."),
    ] = None
    scheduling: Annotated[
        Scheduling | None,
        Field(doc="Where the model server may run; overrides template and runtime configuration."),
    ] = None
    pods: Annotated[
        PodSettings | None,
        Field(
            doc="Labels, annotations and so on of the model server's Pods; override those of template and "
            "runtime configuration."
        ),
    ] = None
    service_account_name: Annotated[
        ObjectName | None,
        Field(
            doc="Service account of the model server, whose token it gets; that of the runtime "
            "configuration if unset, and else the namespace's default without its token."
        ),
    ] = None
    security_context: Annotated[
        SecurityContext | None,
        Field(doc="Security context of the serving container, field by field over the configuration's."),
    ] = None
    pod_security_context: Annotated[
        PodSecurityContext | None,
        Field(doc="Groups of the Pods, for devices and volumes, field by field over the configuration's."),
    ] = None
    overrides: Annotated[Overrides | None, Field(doc="Differences from the template.")] = None
    env: Annotated[
        EnvVars | None,
        Field(doc="Environment of the model server and of its download; overrides the template's, by name."),
    ] = None
    engine_args: EngineArgs | None = None
    image_pull_secrets: Annotated[PullSecrets | None, Field(doc="Secrets to pull the model image with.")] = (
        None
    )
    cache_model: Annotated[
        bool | None, Field(doc="Download the model to a volume before starting; off if unset.")
    ] = None
    routing: Annotated[ServiceRouting | None, Field(doc="Routing through a Gateway.")] = None


class RoutingStatus(Wire):
    """Where the service is reached through the gateway."""

    path: Annotated[str | None, Field(doc="URL path prefix of the service.", max_length=1024)] = None


class TemplateCandidate(Wire, omit_defaults=False):
    """A template that was weighed when none was named."""

    name: Annotated[str, Field(doc="Name of the template.", max_length=253)]
    scope: Annotated[Scope, Field(doc="Where it is: in the service's namespace, or cluster-wide.")]
    chosen: Annotated[bool, Field(doc="Whether the service uses it.")] = False
    reason: Annotated[str | None, Field(doc="Why it was chosen, or why not.", max_length=1024)] = None


class ActiveMount(Wire):
    """A cached model that the model server mounts."""

    model: Annotated[str, Field(doc="Name of the model.", max_length=512)]
    claim: Annotated[str, Field(doc="Claim with its files.", max_length=253)]
    sub_path: Annotated[
        str | None, Field(doc="Folder in the claim's volume, where that is not the whole.", max_length=512)
    ] = None


class ActiveWorkload(Wire):
    """What the service runs on. Its children are rendered from here until newer inputs are available."""

    image: Annotated[str, Field(doc="Container image of the model server.", max_length=1024)]
    resolved_image: Annotated[ResolvedReference, Field(doc="Image of the catalog that it came from.")]
    resolved_template: Annotated[ResolvedReference, Field(doc="Template that it came from.")]
    resolved_runtime_config: Annotated[
        ResolvedRuntimeConfig | None, Field(doc="Runtime configuration that it came from.")
    ] = None
    metric: Annotated[str | None, Field(doc="Metric of the profile.", max_length=128)] = None
    precision: Annotated[str | None, Field(doc="Precision of the profile.", max_length=128)] = None
    gpu_model: Annotated[
        str | None, Field(doc="GPU model asked for, else that of the profile.", max_length=128)
    ] = None
    gpu_count: Annotated[int, Field(doc="GPUs per replica.", minimum=0)] = 0
    gpu_resource: Annotated[
        str | None, Field(doc="Resource that the GPUs are requested as.", max_length=317)
    ] = None
    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            doc="Environment from discovery and template.",
            max_items=512,
            list_type="atomic",
            value=Field(preserve_unknown_fields=True),
        ),
    ] = ()
    serving: Annotated[
        Serving | None,
        Field(
            doc="How the model server is run, by template and configuration.", preserve_unknown_fields=True
        ),
    ] = None
    scheduling: Annotated[
        dict[str, Any] | None,
        Field(
            doc="Where the model server may run, by template and configuration.", preserve_unknown_fields=True
        ),
    ] = None
    pods: Annotated[
        dict[str, Any] | None,
        Field(doc="What its Pods have, by template and configuration.", preserve_unknown_fields=True),
    ] = None
    propagate: Annotated[
        Propagate | None,
        Field(doc="Which labels and annotations of the service its Pods have, by configuration."),
    ] = None
    template_resources: Annotated[
        ResourceRequirements | None,
        Field(doc="Resources of the template.", preserve_unknown_fields=True),
    ] = None
    image_resources: Annotated[
        ResourceRequirements | None, Field(doc="Resources of the image.", preserve_unknown_fields=True)
    ] = None
    image_pull_secrets: Annotated[
        tuple[str, ...] | None,
        Field(
            doc="Pull secrets of configuration and template.",
            max_items=64,
            list_type="atomic",
            value=Field(max_length=253),
        ),
    ] = None
    service_account_name: Annotated[str | None, Field(doc="Service account of the Pods.", max_length=253)] = (
        None
    )
    security_context: Annotated[
        dict[str, Any] | None,
        Field(doc="Security context of the serving container.", preserve_unknown_fields=True),
    ] = None
    pod_security_context: Annotated[
        dict[str, Any] | None,
        Field(doc="Security context of serving Pods.", preserve_unknown_fields=True),
    ] = None
    unlabelled_pods: Annotated[
        UnlabelledPods | None,
        Field(doc="Pods that an earlier version of the operator made, until they are replaced."),
    ] = None
    prometheus_address: Annotated[
        str | None, Field(doc="Where KEDA asks for metrics, by the configuration.", max_length=512)
    ] = None
    rollout: Annotated[
        Rollout | None,
        Field(doc="How Pods are replaced, by the configuration."),
    ] = None
    routing: Annotated[
        ConfigRouting, Field(doc="Routing of the configuration.", preserve_unknown_fields=True)
    ] = ConfigRouting()
    restart: Annotated[
        str | None,
        Field(
            doc="Value of the annotation aim.silogen.ai/restart that the Pods were last replaced for; of a "
            "long one its hash.",
            max_length=64,
        ),
    ] = None
    mounts: Annotated[
        tuple[ActiveMount, ...] | None,
        Field(doc="Cached models that are mounted.", max_items=64, list_type="atomic"),
    ] = None


class AIMServiceStatus(Wire):
    """What was resolved, how far the service is, and where it is reached."""

    observed_generation: ObservedGeneration | None = None
    status: Annotated[
        str | None,
        Field(
            doc="Where the service is in its life. Degraded: something that it needs is missing or wrong. "
            "Stopped: it is scaled to zero.",
            enum=("Pending", "Starting", "Running", "Stopped", "Failed", "Degraded"),
        ),
    ] = None
    conditions: Conditions | None = None
    blocked_by: Blocked | None = None
    resolved_image: Annotated[ResolvedReference | None, Field(doc="Image that is used.")] = None
    resolved_template: Annotated[ResolvedReference | None, Field(doc="Template that is used.")] = None
    resolved_runtime_config: Annotated[
        ResolvedRuntimeConfig | None, Field(doc="Runtime configuration that is used.")
    ] = None
    active: Annotated[
        ActiveWorkload | None,
        Field(doc="What the service runs on, where a model server was started for it."),
    ] = None
    rollout: Annotated[
        RolloutStatus | None, Field(doc="What was decided for the last roll-out, if anything.")
    ] = None
    routing: Annotated[
        RoutingStatus | None, Field(doc="Where the service is reached through the gateway.")
    ] = None
    replicas: Annotated[int | None, Field(doc="Copies that there are, of any revision.", minimum=0)] = None
    desired_replicas: Annotated[
        int | None, Field(doc="Copies that are wanted now, by the spec or by an autoscaler.", minimum=0)
    ] = None
    ready_replicas: Annotated[int | None, Field(doc="Copies that answer requests.", minimum=0)] = None
    updated_replicas: Annotated[
        int | None, Field(doc="Copies of the current revision, ready or not.", minimum=0)
    ] = None
    selector: Annotated[
        str | None,
        Field(doc="Labels of the service's Pods, for autoscalers that read their metrics.", max_length=1024),
    ] = None
    template_matching: Annotated[
        tuple[TemplateCandidate, ...] | None,
        Field(doc="Templates weighed when none was named, best first.", max_items=64, list_type="atomic"),
    ] = None


class AIMService(KubeObject):
    spec: AIMServiceSpec
    status: AIMServiceStatus | None = None
