"""Everything that deciding about a model cache reads: one frozen snapshot."""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.external import Job, PersistentVolumeClaim, Pod, StorageClass
from aim_operator.api.v1alpha1 import AIMModelCache
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from aim_operator.core.hardware import NodeGpus
from aim_operator.core.jobs.at_work import AtWork
from aim_operator.core.model_cache.allowance import Allowance
from aim_operator.core.model_cache.report import Progress
from aim_operator.core.model_cache.slots import GRANTED, DownloadSlot
from aim_operator.errors import ApiError


class ModelCacheObserved(Struct, frozen=True, kw_only=True):
    """`claim`, `jobs` and `listing_jobs` are ours."""

    cache: AIMModelCache
    runtime_config: RuntimeConfig | MissingRuntimeConfig
    claim: PersistentVolumeClaim | None = None
    claim_unread: ApiError | None = None
    """Why a claim that is not the operator's could not be looked up: what was known of it stays."""
    left_behind: PersistentVolumeClaim | None = None
    """A claim that the operator made for a cache of this name and that has no owner: out of a backup."""
    superseded: PersistentVolumeClaim | None = None
    """The cache's own, that was made before `claim` came out of a backup: nothing on it is whole."""
    nodes: frozenset[NodeGpus] = frozenset()
    """What the labels of the nodes there are say about GPUs."""
    storage_class: StorageClass | None = None
    """The class of the live claim; None where it has none, or none of that name exists."""
    provisioning_failure: str = ""
    """What the provisioner last said; only an event of the claim carries it."""
    allowance: Allowance | None = None
    """What the storage budget says to the claim that is asked for; None where there is none, or no claim."""
    in_use: bool = True
    """Whether a template cache needs it, or a model server mounts its claim, as far as is known."""
    jobs: tuple[Job, ...] = ()
    """Downloads."""
    listing_jobs: tuple[Job, ...] = ()
    at_work: tuple[AtWork, ...] = ()
    """Those of both that are, whichever version made them."""
    slot: DownloadSlot = GRANTED
    """Asked for only where the next step is to create the download Job."""
    pods: tuple[Pod, ...] = ()
    """Of the Job of the current inputs."""
    refusal: str = ""
    """Why the Job controller may not create the Job's Pod: the last FailedCreate event's message."""
    unread: ApiError | None = None
    """Why the Pods of the finished Job could not be looked up this time."""
    progress: Progress | None = None
    """What the running download last said about itself in its log."""
