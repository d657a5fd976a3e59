"""How Pods of a service are replaced by those of a new revision."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule

_COUNT = Rule(
    rule="string(self).matches('^((0|[1-9][0-9]{0,3})|(0|[1-9][0-9]?|100)%)$')",
    message="write a number of Pods such as 1, or a share of the replicas such as 25%",
)


class Rollout(Wire):
    """How Pods are replaced by those of a new revision; the nearest level that says something decides."""

    RULES = (
        Rule(
            rule="!has(self.strategy) || self.strategy != 'Recreate'"
            " || !(has(self.maxSurge) || has(self.maxUnavailable))",
            message="with Recreate all old Pods go first; leave maxSurge and maxUnavailable out",
            field_path=".strategy",
        ),
        Rule(
            rule="!has(self.maxSurge) || !has(self.maxUnavailable)"
            " || !(string(self.maxSurge) in ['0', '0%'] && string(self.maxUnavailable) in ['0', '0%'])",
            message="with no Pod more and none fewer nothing could be replaced; raise this or maxUnavailable",
            field_path=".maxSurge",
        ),
    )

    strategy: Annotated[
        str | None,
        Field(
            doc="RollingUpdate starts new Pods before old ones go. Recreate has all old ones go first. Auto, "
            "which is the default, is RollingUpdate until the cluster has no room for a Pod beside the old "
            "ones: then they go first, one at a time.",
            enum=("Auto", "RollingUpdate", "Recreate"),
        ),
    ] = None
    max_surge: Annotated[
        int | str | None,
        Field(
            doc="Pods that there may be above the number of replicas, as a number or a share of them; "
            "Kubernetes' 25% if unset, which is at least one.",
            int_or_string=True,
            max_length=4,
            rules=(_COUNT,),
        ),
    ] = None
    max_unavailable: Annotated[
        int | str | None,
        Field(
            doc="Replicas that may be away, as a number or a share of them; Kubernetes' 25% if unset, which "
            "is none of up to three.",
            int_or_string=True,
            max_length=4,
            rules=(_COUNT,),
        ),
    ] = None
    progress_deadline_seconds: Annotated[
        int | None,
        Field(
            doc="How long a Pod of a new revision may take to become ready before the service says that its "
            "roll-out failed; without end if unset, but for one that has no room in the place of old ones: "
            "ten minutes. Nothing is stopped then.",
            minimum=30,
            maximum=86400,
        ),
    ] = None


class RolloutStatus(Wire):
    """What was decided for the roll-out to a revision."""

    revision: Annotated[str, Field(doc="Label aim.silogen.ai/revision of its Pods.", max_length=63)]
    strategy: Annotated[
        str,
        Field(doc="OldFirst: the cluster had no room for a Pod beside the old ones.", enum=("OldFirst",)),
    ]


class UnlabelledPods(Wire):
    """Where Pods are that don't tell it themselves: a version without the label made them."""

    revision: Annotated[str, Field(doc="Label aim.silogen.ai/revision of these Pods.", max_length=63)]
    placement: Annotated[
        str, Field(doc="What label aim.silogen.ai/placement would say on them.", max_length=63)
    ]
