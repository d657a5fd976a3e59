"""Kubernetes quantities: exact values, and the text that Go writes for them.

Mirrors apimachinery's resource.Quantity, because webhooks decode and re-encode what we apply: a text
other than Go's own would come back changed and look like drift. Called by core.resources and the
cache sizes.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_UP, Context, Decimal
from functools import lru_cache

from msgspec import Struct

from aim_operator.api.v1alpha1 import Quantity
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.errors import SpecError

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_BINARY_SUFFIX = {power: suffix for suffix, power in _BINARY.items()}

_SYNTAX = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,4})|(?P<suffix>[KMGTPE]i|[numkMGTPE]?))",
    re.ASCII,
)
_MAX_TEXT = 64
REMEMBERED = 1024
"""Texts: a cluster's services ask for the same few amounts."""
_MAX = Decimal(2**63 - 1)
_NANO = Decimal(1).scaleb(-9)
# Wide enough for every text of 64 characters, so that nothing is rounded but where we say so.
_EXACT = Context(prec=256, Emin=-99999, Emax=99999)


class _Parsed(Struct, frozen=True):
    value: Decimal
    style: str
    """How Go will write it again: "decimal" (1500m), "binary" (1536Mi) or "exponent" (15e2)."""


def parse(value: Quantity) -> Decimal:
    """Return the exact value; below one nano unit it is rounded away from zero, as Kubernetes does.

    Raises SpecError(ResourcesInvalid) for text that is no quantity and values over 2^63-1.
    """
    return _parsed(value).value


@lru_cache(REMEMBERED, typed=True)
def canonical(value: Quantity) -> str:
    """Write `value` as Go's resource.Quantity does: whole mantissa, largest suffix that loses nothing.

    A fixed point: Go reads the result and writes the same. Raises SpecError as parse does.
    """
    parsed = _parsed(value)
    amount = parsed.value
    if amount == 0:
        return "0"
    # What is no whole number of Ki, Go writes without a binary suffix, and from then on as decimal.
    if parsed.style == "binary" and amount % 1024 == 0:
        return _binary(int(amount))
    mantissa, exponent = _thousands(amount)
    if parsed.style == "exponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"


def compare(left: Quantity, right: Quantity) -> int:
    """-1, 0 or 1 as `left` is less than, equal to or more than `right`."""
    return int(parse(left).compare(parse(right)))


@lru_cache(REMEMBERED, typed=True)
def _parsed(value: Quantity) -> _Parsed:
    parsed = _from_text(value) if isinstance(value, str) else _from_number(value)
    if parsed is None:
        raise SpecError(
            Reason.RESOURCES_INVALID,
            f"{_quoted(value)} is not a quantity; write a number with an optional suffix,"
            " such as 4, 500m or 64Gi",
        )
    if abs(parsed.value) > _MAX:
        raise SpecError(
            Reason.RESOURCES_INVALID,
            f"{_quoted(value)} is more than Kubernetes can count; write less than 8Ei",
        )
    return _Parsed(parsed.value.quantize(_NANO, rounding=ROUND_UP, context=_EXACT), parsed.style)


def _from_text(text: str) -> _Parsed | None:
    match = _SYNTAX.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        return None
    number, exponent, suffix = Decimal(match["number"]), match["exponent"], match["suffix"]
    if exponent is not None:
        return _Parsed(number.scaleb(int(exponent), context=_EXACT), "exponent")
    if suffix in _BINARY:
        return _Parsed(_EXACT.multiply(number, Decimal(1024 ** _BINARY[suffix])), "binary")
    return _Parsed(number.scaleb(_DECIMAL[suffix], context=_EXACT), "decimal")


def _from_number(number: float) -> _Parsed | None:
    if isinstance(number, bool) or math.isnan(number):
        return None
    # repr is the shortest spelling of a float: 0.1 is a tenth, as it was written.
    return _Parsed(Decimal(repr(number)), "decimal")


def _quoted(value: Quantity) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_TEXT + 2 else text[:_MAX_TEXT] + "…"


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
