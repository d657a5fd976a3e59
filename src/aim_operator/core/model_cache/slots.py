"""Download slots: which Jobs hold one. Who gets the next is decided in core/template/slots.py."""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.external import Job
from aim_operator.api.v1alpha1 import AIMModelCache, AIMModelCacheStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.jobs.readings import finished, is_suspended
from aim_operator.core.naming import is_download_job_name


class DownloadSlot(Struct, frozen=True, kw_only=True):
    """Whether a download may begin; if not, how many caches of its namespace come before it."""

    granted: bool
    limit: int = 0
    ahead: int = 0

    @property
    def message(self) -> str:
        """Say what is waited for."""
        text = f"waiting for one of {self.limit} download slots, which namespaces get in turn"
        if not self.ahead:
            return f"{text}; the first of its namespace"
        many = self.ahead != 1
        return f"{text}; {self.ahead} of its namespace {'come' if many else 'comes'} before"


GRANTED = DownloadSlot(granted=True)


def holds_slot(cache: AIMModelCache, job: Job) -> bool:
    """Whether a Job is an unfinished download of this cache that gets somewhere.

    Users of a namespace can write any labels and owner references, so it must have the name of one. One that
    is suspended runs nothing; of one whose Pod something keeps from starting, the cache says that it is
    Degraded, and it must not hold up others for as long as that lasts. One whose Pod runs goes on, whatever
    its cache has lost meanwhile: the configuration, or the claim.
    """
    metadata, owner = job.metadata, job.metadata.controller()
    state = (cache.status or AIMModelCacheStatus()).status
    return (
        owner is not None
        and owner.uid == cache.metadata.uid
        and metadata.namespace == cache.metadata.namespace
        and is_download_job_name(metadata.name, cache.metadata.name)
        and metadata.deletion_timestamp is None
        and not finished(job)
        and not is_suspended(job)
        and state != State.AVAILABLE
        and (state != State.DEGRADED or (job.status.ready or 0) > 0)
    )


def says_that_it_waits(cache: AIMModelCache) -> bool:
    """Whether the cache waited for a slot when its status was written last."""
    ready = conditions.find((cache.status or AIMModelCacheStatus()).conditions or (), c.READY)
    return ready is not None and ready.reason == Reason.AWAITING_DOWNLOAD_SLOT
