"""Who wants which path on which gateway: one claim per service, so that the oldest keeps it.

Derived from the watched objects only: filled before the first reconcile, refreshed by each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import SERVICES, AIMService
from aim_operator.core.service.route import Claim


class _Seniority(NamedTuple):
    created: str
    namespace: str
    name: str


class RouteClaims:
    """Claims by path and by service. Single-threaded, like the event loop."""

    def __init__(self, wake: Callable[[ObjectRef], None]) -> None:
        self._wake = wake
        self._claim_of: dict[ObjectRef, Claim] = {}
        self._claimants: dict[Claim, dict[ObjectRef, _Seniority]] = {}

    def update(self, service: AIMService, claim: Claim | None) -> None:
        """Record what a service wants now; whoever is affected by the change is woken."""
        ref = SERVICES.ref(service)
        if self._claim_of.get(ref) == claim:
            return
        self.drop(ref)
        if claim is None:
            return
        self._claim_of[ref] = claim
        claimants = self._claimants.setdefault(claim, {})
        claimants[ref] = _Seniority(service.metadata.creation_timestamp or "", ref.namespace, ref.name)
        self._wake_others(claim, ref)

    def drop(self, ref: ObjectRef) -> None:
        """Forget a service's claim: the next in line takes the path."""
        claim = self._claim_of.pop(ref, None)
        if claim is None:
            return
        del self._claimants[claim][ref]
        if self._claimants[claim]:
            self._wake_others(claim, ref)
        else:
            del self._claimants[claim]

    def rival(self, service: AIMService) -> ObjectRef | None:
        """Return the older service with the same claim, or None where this one has the path."""
        ref = SERVICES.ref(service)
        claim = self._claim_of.get(ref)
        if claim is None:
            return None
        claimants = self._claimants[claim]
        oldest = min(claimants, key=claimants.__getitem__)
        return None if oldest == ref else oldest

    def _wake_others(self, claim: Claim, ref: ObjectRef) -> None:
        for other in self._claimants[claim]:
            if other != ref:
                self._wake(other)
