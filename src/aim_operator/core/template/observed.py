"""Everything that deciding about a template reads: one frozen snapshot."""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.external import Job, Pod
from aim_operator.api.v1alpha1 import AIMTemplateCache
from aim_operator.core.catalog import Image, MissingRuntimeConfig, RuntimeConfig, Template
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.hardware import NodeGpus
from aim_operator.errors import ApiError


class Slot(Struct, frozen=True, kw_only=True):
    """Whether a discovery Job may be created now."""

    granted: bool
    limit: int = 0


class OutputUnreadable(Struct, frozen=True):
    """A finished Job whose output gave no result. `reason` is the condition reason."""

    reason: str
    message: str


class TemplateObserved(Struct, frozen=True, kw_only=True):
    """`runtime_config` is resolved in `discovery_namespace`. `pods` belong to the current Job."""

    template: Template
    image: Image | None
    runtime_config: RuntimeConfig | MissingRuntimeConfig
    discovery_namespace: str
    digest: str
    """Hash of the discovery inputs; "" while image or configuration are missing."""
    jobs: tuple[Job, ...] = ()
    pods: tuple[Pod, ...] = ()
    refusal: str = ""
    """Why the Job controller may not create the Job's Pod: the last FailedCreate event's message."""
    slot: Slot = Slot(granted=True)
    output: DiscoveryResult | OutputUnreadable | None = None
    """What the finished current Job printed; None where it was not needed."""
    unread: ApiError | None = None
    """Why the Pods or the log of the finished current Job could not be read this time."""
    kserve_installed: bool = True
    writable: bool = True
    """False for a cluster template seen by an instance limited to namespaces: look, don't touch."""
    template_cache: AIMTemplateCache | None = None
    """The one that serves this template in its namespace; asked for caching templates only."""
    template_cache_taken: bool = False
    """The name that the operator's template cache would have belongs to one of another template."""
    in_use: bool = True
    """Whether a service resolves to it or runs on it; asked of derived templates only."""
    use_unseen: bool = False
    """The API server says so, and the cache does not, nor will it tell when that is over: ask again."""
    use_unknown: ApiError | None = None
    """Why the API server did not say whether something runs on it: then it counts as in use, and stays."""
    gpu_models: frozenset[NodeGpus] = frozenset()
    """The GPU labels of every kind of node that there is."""
    nodes_known: bool = True
