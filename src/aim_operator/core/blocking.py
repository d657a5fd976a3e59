"""What an object waits for, or what is in its way, as `status.blockedBy`: the first hop to the root.

Whoever decides a reason names the object that it is about; here that is written down. The time is that of
the write that first names the object.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aim_operator.api.meta import Condition, ObjectRef
from aim_operator.api.plan import Child, Outcome, OutcomeType
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import BlockedBy
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import conditions

_IN_THE_WAY = frozenset({OutcomeType.FOREIGN, OutcomeType.GOING_AWAY, OutcomeType.HELD})


def blocked_by(
    old: BlockedBy | None, ref: ObjectRef | None, told: Iterable[Condition], *, namespace: str, now: str
) -> BlockedBy | None:
    """Return what stands in the way of an object in `namespace`; None where it is Ready, or it is no object.

    `told` are its new conditions: the reason is that of Ready. `since` stays while the object that is named
    does; another one's begins `now`.
    """
    ready = conditions.find(told, c.READY)
    if ref is None or ready is None or ready.status == "True":
        return None
    elsewhere = ref.namespace if ref.namespace != namespace else ""
    named = (ref.kind, elsewhere or None, ref.name)
    same = old is not None and (old.kind, old.namespace, old.name) == named
    since = conditions.as_recorded(old.since, now) if old is not None and same else None
    return BlockedBy(
        kind=named[0], namespace=named[1], name=named[2], reason=ready.reason, since=since or now
    )


def crd(resource: Resource[Any]) -> ObjectRef:
    """Return the definition of a kind that is not installed, or too old."""
    return ObjectRef("CustomResourceDefinition", "", resource.qualified)


def in_the_way(outcome: Outcome) -> ObjectRef | None:
    """Return the object that has a child's name or changes it; None where the API server refuses it."""
    return child_ref(outcome.child) if outcome.type in _IN_THE_WAY else None


def child_ref(child: Child) -> ObjectRef:
    return ObjectRef(child.kind, child.namespace, child.name)
