"""Environment variables and pull secrets. Secrets are only referenced, never read."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import ObjectName
from aim_operator.api.v1alpha1.resources import QUANTITY_RULES, Quantity

_NO_TEMPLATE = Rule(
    rule="!self.contains('{{')",
    message=(
        "KServe would expand '{{' as a Go template; put the value into a ConfigMap and refer to it "
        "with valueFrom.configMapKeyRef"
    ),
)
"""KServe executes the model server's container, as JSON, as a Go template: docs/adr/0007."""


class KeySelector(Wire):
    """A key of a Secret or ConfigMap in the same namespace."""

    name: Annotated[ObjectName, Field(doc="Name of the object.")]
    key: Annotated[
        str,
        Field(
            doc="Key within the object.",
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule="self.matches('^[-._a-zA-Z0-9]+$')",
                    message="not a key of an object; write letters, digits, '-', '_' and '.'",
                ),
            ),
        ),
    ]
    optional: Annotated[
        bool | UnsetType, Field(doc="True lets the container start without the object or key.")
    ] = UNSET


class ObjectFieldSelector(Wire):
    """A field of the Pod that the variable is set in."""

    field_path: Annotated[
        str,
        Field(
            doc="Pod field, such as metadata.name.",
            min_length=1,
            max_length=320,
            rules=(
                Rule(
                    rule=(
                        "self.matches('^(metadata[.](name|namespace|uid|(labels|annotations)[[].+[]])"
                        "|spec[.](nodeName|serviceAccountName)|status[.](hostIPs?|podIPs?))$')"
                    ),
                    message=(
                        "Pods don't tell that; write metadata.name, metadata.namespace, metadata.uid, "
                        "metadata.labels['key'], spec.nodeName, status.podIP or the like"
                    ),
                ),
                Rule(rule="!self.contains('{{')", message="no label or annotation has '{{' in its key"),
            ),
        ),
    ]
    api_version: Annotated[
        str | UnsetType, Field(doc="Version that fieldPath is written in; v1 if unset.", max_length=63)
    ] = UNSET


class ResourceFieldSelector(Wire):
    """A request or limit of the container that the variable is set in."""

    resource: Annotated[
        str,
        Field(
            doc="Resource, such as limits.cpu.",
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule=(
                        "self.matches('^(limits|requests)[.]"
                        "(cpu|memory|ephemeral-storage|hugepages-[1-9][0-9]*[KMG]i)$')"
                    ),
                    message="write limits.cpu, limits.memory, requests.cpu, requests.memory or the like",
                ),
            ),
        ),
    ]
    container_name: Annotated[
        str | UnsetType,
        Field(
            doc="Name of the container; this one if unset.",
            max_length=63,
            rules=(
                Rule(
                    rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                    message="not a container's name; write lower-case letters, digits and '-'",
                ),
            ),
        ),
    ] = UNSET
    divisor: Annotated[
        Quantity | UnsetType,
        Field(doc="Unit of the value, such as 1Mi.", int_or_string=True, max_length=64, rules=QUANTITY_RULES),
    ] = UNSET


class EnvVarSource(Wire):
    """Where an environment variable's value comes from: exactly one of the four."""

    RULES = (
        Rule(
            rule=(
                "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), "
                "has(self.resourceFieldRef)].filter(x, x).size() == 1"
            ),
            message="set exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
        ),
    )

    secret_key_ref: Annotated[KeySelector | UnsetType, Field(doc="A key of a Secret.")] = UNSET
    config_map_key_ref: Annotated[KeySelector | UnsetType, Field(doc="A key of a ConfigMap.")] = UNSET
    field_ref: Annotated[ObjectFieldSelector | UnsetType, Field(doc="A field of the Pod.")] = UNSET
    resource_field_ref: Annotated[
        ResourceFieldSelector | UnsetType, Field(doc="A resource of the container.")
    ] = UNSET


class EnvVar(Wire):
    """One environment variable: a literal value, or a reference. Secrets are only referenced, never read."""

    RULES = (
        Rule(
            rule="!(has(self.value) && has(self.valueFrom))",
            message="value and valueFrom exclude each other; keep one of them",
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
                    message="write letters, digits, '-', '_' and '.', the first no digit, such as HF_TOKEN",
                ),
            ),
        ),
    ]
    value: Annotated[
        str | UnsetType, Field(doc="Literal value.", max_length=32768, rules=(_NO_TEMPLATE,))
    ] = UNSET
    value_from: Annotated[EnvVarSource | UnsetType, Field(doc="Reference to take the value from.")] = UNSET


EnvVars = Annotated[
    tuple[EnvVar, ...],
    Field(max_items=128, list_type="map", list_map_keys=("name",)),
]


class LocalObjectReference(Wire):
    """A Secret in the same namespace."""

    name: Annotated[ObjectName, Field(doc="Name of the Secret.")]


PullSecrets = Annotated[
    tuple[LocalObjectReference, ...],
    Field(max_items=32, list_type="map", list_map_keys=("name",)),
]
