"""Kubernetes quantities: exact values, and the text that Go writes for them.

Mirrors apimachinery's resource.Quantity, because webhooks and the API server decode and re-encode what
we apply: a text other than Go's own would come back changed and look like drift. The only parser of
quantities here. Work is bounded by 64 characters, whatever the exponent.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_UP, Context, Decimal
from functools import lru_cache

from msgspec import Struct

from aim_operator.api.v1alpha1.resources import Quantity

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_BINARY_SUFFIX = {power: suffix for suffix, power in _BINARY.items()}

# Go asks for no digits: of `Gi`, `+` and `.` it makes 0, and the API server takes them. It takes exponents of
# more digits, too, and some keep it busy for long: those are nobody's quantities.
_SYNTAX = re.compile(
    r"(?P<number>[+-]?[0-9]*\.?[0-9]*)"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,4})|(?P<suffix>[KMGTPE]i|[numkMGTPE]?))",
    re.ASCII,
)
_MAX_TEXT = 64
REMEMBERED = 1024
"""Texts: a cluster's services ask for the same few amounts."""
MAX = Decimal(2**63 - 1)
"""What is more than this, or less than its negative, Kubernetes counts as this."""
_NANO_EXPONENT = -9
_NANO = Decimal(1).scaleb(_NANO_EXPONENT)
# Wide enough for every text of 64 characters, so that nothing is rounded but where we say so.
_EXACT = Context(prec=256, Emin=-99999, Emax=99999)


class _Parsed(Struct, frozen=True):
    value: Decimal
    style: str
    """How Go will write it again: "decimal" (1500m), "binary" (1536Mi) or "exponent" (15e2)."""


def parse(value: object) -> Decimal | None:
    """Return the exact value; below one nano unit it is rounded away from zero, as Kubernetes does.

    None for what is no quantity. What is more than MAX stays more.
    """
    parsed = _parsed(value) if isinstance(value, str | int | float) else None
    return None if parsed is None else parsed.value


def canonical(value: object) -> str | None:
    """Write `value` as Go's resource.Quantity does: whole mantissa, largest suffix that loses nothing.

    A fixed point: Go reads the result and writes the same. None for what is no quantity.
    """
    return _canonical(value) if isinstance(value, str | int | float) else None


@lru_cache(REMEMBERED, typed=True)
def times(value: Quantity, count: int) -> str | None:
    """Return `count` times `value`, as canonical() writes it. None for what is no quantity."""
    parsed = _parsed(value)
    return None if parsed is None else _written(_EXACT.multiply(parsed.value, count), parsed.style)


@lru_cache(REMEMBERED, typed=True)
def _canonical(value: Quantity) -> str | None:
    parsed = _parsed(value)
    return None if parsed is None else _written(parsed.value, parsed.style)


def _written(value: Decimal, style: str) -> str:
    amount = max(-MAX, min(MAX, value))
    if amount == 0:
        return "0"
    # What is no whole number of Ki, Go writes without a binary suffix, and from then on as decimal.
    if style == "binary" and amount % 1024 == 0:
        return _binary(int(amount))
    mantissa, exponent = _thousands(amount)
    if style == "exponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"


@lru_cache(REMEMBERED, typed=True)
def _parsed(value: Quantity) -> _Parsed | None:
    parsed = _from_text(value) if isinstance(value, str) else _from_number(value)
    if parsed is None or abs(parsed.value) > MAX:
        return parsed
    return _Parsed(parsed.value.quantize(_NANO, rounding=ROUND_UP, context=_EXACT), parsed.style)


def _from_text(text: str) -> _Parsed | None:
    match = _SYNTAX.fullmatch(text) if 0 < len(text) <= _MAX_TEXT else None
    if match is None:
        return None
    suffix = match["suffix"]
    has_digits = match["number"].strip("+-.") != ""
    number = Decimal(match["number"] if has_digits else 0)
    if suffix is None:
        exponent = int(match["exponent"])
        # Without digits Go gets to a zero only where it needs no arbitrary precision.
        if not has_digits and exponent < _NANO_EXPONENT:
            return None
        return _Parsed(number.scaleb(exponent, context=_EXACT), "exponent")
    if suffix in _BINARY:
        return _Parsed(_EXACT.multiply(number, Decimal(1024 ** _BINARY[suffix])), "binary")
    return _Parsed(number.scaleb(_DECIMAL[suffix], context=_EXACT), "decimal")


def _from_number(number: float) -> _Parsed | None:
    if isinstance(number, bool):
        return None
    if isinstance(number, int):
        # Converting takes time quadratic in the digits, and what no 64 bits hold is more than MAX anyway.
        return _Parsed(Decimal(max(-(2**64), min(2**64, number))), "decimal")
    if math.isnan(number):
        return None
    # repr is the shortest spelling of a float: 0.1 is a tenth, as it was written.
    return _Parsed(Decimal(repr(number)), "decimal")


def _binary(whole: int) -> str:
    power = 0
    while whole % 1024 == 0:
        whole //= 1024
        power += 1
    return f"{whole}{_BINARY_SUFFIX[power]}"


def _thousands(amount: Decimal) -> tuple[int, int]:
    """`amount` as mantissa · 10^exponent with the largest exponent that is a multiple of three."""
    nanos = int(amount.scaleb(9, context=_EXACT))
    exponent = -9
    while nanos % 1000 == 0:
        nanos //= 1000
        exponent += 3
    return nanos, exponent
