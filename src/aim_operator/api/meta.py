"""What every Kubernetes object shares: metadata, conditions, references, and absent fields.

Optional fields are None where they are absent or null, and are left out when encoded (omit_defaults:
so a field whose zero means something, such as `replicas: 0`, defaults to None and to nothing else).
Manifests that we apply are plain dicts, in which an absent key gives the field up.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, dataclass_transform

import msgspec
from msgspec import Struct

from aim_operator.api.schema import Field


class _WireMeta(msgspec.StructMeta):
    """msgspec inherits every option of a Struct but kw_only; ours is inherited too."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        options.setdefault("kw_only", True)
        return super().__new__(mcls, name, bases, namespace, **options)


# Type checkers do not inherit options either, so the base states them once for all shapes.
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Wire(
    Struct, metaclass=_WireMeta, frozen=True, kw_only=True, rename="camel", gc=False, omit_defaults=True
):
    """Base of every shape read from or written to the API server. Unknown fields are tolerated.

    What is decoded holds no cycles: the garbage collector need not look at it.
    """


UNREADABLE = (msgspec.DecodeError, RecursionError)
"""What decoding raises for what others wrote: no JSON, not of the type, or nested a thousand levels deep."""

MOST_MESSAGE = 4096
"""Characters of a message in a status. People read them, and they quote what others wrote."""


class OwnerReference(Wire):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Wire):
    """metadata, without managedFields: they outweigh the rest and we decide nothing by them."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None
    finalizers: tuple[str, ...] | None = None

    def label(self, name: str) -> str | None:
        return (self.labels or {}).get(name)

    def annotation(self, name: str) -> str | None:
        return (self.annotations or {}).get(name)

    def controller(self) -> OwnerReference | None:
        """The owner that controls this object, or None."""
        for owner in self.owner_references or ():
            if owner.controller is True:
                return owner
        return None


class _Anything(Struct):
    metadata: Any = None


def lenient_metadata(body: bytes | msgspec.Raw) -> ObjectMeta:
    """Return what can be read of an object's metadata, however little of it fits. Never raises."""
    try:
        metadata = msgspec.json.decode(body, type=_Anything).metadata
    except msgspec.DecodeError:
        metadata = None
    if not isinstance(metadata, dict):
        return ObjectMeta()
    try:
        return msgspec.convert(metadata, ObjectMeta)
    except msgspec.ValidationError:
        texts = {name: metadata.get(name) for name in ("name", "namespace", "uid", "resourceVersion")}
        return msgspec.convert({n: text for n, text in texts.items() if isinstance(text, str)}, ObjectMeta)


class Condition(Wire, omit_defaults=False):
    """metav1.Condition. `last_transition_time` moves only when `status` does."""

    type: Annotated[
        str,
        Field(
            doc="What the condition is about, such as Ready.",
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    status: Annotated[str, Field(doc="Whether it holds.", enum=("True", "False", "Unknown"))]
    reason: Annotated[
        str,
        Field(
            doc="Why, in one CamelCase word for programs.",
            required=True,
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        ),
    ] = ""
    message: Annotated[
        str, Field(doc="Why, in words for people.", required=True, max_length=MOST_MESSAGE)
    ] = ""
    last_transition_time: Annotated[
        str | None, Field(doc="When status last changed.", required=True, format="date-time")
    ] = None
    observed_generation: Annotated[
        int | None,
        Field(doc="Generation of the spec that this was computed from.", minimum=0, format="int64"),
    ] = None


class KubeObject(Wire):
    """Any object, as far as everybody needs it; the base of every typed view."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)


class ObjectRef(NamedTuple):
    """The key of an object: what queues hold and triggers produce. `namespace` is "" for cluster kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


Manifest = dict[str, Any]
"""An object as we send it: plain JSON values."""

Patch = Manifest | list[Manifest]
"""A JSON merge patch (RFC 7386); a list is a JSON patch (RFC 6902), which alone can set nulls."""
