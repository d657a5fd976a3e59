"""A claim that is to be larger than it is: whether that can be, and what is said until it is.

A claim grows with spec.size, which is the one thing about it that a user can change. It does not with another
headroom: that is about new claims. Claims never shrink.
"""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.v1alpha1 import Quantity
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import labels, quantity
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from aim_operator.core.messages import one_line
from aim_operator.core.model_cache import desired
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.errors import SpecError

_BOUND = "Bound"
_FAILED = ("ControllerResizeError", "NodeResizeError")
_PENDING = "FileSystemResizePending"


class Expansion(Struct, frozen=True, kw_only=True):
    """What the condition of the storage says. `to` is the size to ask for now, None where none is."""

    reason: str
    message: str
    to: str | None = None


def wanted(observed: ModelCacheObserved, config: RuntimeConfig) -> str | None:
    """Return the size that the live claim should get; None where it is to stay as it is.

    The API server lets a claim grow only once it is bound. Raises SpecError for what is no quantity.
    """
    claim, size = observed.claim, observed.cache.spec.size
    if claim is None or size is None or observed.cache.spec.existing_claim is not None:
        return None
    if not _can_change(claim):
        return None
    made_for: Quantity = claim.metadata.annotation(labels.SIZE) or requested(claim)
    asked = desired.claim_size(size, desired.headroom(config))
    if quantity.compare(size, made_for) <= 0 or quantity.compare(asked, requested(claim)) <= 0:
        return None
    return asked


def judge(observed: ModelCacheObserved) -> Expansion | None:
    """Return where the expansion of the live claim stands; None where there is none."""
    claim, config = observed.claim, observed.runtime_config
    if observed.cache.spec.existing_claim is not None:
        return None
    if claim is None or isinstance(config, MissingRuntimeConfig):
        return None
    name = claim.metadata.name
    try:
        to = wanted(observed, config)
    except SpecError as error:
        return Expansion(reason=error.reason, message=f"spec.size: {error.message}")
    if to is None:
        return _under_way(claim)
    before = f"claim {name!r} has {requested(claim)}, and {to} is asked for"
    if observed.storage_class is None or not observed.storage_class.allow_volume_expansion:
        return Expansion(
            reason=Reason.EXPANSION_NOT_SUPPORTED,
            message=f"{before}, but {_class(observed)} can't enlarge volumes (allowVolumeExpansion); make "
            "another AIMModelCache of this size",
        )
    if observed.allowance is not None and not observed.allowance.granted:
        return Expansion(reason=observed.allowance.reason, message=f"{before}; {observed.allowance.message}")
    return Expansion(
        reason=Reason.EXPANDING,
        message=f"claim {name!r} is being enlarged from {requested(claim)} to {to}",
        to=to,
    )


def refused(expansion: Expansion, claim: PersistentVolumeClaim, words: str) -> Expansion:
    """Return what is said where the API server refuses it: a quota, or a class that was changed just now."""
    return Expansion(
        reason=Reason.EXPANSION_FAILED,
        message=f"claim {claim.metadata.name!r} stays at {requested(claim)}, {expansion.to} was refused: "
        f"{one_line(words)}",
    )


def remedy(observed: ModelCacheObserved) -> str:
    """Say what to do where the files do not fit the claim."""
    if observed.storage_class is not None and observed.storage_class.allow_volume_expansion:
        return "raise spec.size of this AIMModelCache, and its claim is enlarged"
    return f"{_class(observed)} can't enlarge volumes, so make another AIMModelCache with a larger spec.size"


def requested(claim: PersistentVolumeClaim) -> Quantity:
    """Return the size that the claim asks for."""
    return (claim.spec.resources.requests or {}).get("storage", 0)


def _can_change(claim: PersistentVolumeClaim) -> bool:
    return claim.status.phase == _BOUND and claim.metadata.deletion_timestamp is None


def _under_way(claim: PersistentVolumeClaim) -> Expansion | None:
    """Return what the claim itself says of an expansion that was asked for, by us or by hand."""
    capacity = (claim.status.capacity or {}).get("storage")
    if not _can_change(claim) or capacity is None or quantity.compare(capacity, requested(claim)) >= 0:
        return None
    name, conditions = claim.metadata.name, claim.status.conditions or ()
    holding = {condition.type: condition for condition in conditions if condition.status == "True"}
    for type_ in _FAILED:
        if type_ in holding:
            return Expansion(
                reason=Reason.EXPANSION_FAILED,
                message=f"claim {name!r} stays at {capacity}: {one_line(holding[type_].message)}",
            )
    message = f"claim {name!r} is being enlarged from {capacity} to {requested(claim)}"
    if _PENDING in holding:
        message += "; the file system grows when a Pod mounts it, such as that of the next attempt"
    return Expansion(reason=Reason.EXPANDING, message=message)


def _class(observed: ModelCacheObserved) -> str:
    name = (observed.claim.spec.storage_class_name or "") if observed.claim is not None else ""
    return f"storage class {name!r}" if name else "a volume without a storage class"
