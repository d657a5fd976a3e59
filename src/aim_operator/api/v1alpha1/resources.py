"""Compute resources: what a replica asks for, and which quantities Kubernetes takes."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule

Quantity = str | int | float
"""A Kubernetes quantity; the API takes `"4"`, `4` and `"500m"` alike."""

QUANTITY_RULES = (
    Rule(
        rule="isQuantity(string(self))",
        message="not a quantity; write a number with an optional suffix, such as 4, 500m or 64Gi",
    ),
    Rule(
        rule="!isQuantity(string(self)) || !quantity(string(self)).isLessThan(quantity('0'))",
        message="a quantity can't be negative; write 0 or more",
    ),
)
_RESOURCE_NAMES = Rule(
    rule=(
        "self.all(k, k.size() <= 317 && k.matches('^(cpu|memory|ephemeral-storage|hugepages-[1-9][0-9]*[KMG]i"
        "|[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)$'))"
    ),
    message="write cpu, memory, ephemeral-storage, hugepages-<size> or a full name such as amd.com/gpu",
)
_WHOLE_DEVICES = Rule(
    rule=(
        "self.all(k, !k.contains('/') || !isQuantity(string(self[k]))"
        " || quantity(string(self[k])).isInteger())"
    ),
    message="devices such as amd.com/gpu are counted; write a whole number",
)
Quantities = Annotated[
    dict[str, Quantity],
    Field(
        max_properties=32,
        value=Field(int_or_string=True, max_length=64, rules=QUANTITY_RULES),
        rules=(_RESOURCE_NAMES, _WHOLE_DEVICES),
    ),
]

# Values that are no quantities are left to the rule at the value, which names them.
_IN_BOTH = "k in self.limits && isQuantity(string(self.requests[k])) && isQuantity(string(self.limits[k]))"
_REQUEST, _LIMIT = "quantity(string(self.requests[k]))", "quantity(string(self.limits[k]))"
_ABOVE_LIMIT = f"{_IN_BOTH} && {_REQUEST}.isGreaterThan({_LIMIT})"
# Kubernetes lets nobody overcommit devices and huge pages.
_UNEVEN = f"(k.contains('/') || k.startsWith('hugepages-')) && {_IN_BOTH} && {_REQUEST}.isLessThan({_LIMIT})"


class ResourceRequirements(Wire):
    """Compute resources of the serving container, per replica."""

    RULES = (
        Rule(
            rule=f"!has(self.requests) || !has(self.limits) || !self.requests.exists(k, {_ABOVE_LIMIT})",
            message="a request can't be above the limit of the same quantity; lower it or raise the limit",
            message_expression=(
                f"'requests.' + self.requests.filter(k, {_ABOVE_LIMIT})[0]"
                " + ' is above the limit of the same quantity; lower the request or raise the limit'"
            ),
            field_path=".requests",
        ),
        Rule(
            rule=f"!has(self.requests) || !has(self.limits) || !self.requests.exists(k, {_UNEVEN})",
            message="Kubernetes can't overcommit this; make request and limit equal, or leave one out",
            message_expression=(
                f"'requests.' + self.requests.filter(k, {_UNEVEN})[0]"
                " + ' is below the limit, which no device may be; make both equal or leave one out'"
            ),
            field_path=".requests",
        ),
    )

    requests: Annotated[
        Quantities | None, Field(doc="What the scheduler reserves: cpu, memory, amd.com/gpu and so on.")
    ] = None
    limits: Annotated[Quantities | None, Field(doc="What the container may use at most.")] = None
