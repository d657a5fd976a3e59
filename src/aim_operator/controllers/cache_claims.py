"""Which claim a model cache has: the one of its name, or one that came back from a backup under another.

A claim is named by the uid of its cache, and a cache that is restored has a new one. Called by
model_caches.py and storage_budget.py.
"""

from __future__ import annotations

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.v1alpha1 import AIMModelCache, AIMModelCacheStatus
from aim_operator.controllers.index import BY_OWNER, LEFT_BEHIND_OF
from aim_operator.core import labels
from aim_operator.core.manifests import controlled_by
from aim_operator.core.model_cache.attempt import is_complete
from aim_operator.core.naming import claim_name, is_claim_name, label_value
from aim_operator.runtime.store import Store

Claims = Store[PersistentVolumeClaim]


def claim_of(claims: Claims, cache: AIMModelCache) -> PersistentVolumeClaim | None:
    """Return the claim that the cache uses, None where it has none.

    One that was adopted takes the place of one that has the files not yet.
    """
    own = own_claim(claims, cache)
    if own is not None and is_filled(own, cache):
        return own
    adopted = (
        claim
        for claim in claims.by_index(BY_OWNER, cache.metadata.uid)
        if (own is None or claim.metadata.name != own.metadata.name)
        and _is_of(claim, cache)
        and claim.metadata.annotation(labels.APPLIED) is not None
    )
    return min(adopted, key=_name, default=own)


def own_claim(claims: Claims, cache: AIMModelCache) -> PersistentVolumeClaim | None:
    """Return the claim that was made for this very cache, None where there is none."""
    metadata = cache.metadata
    own = claims.get(metadata.namespace, claim_name(metadata.name, metadata.uid))
    return own if own is not None and controlled_by(own, metadata) else None


def is_filled(claim: PersistentVolumeClaim, cache: AIMModelCache) -> bool:
    """Whether a download to it was ever complete."""
    return is_complete((cache.status or AIMModelCacheStatus()).download, claim)


def left_behind(claims: Claims, cache: AIMModelCache) -> PersistentVolumeClaim | None:
    """Return a claim that was made for a cache of this name and has no owner; None where there is none."""
    metadata = cache.metadata
    found = claims.by_index(LEFT_BEHIND_OF, (metadata.namespace, label_value(metadata.name)))
    there = (each for each in found if _is_of(each, cache) and each.metadata.deletion_timestamp is None)
    return min(there, key=_name, default=None)


def _is_of(claim: PersistentVolumeClaim, cache: AIMModelCache) -> bool:
    """Whether it has the name of one. Owner references are not validated across namespaces."""
    return claim.metadata.namespace == cache.metadata.namespace and is_claim_name(
        claim.metadata.name, cache.metadata.name
    )


def _name(claim: PersistentVolumeClaim) -> str:
    return claim.metadata.name
