"""Where a model cache stands, before it is written down as a status. Made by listing, attempt and plan."""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Child, Removal
from aim_operator.api.v1alpha1 import CacheProgress, Download, Listing
from aim_operator.core.model_cache.report import Contents
from aim_operator.errors import ApiError


class Step(Struct, frozen=True, kw_only=True):
    """Where the cache stands, and what it asks for."""

    state: str
    reason: str
    message: str
    listing: Listing | None = None
    """None where it is unchanged."""
    download: Download | None = None
    progress: CacheProgress | None = None
    contents: Contents | None = None
    """What the listing or the download has just said; None where that is what it was."""
    started: bool = False
    """A download of these files is, or was, under way."""
    finished_at: str = ""
    children: tuple[Child, ...] = ()
    removals: tuple[Removal, ...] = ()
    requeue_after_seconds: float | None = None
    unread: ApiError | None = None
    """Why it has to be read again what the step depends on."""
    blocker: ObjectRef | None = None
    """The object that the cache waits for, or that is in its way, where it is one."""
