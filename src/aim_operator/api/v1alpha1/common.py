"""Shapes that several of our kinds share."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import Condition, Wire
from aim_operator.api.schema import Field, Rule

GROUP = "aim.silogen.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

Metric = Literal["latency", "throughput"]
Precision = Literal["auto", "fp4", "fp8", "fp16", "fp32", "bf16", "int4", "int8"]
Scope = Literal["Namespace", "Cluster"]
Quantity = str | int | float
"""A Kubernetes quantity; the API takes `"4"`, `4` and `"500m"` alike."""

SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)]
"""The name of another object: lower-case letters, digits, '-' and '.'."""

QUANTITY_RULES = (
    Rule(
        rule="isQuantity(string(self))",
        message="not a quantity; write a number with an optional suffix, such as 4, 500m or 64Gi",
    ),
    Rule(
        rule="!isQuantity(string(self)) || !quantity(string(self)).isLessThan(quantity('0'))",
        message="a quantity can't be negative; write 0 or more",
    ),
)
Quantities = Annotated[
    dict[str, Quantity],
    Field(max_properties=32, value=Field(int_or_string=True, max_length=64, rules=QUANTITY_RULES)),
]

# Values that are no quantities are left to the rule at the value, which names them.
_ABOVE_LIMIT = (
    "k in self.limits && isQuantity(string(self.requests[k])) && isQuantity(string(self.limits[k]))"
    " && quantity(string(self.requests[k])).isGreaterThan(quantity(string(self.limits[k])))"
)


class ResourceRequirements(Wire):
    """Compute resources of the serving container, per replica."""

    RULES = (
        Rule(
            rule=f"!has(self.requests) || !has(self.limits) || !self.requests.exists(k, {_ABOVE_LIMIT})",
            message="a request can't be above the limit of the same quantity; lower it or raise the limit",
            message_expression=(
                f"'requests cannot be above limits: ' + self.requests.filter(k, {_ABOVE_LIMIT})[0]"
                " + '; lower the request or raise the limit'"
            ),
        ),
    )

    requests: Annotated[
        Quantities | UnsetType, Field(doc="What the scheduler reserves: cpu, memory, amd.com/gpu …")
    ] = UNSET
    limits: Annotated[Quantities | UnsetType, Field(doc="What the container may use at most.")] = UNSET


class SecretKeySelector(Wire):
    name: Annotated[ObjectName, Field(doc="Name of the object in the same namespace.")]
    key: Annotated[str, Field(doc="Key within the object.", min_length=1, max_length=253)]
    optional: Annotated[
        bool | UnsetType, Field(doc="True lets the container start without the object or key.")
    ] = UNSET


class ObjectFieldSelector(Wire):
    field_path: Annotated[str, Field(doc="Pod field, such as metadata.name.", min_length=1, max_length=253)]
    api_version: Annotated[str | UnsetType, Field(doc="Version that fieldPath is written in.")] = UNSET


class ResourceFieldSelector(Wire):
    resource: Annotated[str, Field(doc="Resource, such as limits.cpu.", min_length=1, max_length=253)]
    container_name: Annotated[str | UnsetType, Field(doc="Container; this one if unset.")] = UNSET
    divisor: Annotated[
        Quantity | UnsetType, Field(doc="Unit of the value, such as 1Mi.", int_or_string=True)
    ] = UNSET


class EnvVarSource(Wire):
    """Where an environment variable's value comes from: exactly one of the four."""

    RULES = (
        Rule(
            rule=(
                "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), "
                "has(self.resourceFieldRef)].filter(x, x).size() == 1"
            ),
            message="valueFrom: set exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef",
        ),
    )

    secret_key_ref: Annotated[SecretKeySelector | UnsetType, Field(doc="A key of a Secret.")] = UNSET
    config_map_key_ref: Annotated[SecretKeySelector | UnsetType, Field(doc="A key of a ConfigMap.")] = UNSET
    field_ref: Annotated[ObjectFieldSelector | UnsetType, Field(doc="A field of the Pod.")] = UNSET
    resource_field_ref: Annotated[
        ResourceFieldSelector | UnsetType, Field(doc="A resource of the container.")
    ] = UNSET


class EnvVar(Wire):
    """One environment variable: a literal value, or a reference. Secrets are only referenced, never read."""

    RULES = (
        Rule(
            rule="!(has(self.value) && has(self.valueFrom))",
            message="env: value and valueFrom exclude each other; keep one of them",
        ),
    )

    name: Annotated[
        str,
        Field(
            doc="Variable name.",
            min_length=1,
            max_length=256,
            rules=(
                Rule(
                    rule="self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",
                    message="env name: use letters, digits, '-', '_' and '.', and do not start with a digit",
                ),
            ),
        ),
    ]
    value: Annotated[str | UnsetType, Field(doc="Literal value.", max_length=32768)] = UNSET
    value_from: Annotated[EnvVarSource | UnsetType, Field(doc="Reference to take the value from.")] = UNSET


EnvVars = Annotated[
    tuple[EnvVar, ...],
    Field(max_items=128, list_type="map", list_map_keys=("name",)),
]


class LocalObjectReference(Wire):
    name: Annotated[ObjectName, Field(doc="Name of a Secret in the same namespace.")]


PullSecrets = Annotated[
    tuple[LocalObjectReference, ...],
    Field(max_items=32, list_type="map", list_map_keys=("name",)),
]


class GpuSelector(Wire):
    """GPUs of one replica."""

    count: Annotated[int | UnsetType, Field(doc="GPUs per replica.", minimum=1, maximum=1024)] = UNSET
    model: Annotated[
        str | UnsetType,
        Field(
            doc="GPU model, such as MI300X.",
            min_length=1,
            max_length=63,
            rules=(
                Rule(
                    rule="self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
                    message="gpuSelector.model: write the bare model name, such as MI300X",
                ),
            ),
        ),
    ] = UNSET


class GatewayRef(Wire):
    """A Gateway API ParentReference."""

    name: Annotated[ObjectName, Field(doc="Name of the Gateway.")]
    namespace: Annotated[
        str | UnsetType,
        Field(
            doc="Its namespace; the service's own if unset.",
            min_length=1,
            max_length=63,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        ),
    ] = UNSET
    group: Annotated[
        str | UnsetType,
        Field(
            doc="API group of the parent; gateway.networking.k8s.io if unset.",
            max_length=253,
            pattern=r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ] = UNSET
    kind: Annotated[
        str | UnsetType,
        Field(
            doc="Kind of the parent; Gateway if unset.",
            min_length=1,
            max_length=63,
            pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
        ),
    ] = UNSET
    section_name: Annotated[
        str | UnsetType,
        Field(doc="Listener of the Gateway; all if unset.", min_length=1, max_length=253, pattern=SUBDOMAIN),
    ] = UNSET
    port: Annotated[
        int | UnsetType, Field(doc="Port of the Gateway; all if unset.", minimum=1, maximum=65535)
    ] = UNSET


RouteTemplate = Annotated[
    str,
    Field(
        doc=(
            "URL path prefix. {…} holds a Kubernetes JSONPath on the AIMService, such as "
            "/{.metadata.namespace}/{.metadata.labels['team']}/{.spec.model}."
        ),
        min_length=1,
        max_length=1024,
        rules=(
            Rule(
                rule=r"!self.matches('[\\x00-\\x1f\\x7f]')",
                message="routeTemplate: control characters are not allowed; remove them",
            ),
        ),
    ),
]

RuntimeConfigName = Annotated[
    str,
    Field(
        doc="Runtime configuration; inherited (service, template, image), else `default`, if unset.",
        min_length=1,
        max_length=253,
        pattern=SUBDOMAIN,
    ),
]


class ResolvedReference(Wire):
    """An object that was used, and where it was found."""

    kind: str
    name: str
    scope: Scope
    namespace: str | UnsetType = UNSET
    uid: str | UnsetType = UNSET
    hash: Annotated[
        str | UnsetType, Field(doc="Hash of its spec, where a change of it matters to what was rendered.")
    ] = UNSET


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        doc="What is going on, and why not. One entry per type.",
        max_items=32,
        list_type="map",
        list_map_keys=("type",),
    ),
]
ObservedGeneration = Annotated[
    int, Field(doc="Generation of the spec that this status was computed from.", format="int64")
]
