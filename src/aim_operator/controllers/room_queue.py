"""What the claims of each namespace have taken of its storage budget, and which caches wait for room.

Both follow from the stores, and are kept up to date as objects change: to look at each of some thousand
caches whenever one of them asks would keep the event loop from all others for minutes. Called by
storage_budget.py.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence, Sized

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.v1alpha1 import (
    MODEL_CACHES,
    AIMClusterRuntimeConfig,
    AIMModelCache,
    AIMModelCacheStatus,
    AIMRuntimeConfig,
    Quantity,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.controllers.cache_claims import claim_of
from aim_operator.controllers.dependents import model_cache_owner
from aim_operator.controllers.index import BY_NAMESPACE
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.wakes import spec_changed
from aim_operator.controllers.watched import Watched
from aim_operator.core import conditions, quantity
from aim_operator.core.catalog import MissingRuntimeConfig, resolve_runtime_config
from aim_operator.core.model_cache import desired
from aim_operator.core.model_cache.allowance import Ask
from aim_operator.core.pause import is_paused
from aim_operator.errors import SpecError

_STUCK = (Reason.PROVISIONING_FAILED, Reason.NAME_CONFLICT, Reason.RESOURCES_INVALID)
"""Why a cache that could have its claim has none: until that is fixed, it holds up nobody."""


class RoomQueue:
    """Single-threaded, like the event loop."""

    def __init__(self, watched: Watched, catalog: StoreCatalog) -> None:
        self._caches, self._claims, self._catalog = watched.model_caches.store, watched.claims.store, catalog
        self._taken: dict[str, dict[str, int]] = {}
        self._totals: defaultdict[str, int] = defaultdict(int)
        self._waiting: dict[str, dict[str, Ask]] = {}
        self._by_age: dict[str, list[Ask]] = {}
        self._to_look_at: defaultdict[str, set[str]] = defaultdict(set)
        """Names of caches whose place is to be found again, by namespace."""
        watched.model_caches.add_handler(self._cache_changed)
        watched.claims.add_handler(self._claim_changed)
        watched.runtime_configs.add_handler(self._config_changed)
        watched.cluster_runtime_configs.add_handler(self._config_changed)

    def taken(self, namespace: str) -> Mapping[str, int]:
        """Return the bytes of each claim, as asked for or as large as it is: also of those that are going."""
        return self._taken.get(namespace, {})

    def total(self, namespace: str) -> int:
        """Return the bytes of all its claims."""
        return self._totals.get(namespace, 0)

    def waiting(self, namespace: str) -> Sequence[Ask]:
        """Return what its caches that have no claim ask for, as far as that is known, oldest first."""
        for name in self._to_look_at.pop(namespace, ()):
            self._place(namespace, name)
        return self._by_age.get(namespace, ())

    def _place(self, namespace: str, name: str) -> None:
        """Find the place of one cache, which it may have changed, left or come to."""
        places, by_age = self._waiting.setdefault(namespace, {}), self._by_age.setdefault(namespace, [])
        if (before := places.pop(name, None)) is not None:
            del by_age[bisect_left(by_age, before)]
        cache = self._caches.get(namespace, name)
        if cache is not None and (asked := self._asked(cache)) is not None:
            places[name] = asked
            insort(by_age, asked)
        if not places:
            del self._waiting[namespace], self._by_age[namespace]

    def _asked(self, cache: AIMModelCache) -> Ask | None:
        size = known_size(cache)
        if size is None or not waits(cache) or claim_of(self._claims, cache) is not None:
            return None
        named = (cache.spec.runtime_config_name,)
        config = resolve_runtime_config(self._catalog, cache.metadata.namespace, named)
        if isinstance(config, MissingRuntimeConfig):
            return None
        try:
            return ask_of(cache, in_bytes(desired.claim_size(size, desired.headroom(config))))
        except SpecError:
            return None

    def __len__(self) -> int:
        """How much is kept: nothing once nothing is there."""
        kept: tuple[Mapping[str, Sized], ...] = (self._taken, self._waiting, self._by_age, self._to_look_at)
        return len(self._totals) + sum(len(each) + sum(map(len, each.values())) for each in kept)

    def _look_again(self, namespace: str, name: str) -> None:
        """Find its place before the next answer. One that is gone has none any more."""
        if self._caches.get(namespace, name) is not None:
            self._to_look_at[namespace].add(name)
            return
        self._to_look_at[namespace].discard(name)
        if not self._to_look_at[namespace]:
            del self._to_look_at[namespace]
        self._place(namespace, name)

    # Informer handlers

    def _cache_changed(self, old: AIMModelCache | None, new: AIMModelCache | None) -> None:
        cache = new if new is not None else old
        if cache is not None:
            self._look_again(cache.metadata.namespace, cache.metadata.name)

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        for claim in (old, new):
            for ref in model_cache_owner(claim) if claim is not None else ():
                self._look_again(ref.namespace, ref.name)
        if old is not None:
            sizes = self._taken.get(old.metadata.namespace, {})
            self._totals[old.metadata.namespace] -= sizes.pop(old.metadata.name, 0)
            if not sizes:
                self._taken.pop(old.metadata.namespace, None)
                del self._totals[old.metadata.namespace]
        if new is not None and _of_a_cache(new):
            size = _size(new)
            self._taken.setdefault(new.metadata.namespace, {})[new.metadata.name] = size
            self._totals[new.metadata.namespace] += size

    def _config_changed(
        self,
        old: AIMRuntimeConfig | AIMClusterRuntimeConfig | None,
        new: AIMRuntimeConfig | AIMClusterRuntimeConfig | None,
    ) -> None:
        """All caches may ask for another size, or know theirs now."""
        changed = new if new is not None else old
        if changed is None or not spec_changed(old, new):
            return
        namespace = changed.metadata.namespace
        for cache in self._caches.by_index(BY_NAMESPACE, namespace) if namespace else self._caches.all():
            self._look_again(cache.metadata.namespace, cache.metadata.name)


def ask_of(cache: AIMModelCache, size: int) -> Ask:
    """Return the place of a cache that asks for so many bytes more."""
    return Ask(cache.metadata.creation_timestamp or "", cache.metadata.name, size)


def waits(cache: AIMModelCache) -> bool:
    """Whether a cache without a claim is to have one, as soon as there is room."""
    if cache.spec.existing_claim is not None or cache.metadata.deletion_timestamp is not None:
        return False
    if is_paused(cache):
        return False
    ready = conditions.find((cache.status or AIMModelCacheStatus()).conditions or (), c.READY)
    return ready is None or ready.reason not in _STUCK


def known_size(cache: AIMModelCache) -> Quantity | None:
    """Return how large the model is; None until its source has been asked."""
    if cache.spec.size is not None:
        return cache.spec.size
    listing = (cache.status or AIMModelCacheStatus()).listing
    return None if listing is None or (listing.attempts or 0) else listing.total_bytes


def in_bytes(amount: Quantity) -> int:
    """Return whole bytes; 0 for what is no quantity."""
    try:
        return int(quantity.parse(amount))
    except SpecError:
        return 0


def _of_a_cache(claim: PersistentVolumeClaim) -> bool:
    owner = claim.metadata.controller()
    return owner is not None and owner.kind == MODEL_CACHES.kind


def _size(claim: PersistentVolumeClaim) -> int:
    asked = (claim.spec.resources.requests or {}).get("storage", 0)
    has = (claim.status.capacity or {}).get("storage", 0)
    return max(in_bytes(asked), in_bytes(has))
