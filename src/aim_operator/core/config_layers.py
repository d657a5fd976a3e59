"""Lays a namespace's runtime configuration over the cluster's of the same name, field by field.

A value of the namespace's overrides. Objects are merged by their fields, environment and volumes by
name, other lists and what only makes sense together (WHOLE) are taken from one side. A new field
of the API is merged by these rules without a line here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import Struct, structs

from aim_operator.api.v1alpha1 import (
    AIMClusterRuntimeConfigSpec,
    AIMRuntimeConfigSpec,
    GatewayRef,
    Rollout,
)
from aim_operator.api.v1alpha1.jobs import JobSecurityContext
from aim_operator.api.v1alpha1.runtime_configs import Capabilities, SeccompProfile

WHOLE = (Capabilities, GatewayRef, JobSecurityContext, Rollout, SeccompProfile)
"""Objects whose fields depend on each other."""

BY_NAME = ("env", "volumes")
REPLACE = "Replace"


def layered(
    over: AIMRuntimeConfigSpec, base: AIMClusterRuntimeConfigSpec
) -> tuple[AIMRuntimeConfigSpec, tuple[str, ...]]:
    """Return the merged spec, and the fields that come from `base`, in the order of the API.

    With `merge: Replace` nothing does.
    """
    if over.merge == REPLACE:
        return over, ()
    inherited: list[str] = []
    return _merged(over, base, "", inherited), tuple(inherited)


def _merged(over: Any, base: Any, path: str, inherited: list[str]) -> Any:
    values: dict[str, Any] = {}
    kind: type[Struct] = type(over)
    for name, encoded in _names(kind):
        here = f"{path}{encoded}"
        upper, lower = getattr(over, name), getattr(base, name, None)
        if lower is None:
            continue
        if upper is None:
            values[name] = lower
            inherited.append(here)
        elif name in BY_NAME:
            values[name] = _by_name(upper, lower, here, inherited)
        elif isinstance(upper, Struct) and not isinstance(upper, WHOLE):
            values[name] = _merged(upper, lower, f"{here}.", inherited)
    return structs.replace(over, **values)


@cache
def _names(type_: type[Struct]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a type, by attribute and as they are written; msgspec takes long to say."""
    return tuple((field.name, field.encode_name) for field in structs.fields(type_))


def _by_name(
    upper: tuple[Any, ...], lower: tuple[Any, ...], path: str, inherited: list[str]
) -> tuple[Any, ...]:
    """Return the cluster's in their order, each replaced by its namesake, and then what is new."""
    own = {each.name: each for each in upper}
    inherited += (f"{path}[{each.name}]" for each in lower if each.name not in own)
    return tuple(({each.name: own.get(each.name, each) for each in lower} | own).values())
