"""The storage budget of each namespace: what its claims have taken, what was granted, and who waits.

Nothing is stored: claims and caches themselves say what is used and who waits, also after a restart. In
memory are only grants whose claim is not in the cache yet. Decided in core/model_cache/allowance.py.
"""

from __future__ import annotations

from typing import NamedTuple

from aim_operator.api.external import PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Outcomes
from aim_operator.api.v1alpha1 import AIMModelCache
from aim_operator.controllers.cache_claims import claim_of
from aim_operator.controllers.room_queue import RoomQueue, ask_of, in_bytes
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import Watched
from aim_operator.core.catalog import DEFAULT_CONFIG
from aim_operator.core.model_cache import allowance
from aim_operator.core.model_cache.allowance import Allowance, Budget
from aim_operator.core.naming import claim_name


class _Grant(NamedTuple):
    claim: str
    size: int


class StorageBudget:
    """Single-threaded, like the event loop: what is granted counts at once."""

    def __init__(self, watched: Watched, catalog: StoreCatalog) -> None:
        self._watched, self._catalog = watched, catalog
        self._queue = RoomQueue(watched, catalog)
        self._granted: dict[ObjectRef, _Grant] = {}

    def ask(self, ref: ObjectRef, cache: AIMModelCache, size: int) -> Allowance | None:
        """Ask for a claim of that many bytes in all; None where the namespace has no budget."""
        self._granted.pop(ref, None)
        budget = self._budget(cache)
        if budget is None:
            return None
        claim = claim_of(self._watched.claims.store, cache)
        name = claim_name(cache.metadata.name, cache.metadata.uid) if claim is None else claim.metadata.name
        taken, grants = self._queue.taken(ref.namespace), self._grants(ref.namespace)
        own = ask_of(cache, size - taken.get(name, 0))
        waiting = self._queue.waiting(ref.namespace)
        settled = {ref.name, *(other.name for other in grants)}
        answer = allowance.decide(
            own,
            budget,
            used=self._queue.total(ref.namespace)
            + sum(grant.size - taken.get(grant.claim, 0) for grant in grants.values()),
            claims=len(taken.keys() | {grant.claim for grant in grants.values()}),
            others=(each for each in waiting if each.name not in settled),
        )
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
                budgets.append(Budget(in_bytes(limit), source))
        return allowance.strictest(budgets)

    def _grants(self, namespace: str) -> dict[ObjectRef, _Grant]:
        """Return those of a namespace whose claim is not in the cache yet, or not as large yet."""
        taken = self._queue.taken(namespace)
        there = {ref: grant for ref, grant in self._granted.items() if ref.namespace == namespace}
        for ref, grant in list(there.items()):
            if taken.get(grant.claim, 0) >= grant.size:
                del self._granted[ref], there[ref]
        return there
