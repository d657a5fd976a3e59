"""Security of serving Pods beyond their container: groups for devices and volumes."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field

Gid = Annotated[int, Field(minimum=0, maximum=2**31 - 1, format="int64")]


class PodSecurityContext(Wire):
    """Security context of serving Pods; the fields of Kubernetes' own, by the same names."""

    supplemental_groups: Annotated[
        tuple[Gid, ...] | None,
        Field(
            doc="Groups of all processes beside their own, such as those that may open the GPU's devices.",
            max_items=32,
            list_type="atomic",
        ),
    ] = None
    fs_group: Annotated[
        int | None,
        Field(
            doc="Group that volumes with such an owner are given to, and a group of all processes.",
            minimum=0,
            maximum=2**31 - 1,
            format="int64",
        ),
    ] = None
    fs_group_change_policy: Annotated[
        str | None,
        Field(doc="When volumes are given to fsGroup; Always if unset.", enum=("OnRootMismatch", "Always")),
    ] = None
