"""The storage budget of each namespace: what its claims have taken, what was granted, and who waits.

Nothing is stored: claims and caches themselves say what is used and who waits, also after a restart. In
memory are only grants whose claim is not in the cache yet. Decided in core/model_cache/allowance.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aim_operator.api.external import PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Outcomes
from aim_operator.api.v1alpha1 import MODEL_CACHES, AIMModelCache, AIMModelCacheStatus, Quantity
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.controllers.cache_claims import claim_of
from aim_operator.controllers.index import BY_NAMESPACE
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import Watched
from aim_operator.core import conditions, quantity
from aim_operator.core.catalog import DEFAULT_CONFIG, MissingRuntimeConfig, resolve_runtime_config
from aim_operator.core.model_cache import allowance, desired
from aim_operator.core.model_cache.allowance import Allowance, Ask, Budget
from aim_operator.core.naming import claim_name
from aim_operator.core.pause import is_paused
from aim_operator.errors import SpecError

_STUCK = (Reason.PROVISIONING_FAILED, Reason.NAME_CONFLICT, Reason.RESOURCES_INVALID)
"""Why a cache that could have its claim has none: until that is fixed, it holds up nobody."""


class _Grant(NamedTuple):
    claim: str
    size: int


class StorageBudget:
    """Single-threaded, like the event loop: what is granted counts at once."""

    def __init__(self, watched: Watched, catalog: StoreCatalog) -> None:
        self._watched, self._catalog = watched, catalog
        self._granted: dict[ObjectRef, _Grant] = {}

    def ask(self, ref: ObjectRef, cache: AIMModelCache, size: int) -> Allowance | None:
        """Ask for a claim of that many bytes in all; None where the namespace has no budget."""
        self._granted.pop(ref, None)
        budget = self._budget(cache)
        if budget is None:
            return None
        claim = claim_of(self._watched.claims.store, cache)
        name = claim_name(cache.metadata.name, cache.metadata.uid) if claim is None else claim.metadata.name
        held = self._held(ref.namespace)
        others = tuple(self._others(cache))
        own = _ask(cache, size - held.get(name, 0))
        answer = allowance.decide(own, budget, used=sum(held.values()), claims=len(held), others=others)
        if answer.granted:
            self._granted[ref] = _Grant(name, size)
        return answer

    def settle(self, ref: ObjectRef, outcomes: Outcomes) -> None:
        """Take a grant back unless a claim came of it: one that can't be created holds up nobody.

        Where creating it had no answer it may have come all the same: the next `ask` sees.
        """
        problem = outcomes.problem(PERSISTENT_VOLUME_CLAIMS.kind)
        if problem is not None and problem.error is not None and problem.error.is_unanswered:
            return
        made = any(o.child.resource is PERSISTENT_VOLUME_CLAIMS and o.object is not None for o in outcomes)
        if not made or problem is not None:
            self.forget(ref)

    def forget(self, ref: ObjectRef) -> None:
        self._granted.pop(ref, None)

    def _budget(self, cache: AIMModelCache) -> Budget | None:
        """Return the smallest that concerns the cache: a namespace can't raise what its cluster sets."""
        namespace, named = cache.metadata.namespace, cache.spec.runtime_config_name or DEFAULT_CONFIG
        found = (
            config
            for name in dict.fromkeys((DEFAULT_CONFIG, named))
            for config in (
                self._catalog.cluster_runtime_config(name),
                self._catalog.runtime_config(namespace, name),
            )
            if config is not None
        )
        budgets = []
        for config in found:
            limit = config.spec.storage.budget if config.spec.storage is not None else None
            if limit is not None:
                source = f"{type(config).__name__} {config.metadata.name!r}"
                budgets.append(Budget(_bytes(limit), source))
        return allowance.strictest(budgets)

    def _held(self, namespace: str) -> dict[str, int]:
        """Return the bytes of each claim, as asked for or as large as it is: also of those that are going."""
        claims = self._watched.claims.store.by_index(BY_NAMESPACE, namespace)
        held = {claim.metadata.name: _size(claim) for claim in claims if _of_a_cache(claim)}
        for ref, grant in list(self._granted.items()):
            if ref.namespace != namespace:
                continue
            if held.get(grant.claim, 0) >= grant.size:
                del self._granted[ref]
            else:
                held[grant.claim] = grant.size
        return held

    def _others(self, own: AIMModelCache) -> Iterator[Ask]:
        """Return what the other caches of the namespace that have no claim ask for, as far as it is known."""
        namespace = own.metadata.namespace
        for cache in self._watched.model_caches.store.by_index(BY_NAMESPACE, namespace):
            if cache.metadata.uid == own.metadata.uid or not _waits(cache):
                continue
            has_claim = claim_of(self._watched.claims.store, cache) is not None
            if has_claim or MODEL_CACHES.ref(cache) in self._granted:
                continue
            config = resolve_runtime_config(self._catalog, namespace, (cache.spec.runtime_config_name,))
            size = _known_size(cache)
            if size is None or isinstance(config, MissingRuntimeConfig):
                continue
            try:
                asked = desired.claim_size(size, desired.headroom(config))
            except SpecError:
                continue
            yield _ask(cache, _bytes(asked))


def _ask(cache: AIMModelCache, size: int) -> Ask:
    return Ask(cache.metadata.creation_timestamp or "", cache.metadata.name, size)


def _waits(cache: AIMModelCache) -> bool:
    if cache.spec.existing_claim is not None or cache.metadata.deletion_timestamp is not None:
        return False
    if is_paused(cache):
        return False
    ready = conditions.find((cache.status or AIMModelCacheStatus()).conditions or (), c.READY)
    return ready is None or ready.reason not in _STUCK


def _known_size(cache: AIMModelCache) -> Quantity | None:
    """Return how large the model is; None until its source has been asked."""
    if cache.spec.size is not None:
        return cache.spec.size
    listing = (cache.status or AIMModelCacheStatus()).listing
    return None if listing is None or (listing.attempts or 0) else listing.total_bytes


def _of_a_cache(claim: PersistentVolumeClaim) -> bool:
    owner = claim.metadata.controller()
    return owner is not None and owner.kind == MODEL_CACHES.kind


def _size(claim: PersistentVolumeClaim) -> int:
    asked = (claim.spec.resources.requests or {}).get("storage", 0)
    has = (claim.status.capacity or {}).get("storage", 0)
    return max(_bytes(asked), _bytes(has))


def _bytes(amount: Quantity) -> int:
    """Return whole bytes; 0 for what is no quantity."""
    try:
        return int(quantity.parse(amount))
    except SpecError:
        return 0
