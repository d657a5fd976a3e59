"""Quantities of specs: api.quantity's values and texts, with a condition's reason for what is none.

Called by core.resources and the cache sizes.
"""

from __future__ import annotations

import string
from decimal import Decimal
from functools import lru_cache

from aim_operator.api import quantity
from aim_operator.api.v1alpha1 import Quantity
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.errors import SpecError

_MAX_QUOTED = 64
_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


@lru_cache(quantity.REMEMBERED, typed=True)
def parse(value: Quantity) -> Decimal:
    """Return the exact value; below one nano unit it is rounded away from zero, as Kubernetes does.

    Raises SpecError(ResourcesInvalid) for text that is no quantity, or has no digit, and values over 2^63-1.
    """
    amount = quantity.parse(value)
    # Kubernetes makes 0 of a suffix alone. Who wrote it forgot the number.
    forgotten = isinstance(value, str) and not any(digit in value for digit in string.digits)
    if amount is None or forgotten:
        raise SpecError(
            Reason.RESOURCES_INVALID,
            f"{_quoted(value)} is not a quantity; write a number with an optional suffix,"
            " such as 4, 500m or 64Gi",
        )
    if abs(amount) > quantity.MAX:
        raise SpecError(
            Reason.RESOURCES_INVALID,
            f"{_quoted(value)} is more than Kubernetes can count; write less than 8Ei",
        )
    return amount


def canonical(value: Quantity) -> str:
    """Write `value` as Go's resource.Quantity does. Raises SpecError as parse does."""
    parse(value)
    return quantity.canonical(value) or ""


def times(value: Quantity, count: int) -> str:
    """Return `count` times `value`, in the style in which it is written: twice 32Gi is 64Gi.

    Raises SpecError as parse does.
    """
    parse(value)
    return quantity.times(value, count) or ""


def compare(left: Quantity, right: Quantity) -> int:
    """-1, 0 or 1 as `left` is less than, equal to or more than `right`."""
    return int(parse(left).compare(parse(right)))


def readable(count: int) -> str:
    """Write a number of bytes as a quantity for people, such as 14.96Gi, rounded up."""
    unit = next(
        power for power in range(len(_UNITS)) if power == len(_UNITS) - 1 or count < 1024 ** (power + 1)
    )
    hundredths = -(-count * 100 // 1024**unit)
    number = f"{hundredths // 100}.{hundredths % 100:02}".rstrip("0").rstrip(".")
    return f"{number}{_UNITS[unit]}"


def _quoted(value: Quantity) -> str:
    if isinstance(value, int) and abs(value) >= 2**64:
        # Python refuses to write integers of thousands of digits.
        return "an integer of more than 64 bits"
    text = repr(value)
    return text if len(text) <= _MAX_QUOTED + 2 else text[:_MAX_QUOTED] + "…"
