"""Kubernetes quantities: their value, and the shortest form, which is what the server stores.

Sandbox only; the operator's own arithmetic is in core/quantity.py. Called by rules.py and builtin.py.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$")
_BINARY = {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}
_DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(["", "k", "M", "G", "T", "P", "E"])},
}


def is_quantity(text: str) -> bool:
    return _QUANTITY.match(text) is not None


def quantity_value(text: str) -> Decimal:
    """Raises ValueError for what is no quantity."""
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    if suffix in _DECIMAL:
        return number * _DECIMAL[suffix]
    return number * Decimal(10) ** int(suffix[1:])


def canonical(value: Any) -> Any:
    """The form in which the server stores a quantity: the largest suffix that leaves a whole number.

    Binary suffixes stay binary; what has an exponent, or is no quantity, stays as it is.
    """
    text = str(value)
    match = _QUANTITY.match(text)
    suffix = (match[2] or "") if match else ""
    if match is None or not (suffix in _BINARY or suffix in _DECIMAL):
        return value
    amount = quantity_value(text)
    if amount == 0:
        return "0"
    # Binary amounts below 1024 have no suffix of their own.
    suffixes = _BINARY | {"": Decimal(1)} if suffix in _BINARY else _DECIMAL
    fitting = [(scale, suffix) for suffix, scale in suffixes.items() if amount % scale == 0]
    scale, suffix = max(fitting, default=(_DECIMAL["n"], "n"))
    return f"{int(amount / scale)}{suffix}"
