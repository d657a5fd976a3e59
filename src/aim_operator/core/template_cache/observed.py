"""Everything that deciding about a template cache reads: one frozen snapshot."""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.v1alpha1 import (
    AIMModelCache,
    AIMService,
    AIMTemplateCache,
    ModelSource,
    Scheduling,
)
from aim_operator.core.catalog import Image, MissingRuntimeConfig, RuntimeConfig, Template


class SourceObserved(Struct, frozen=True, kw_only=True):
    """One model source, and the model cache of it, whoever made that."""

    source: ModelSource
    name: str
    """Of the model cache that is made if there is none."""
    cache: AIMModelCache | None = None
    senior: bool = True
    """No older template cache needs this model cache: the references of that one are ours to keep."""
    unshared: str = ""
    """The name of a model cache of the source that a user made and does not share; "" where there is none."""
    taken: bool = False
    """The name that its cache would have belongs to a cache of something else."""


class TemplateCacheObserved(Struct, frozen=True, kw_only=True):
    cache: AIMTemplateCache
    template: Template | None
    image: Image | None
    """The catalog entry of the template: the name of the configuration may come from it."""
    runtime_config: RuntimeConfig | MissingRuntimeConfig
    service: AIMService | None = None
    """Whose environment and configuration the operator's own template cache takes for its downloads: of the
    services that ask for it, the oldest that has any."""
    served: Scheduling | None = None
    """Where the oldest service that asks for the operator's own template cache, and says so, is to run."""
    sources: tuple[SourceObserved, ...] = ()
    requested: bool = True
    """Of one that the operator made: whether its template or a service still asks for it."""
