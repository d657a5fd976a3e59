"""What a runtime configuration says about the Jobs of discovery and downloads."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.resources import QUANTITY_RULES, Quantity, ResourceRequirements
from aim_operator.api.v1alpha1.scheduling import PodSettings, Scheduling

JobAmounts = Annotated[
    dict[str, Quantity],
    Field(
        max_properties=3,
        value=Field(int_or_string=True, max_length=64, rules=QUANTITY_RULES),
        rules=(
            Rule(
                rule="self.all(k, k.size() <= 317 && k in ['cpu', 'memory', 'ephemeral-storage'])",
                message="write cpu, memory or ephemeral-storage; these Jobs use no devices",
            ),
        ),
    ),
]


class JobResources(Wire):
    """Compute resources of a Job's container."""

    RULES = ResourceRequirements.RULES[:1]

    requests: Annotated[JobAmounts | None, Field(doc="What the scheduler reserves.")] = None
    limits: Annotated[JobAmounts | None, Field(doc="What the container may use at most.")] = None


class JobSettings(Wire):
    """Resources and deadline of one kind of Job."""

    resources: Annotated[
        JobResources | None,
        Field(
            doc="Compute resources of its container, over the operator's own requests and limits, resource "
            "by resource."
        ),
    ] = None
    deadline_seconds: Annotated[
        int | None,
        Field(
            doc="How long an attempt may run, from the start of its container: 600 for discovery, 86400 (a "
            "day) for downloads if unset. The next attempt of a download continues where this one stopped.",
            minimum=60,
            maximum=604800,
            format="int32",
        ),
    ] = None


Id = Annotated[int, Field(minimum=0, maximum=2**31 - 1, format="int64")]


class JobSecurityContext(Wire):
    """Who the Pods of Jobs run as; the fields of a Pod's own, by the same names."""

    RULES = (
        Rule(
            rule=(
                "!(has(self.runAsNonRoot) && self.runAsNonRoot && has(self.runAsUser) && self.runAsUser == 0)"
            ),
            message="0 is root, which runAsNonRoot refuses; write another uid or drop runAsNonRoot",
            field_path=".runAsUser",
        ),
    )

    run_as_user: Annotated[Id | None, Field(doc="Uid to run as; the platform chooses if unset.")] = None
    run_as_group: Annotated[Id | None, Field(doc="Gid to run as; the platform chooses if unset.")] = None
    run_as_non_root: Annotated[
        bool | None, Field(doc="Refuse to start as uid 0; true if unset, unless runAsUser is 0.")
    ] = None
    fs_group: Annotated[
        Id | None,
        Field(doc="Group that the volumes of downloads are given to, where their driver can do that."),
    ] = None
    fs_group_change_policy: Annotated[
        str | None, Field(doc="When they are; Always if unset.", enum=("OnRootMismatch", "Always"))
    ] = None
    supplemental_groups: Annotated[
        tuple[Id, ...] | None,
        Field(doc="Groups beside that, such as the one of an export.", max_items=16, list_type="atomic"),
    ] = None


class Jobs(Wire):
    """How discovery and downloads are run. Nothing is inherited from what is said about model servers."""

    scheduling: Annotated[Scheduling | None, Field(doc="Where their Pods may run.")] = None
    pods: Annotated[
        PodSettings | None,
        Field(
            doc="Labels, annotations and so on of their Pods. The Jobs have the labels and annotations, too: "
            "queues look there."
        ),
    ] = None
    security_context: Annotated[
        JobSecurityContext | None,
        Field(
            doc="Who their Pods run as. If unset, uid and gid 65532, which is the fsGroup of downloads, too. "
            "If set, even to {}, only what is in it: the platform may choose the rest, as on OpenShift."
        ),
    ] = None
    discovery: Annotated[JobSettings | None, Field(doc="The Job that asks an image what it serves.")] = None
    download: Annotated[JobSettings | None, Field(doc="The Jobs that list and download models.")] = None
