"""AIMService: one running, routed model."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import (
    Conditions,
    EnvVars,
    GatewayRef,
    GpuSelector,
    Metric,
    ObjectName,
    ObservedGeneration,
    Precision,
    PullSecrets,
    ResolvedReference,
    ResourceRequirements,
    RouteTemplate,
    RuntimeConfigName,
    Scope,
)


class Overrides(Wire):
    """What this service wants different from its template; a derived template carries it."""

    metric: Annotated[Metric | UnsetType, Field(doc="What to optimise for.")] = UNSET
    precision: Annotated[Precision | UnsetType, Field(doc="Numeric precision of inference.")] = UNSET
    gpu_selector: Annotated[GpuSelector | UnsetType, Field(doc="GPUs of one replica.")] = UNSET


class ServiceRouting(Wire):
    """How the service is reached through a Gateway."""

    enabled: Annotated[
        bool | UnsetType, Field(doc="Create an HTTPRoute; the runtime configuration decides if unset.")
    ] = UNSET
    gateway_ref: Annotated[GatewayRef | UnsetType, Field(doc="Gateway to attach to.")] = UNSET
    annotations: Annotated[
        dict[str, str] | UnsetType,
        Field(
            doc="Annotations for the HTTPRoute.",
            max_properties=64,
            value=Field(max_length=16384),
            rules=(
                Rule(
                    rule=(
                        "self.all(k, k.size() <= 317 && k.matches("
                        r"'^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))"
                    ),
                    message="routing.annotations: each key must be [prefix/]name, such as example.com/team",
                ),
                Rule(
                    rule="self.all(k, !k.startsWith('aim.silogen.ai/'))",
                    message="routing.annotations: keys of aim.silogen.ai/ belong to the operator; use another prefix",
                ),
            ),
        ),
    ] = UNSET
    route_template: RouteTemplate | UnsetType = UNSET
    request_timeout: Annotated[
        str | UnsetType,
        Field(
            doc="Gateway API duration, such as 30s or 5m.",
            max_length=32,
            rules=(
                Rule(
                    rule=r"self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')",
                    message="routing.requestTimeout: write a Gateway API duration such as 30s, 5m or 1h30m",
                ),
            ),
        ),
    ] = UNSET


class AIMServiceSpec(Wire):
    RULES = (
        Rule(
            rule="has(self.model) || has(self.aimImageName)",
            message="spec.model: required; write the name of an AIMImage or AIMClusterImage",
        ),
        Rule(
            rule="!has(self.model) || !has(self.aimImageName) || self.model == self.aimImageName",
            message="spec.aimImageName is an alias of spec.model; set one of them, or both to the same name",
        ),
    )

    model: Annotated[
        ObjectName | UnsetType, Field(doc="Model to serve: the name of an AIMImage or AIMClusterImage.")
    ] = UNSET
    aim_image_name: Annotated[ObjectName | UnsetType, Field(doc="Alias of model.")] = UNSET
    template_ref: Annotated[
        ObjectName | UnsetType,
        Field(doc="Template; the image's default, else the best available one, if unset."),
    ] = UNSET
    runtime_config_name: RuntimeConfigName | UnsetType = UNSET
    replicas: Annotated[int, Field(doc="Replicas to run.", minimum=1, maximum=1000, default=1)] = 1
    resources: Annotated[
        ResourceRequirements | UnsetType, Field(doc="Resources of one replica; override template and image.")
    ] = UNSET
    overrides: Annotated[Overrides | UnsetType, Field(doc="Differences from the template.")] = UNSET
    env: Annotated[EnvVars | UnsetType, Field(doc="Environment of the model server.")] = UNSET
    image_pull_secrets: Annotated[
        PullSecrets | UnsetType, Field(doc="Secrets to pull the model image with.")
    ] = UNSET
    cache_model: Annotated[
        bool | UnsetType, Field(doc="Download the model to a volume before starting; off if unset.")
    ] = UNSET
    routing: Annotated[ServiceRouting | UnsetType, Field(doc="Routing through a Gateway.")] = UNSET


class RoutingStatus(Wire):
    path: Annotated[str | UnsetType, Field(doc="URL path prefix of the service.")] = UNSET


class TemplateCandidate(Wire):
    """A template that was weighed when none was named."""

    name: str
    scope: Scope
    chosen: bool = False
    reason: Annotated[str | UnsetType, Field(doc="Why it was chosen, or why not.")] = UNSET


class AIMServiceStatus(Wire):
    observed_generation: ObservedGeneration | UnsetType = UNSET
    status: Annotated[str | UnsetType, Field(doc="Pending, Starting, Running, Failed or Degraded.")] = UNSET
    conditions: Conditions | UnsetType = UNSET
    resolved_image: Annotated[ResolvedReference | UnsetType, Field(doc="Image that is used.")] = UNSET
    resolved_template: Annotated[ResolvedReference | UnsetType, Field(doc="Template that is used.")] = UNSET
    resolved_runtime_config: Annotated[
        ResolvedReference | UnsetType, Field(doc="Runtime configuration that is used.")
    ] = UNSET
    routing: Annotated[RoutingStatus | UnsetType, Field(doc="Where the service is reached.")] = UNSET
    template_matching: Annotated[
        tuple[TemplateCandidate, ...] | UnsetType,
        Field(doc="Templates weighed when none was named, best first.", max_items=64),
    ] = UNSET


class AIMService(KubeObject):
    spec: AIMServiceSpec
    status: AIMServiceStatus | UnsetType = UNSET
