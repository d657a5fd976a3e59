"""Shapes that several of our kinds share."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import MOST_MESSAGE, Condition, Wire
from aim_operator.api.schema import Field, Rule

GROUP = "aim.silogen.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# Text, not Literal: what the CRD of a newer version allows must stay readable to this one.
Metric = Annotated[str, Field(enum=("latency", "throughput"))]
Precision = Annotated[str, Field(enum=("auto", "fp4", "fp8", "fp16", "fp32", "bf16", "int4", "int8"))]
Scope = Annotated[str, Field(enum=("Namespace", "Cluster"))]
SUBDOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

_OBJECT_NAME = Rule(
    rule=f"self.matches('^{SUBDOMAIN}$')",
    message="not an object's name; write lower-case letters, digits, '-' and '.', such as llama-3.1-8b",
)
ObjectName = Annotated[str, Field(min_length=1, max_length=253, rules=(_OBJECT_NAME,))]
"""The name of another object: a DNS subdomain, as Kubernetes has it."""


GpuModel = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        rules=(
            Rule(
                rule="self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
                message="write the bare model name, such as MI300X",
            ),
        ),
    ),
]


class GpuSelector(Wire):
    """GPUs of one replica."""

    count: Annotated[int | None, Field(doc="GPUs per replica.", minimum=1, maximum=1024)] = None
    model: Annotated[GpuModel | None, Field(doc="GPU model, such as MI300X.")] = None
    resource_name: Annotated[
        str | None,
        Field(
            doc="Resource that the GPUs are requested as, such as amd.com/cpx_nps4 for partitions; "
            "if unset, that of the model's vendor: amd.com/gpu or nvidia.com/gpu.",
            min_length=3,
            max_length=317,
            rules=(
                Rule(
                    rule=(
                        f"self.matches('^{SUBDOMAIN}/[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$')"
                        " && !self.contains('kubernetes.io/') && !self.startsWith('requests.')"
                    ),
                    message="write the full name that a device plugin offers, such as amd.com/gpu",
                ),
            ),
        ),
    ] = None


RuntimeConfigName = Annotated[
    ObjectName,
    Field(
        doc="Runtime configuration: an AIMRuntimeConfig, else an AIMClusterRuntimeConfig, of that name. "
        "If unset, it is inherited (service, template, image); if set nowhere, it is `default`."
    ),
]


class ResolvedReference(Wire):
    """An object that was used, and where it was found."""

    kind: Annotated[str, Field(doc="Kind of the object.", max_length=63)]
    name: Annotated[str, Field(doc="Name of the object.", max_length=253)]
    scope: Annotated[Scope, Field(doc="Where it was found: in a namespace, or cluster-wide.")]
    namespace: Annotated[
        str | None, Field(doc="Namespace of the object; unset for a cluster-wide one.", max_length=63)
    ] = None
    uid: Annotated[str | None, Field(doc="Uid of the object.", max_length=128)] = None
    hash: Annotated[
        str | None,
        Field(doc="Hash of its spec, where a change of it matters to what was rendered.", max_length=64),
    ] = None


class ResolvedRuntimeConfig(ResolvedReference):
    """A runtime configuration that was used; where there are two of the name, the namespace's."""

    from_cluster: Annotated[
        tuple[str, ...] | None,
        Field(
            doc="Fields of the spec, such as routing.gatewayRef or env[HF_TOKEN], that were taken from the "
            "AIMClusterRuntimeConfig of the same name. The others are this object's; the hash covers both.",
            max_items=32,
            list_type="atomic",
            value=Field(max_length=128),
        ),
    ] = None


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        doc="Conditions of the object, one per type, each with a reason and a message.",
        max_items=16,
        list_type="map",
        list_map_keys=("type",),
    ),
]
ObservedGeneration = Annotated[
    int,
    Field(doc="Generation of the spec that this status was computed from.", minimum=0, format="int64"),
]


class BlockedBy(Wire):
    """The object that this one waits for, or that is in its way; look there next."""

    kind: Annotated[
        str,
        Field(
            doc="Kind of the object, such as AIMServiceTemplate, Job or InferenceService.",
            min_length=1,
            max_length=63,
            pattern=r"^[A-Z][A-Za-z0-9]*$",
        ),
    ]
    name: Annotated[
        str,
        Field(
            doc="Its name; the reason says where there is none of that name.", min_length=1, max_length=253
        ),
    ]
    namespace: Annotated[
        str | None,
        Field(
            doc="Namespace of the object, where it has another than this one.", min_length=1, max_length=63
        ),
    ] = None
    reason: Annotated[
        str,
        Field(
            doc="Why it keeps this one from being ready: the reason of the condition Ready.",
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        ),
    ]
    since: Annotated[
        str | None, Field(doc="Since when it is this object that is waited for.", format="date-time")
    ] = None


Blocked = Annotated[
    BlockedBy,
    Field(
        doc="The object that this one waits for, or that is in its way; unset where there is none, or it is "
        "not known. The first hop of what `aimctl why` follows to its root."
    ),
]


class Attempts(Wire):
    """Bookkeeping of a Job that is tried until it succeeds."""

    spec_hash: Annotated[str | None, Field(doc="Hash of the inputs of the last attempt.", max_length=64)] = (
        None
    )
    attempts: Annotated[int | None, Field(doc="Failed attempts with these inputs.", minimum=0)] = None
    last_attempt_time: Annotated[
        str | None,
        Field(
            doc="When the last attempt ended; if it failed, by the clock that the next one waits by.",
            format="date-time",
        ),
    ] = None
    message: Annotated[
        str | None, Field(doc="Why the last attempt failed, or what it waits for.", max_length=MOST_MESSAGE)
    ] = None
    job_uid: Annotated[
        str | None,
        Field(
            doc="UID of the Job of the last attempt, if it failed: no failure is counted twice.",
            max_length=64,
        ),
    ] = None
