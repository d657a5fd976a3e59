"""What a namespace's storage budget leaves for one claim. Pure: what is used and who waits goes in.

Oldest first, and strictly so: while an older cache waits for room, no younger one takes it, or a large model
would wait for ever behind small ones. One that is larger than the whole budget holds up nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.quantity import readable

NO_ROOM = (Reason.AWAITING_STORAGE_BUDGET, Reason.EXCEEDS_STORAGE_BUDGET)
"""What a cache or its claim says that a budget keeps waiting."""


class Budget(NamedTuple):
    """The bytes that the claims of a namespace may ask for together, and which configuration says so."""

    limit: int
    source: str


class Ask(NamedTuple):
    """A cache that asks for so many bytes more; sorts by age."""

    created: str
    name: str
    size: int


class Allowance(Struct, frozen=True, kw_only=True):
    """Whether a cache may have what it asks for, and if not, why."""

    granted: bool
    reason: str = ""
    message: str = ""


GRANTED = Allowance(granted=True)


def decide(own: Ask, budget: Budget, *, used: int, claims: int, others: Iterable[Ask]) -> Allowance:
    """Return whether `own` fits. `used` bytes are those of `claims` claims; `others` are who waits, too."""
    limit = f"the storage budget of this namespace, {readable(budget.limit)} ({budget.source})"
    if own.size > budget.limit:
        return Allowance(
            granted=False,
            reason=Reason.EXCEEDS_STORAGE_BUDGET,
            message=f"{readable(own.size)} are more than {limit}; raise it, or choose fewer files with "
            "include and exclude",
        )
    ahead = sorted(other for other in others if other < own and other.size <= budget.limit)
    if used + sum(other.size for other in ahead) + own.size <= budget.limit:
        return GRANTED
    message = (
        f"{readable(own.size)} do not fit {limit}: {claims} claim{'' if claims == 1 else 's'} "
        f"{'has' if claims == 1 else 'have'} {readable(used)} of it"
    )
    if ahead:
        first = ahead[0]
        message += (
            f", and {len(ahead)} older AIMModelCache{'' if len(ahead) == 1 else 's'} "
            f"{'comes' if len(ahead) == 1 else 'come'} before, first {first.name!r} "
            f"with {readable(first.size)}"
        )
    return Allowance(
        granted=False,
        reason=Reason.AWAITING_STORAGE_BUDGET,
        message=f"{message}; delete an AIMModelCache that is not used, or raise the budget",
    )


def strictest(budgets: Iterable[Budget]) -> Budget | None:
    """Return the budget that holds where several are set: nobody can raise one by another."""
    return min(budgets, key=lambda budget: budget.limit, default=None)
