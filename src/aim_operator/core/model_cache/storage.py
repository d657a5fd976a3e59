"""Where the claim of a model cache stands: whether a download may begin, and if not, why not."""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core.messages import one_line
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.placement import WAITS_FOR_CONSUMER
from aim_operator.core.naming import claim_name

BOUND, LOST = "Bound", "Lost"


class Storage(Struct, frozen=True, kw_only=True):
    """`usable` tells that a Pod may mount the claim; `ready` that the volume is there already.

    `state` is what the cache is while the claim is not usable.
    """

    usable: bool = False
    ready: bool = False
    reason: str
    message: str
    state: str = State.PENDING


def alive(claim: PersistentVolumeClaim | None) -> bool:
    """Whether Pods can mount the claim, now and later."""
    return claim is not None and claim.metadata.deletion_timestamp is None and claim.status.phase == BOUND


def judge(observed: ModelCacheObserved) -> Storage:
    """Judge the claim, in the provisioner's or the API server's own words where there are any."""
    claim = observed.claim
    if observed.cache.spec.existing_claim is not None:
        return _existing(observed, observed.cache.spec.existing_claim.name)
    if claim is None:
        return _without_claim(observed)
    name = claim.metadata.name
    if claim.metadata.deletion_timestamp is not None:
        return Storage(
            reason=Reason.CLAIM_TERMINATING,
            message=(
                f"claim {name!r} is being deleted, and the files with it; it is gone once no Pod mounts it, "
                "then they are downloaded again"
            ),
            state=State.DEGRADED,
        )
    if claim.status.phase == BOUND:
        return Storage(
            usable=True,
            ready=True,
            reason=Reason.STORAGE_READY,
            message=f"claim {name!r} is bound{_superseded(observed)}",
        )
    if claim.status.phase == LOST:
        return Storage(
            reason=Reason.CLAIM_LOST,
            message=f"the volume of claim {name!r} is gone, and its files; delete the claim to start over",
            state=State.FAILED,
        )
    return _pending(observed, claim)


def _superseded(observed: ModelCacheObserved) -> str:
    """Say what to do with a claim that nothing uses: the operator deletes none."""
    if observed.superseded is None:
        return ""
    return (
        f"; claim {observed.superseded.metadata.name!r}, made before it was restored, is not used: delete it"
    )


def _existing(observed: ModelCacheObserved, name: str) -> Storage:
    """Judge a claim that is not the operator's. Unbound, it has no files, and nobody should bind it here."""
    claim = observed.claim
    if observed.claim_unread is not None:
        words = one_line(str(observed.claim_unread))
        return Storage(
            reason=Reason.PROVISIONING,
            message=f"claim {name!r} can't be looked up, the operator tries again: {words}",
        )
    if claim is None:
        return Storage(
            reason=Reason.CLAIM_NOT_FOUND,
            message=f"spec.existingClaim: no claim {name!r} in namespace "
            f"{observed.cache.metadata.namespace!r}; create it",
            state=State.DEGRADED,
        )
    if claim.metadata.deletion_timestamp is not None:
        return Storage(
            reason=Reason.CLAIM_TERMINATING,
            message=f"claim {name!r} is being deleted, and the files with it",
            state=State.DEGRADED,
        )
    if claim.status.phase == BOUND:
        return Storage(
            usable=True, ready=True, reason=Reason.STORAGE_READY, message=f"claim {name!r} is bound"
        )
    if claim.status.phase == LOST:
        return Storage(
            reason=Reason.CLAIM_LOST,
            message=f"the volume of claim {name!r} is gone, and its files; bring it back",
            state=State.FAILED,
        )
    return Storage(
        reason=Reason.PROVISIONING,
        message=f"claim {name!r} is not bound, so that there are no files on it; fill it",
    )


def _without_claim(observed: ModelCacheObserved) -> Storage:
    cache = observed.cache.metadata
    name = claim_name(cache.name, cache.uid)
    return Storage(reason=Reason.PROVISIONING, message=f"claim {name!r} is being created")


def awaits_size(observed: ModelCacheObserved) -> Storage:
    """Return where the claim stands while the listing is not done."""
    cache = observed.cache.metadata
    name = claim_name(cache.name, cache.uid)
    return Storage(
        reason=Reason.LISTING,
        message=f"claim {name!r} is made once the source has reported how large its files are",
    )


def _pending(observed: ModelCacheObserved, claim: PersistentVolumeClaim) -> Storage:
    name, class_name = claim.metadata.name, claim.spec.storage_class_name or ""
    if observed.provisioning_failure:
        return Storage(
            reason=Reason.PROVISIONING_FAILED,
            message=f"claim {name!r}: {one_line(observed.provisioning_failure)}",
            state=State.FAILED,
            usable=_waits_for_consumer(observed),
        )
    if _waits_for_consumer(observed):
        return Storage(
            usable=True,
            reason=Reason.PROVISIONING,
            message=f"claim {name!r} is bound when its first Pod is placed, which is the download",
        )
    if not class_name:
        problem = (
            "no storage class, and the cluster has no default; make one the default, or set "
            "defaultStorageClassName in the runtime configuration and delete the claim"
        )
        return Storage(
            reason=Reason.PROVISIONING_FAILED, message=f"claim {name!r} has {problem}", state=State.FAILED
        )
    if observed.storage_class is None:
        return Storage(
            reason=Reason.PROVISIONING_FAILED,
            message=f"claim {name!r} asks for storage class {class_name!r}, which does not exist; create it, "
            "or name another in the runtime configuration and delete the claim",
            state=State.FAILED,
        )
    return Storage(
        reason=Reason.PROVISIONING, message=f"waiting for a volume of class {class_name!r} for claim {name!r}"
    )


def _waits_for_consumer(observed: ModelCacheObserved) -> bool:
    storage_class = observed.storage_class
    return storage_class is not None and storage_class.volume_binding_mode == WAITS_FOR_CONSUMER
