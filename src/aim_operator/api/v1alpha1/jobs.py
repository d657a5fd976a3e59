"""What a runtime configuration says about the Jobs of discovery and downloads."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field
from aim_operator.api.v1alpha1.resources import ResourceRequirements
from aim_operator.api.v1alpha1.scheduling import PodSettings, Scheduling


class JobSettings(Wire):
    """Resources and deadline of one kind of Job."""

    resources: Annotated[
        ResourceRequirements | None,
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


class Jobs(Wire):
    """How discovery and downloads are run. Nothing is inherited from what is said about model servers."""

    scheduling: Annotated[Scheduling | None, Field(doc="Where their Pods may run.")] = None
    pods: Annotated[PodSettings | None, Field(doc="Labels, annotations and so on of their Pods.")] = None

    discovery: Annotated[JobSettings | None, Field(doc="The Job that asks an image what it serves.")] = None
    download: Annotated[JobSettings | None, Field(doc="The Jobs that list and download models.")] = None
