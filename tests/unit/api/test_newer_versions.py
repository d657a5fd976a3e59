"""What the CRDs of a newer version allow stays readable to this one: it may run beside them for a while."""

from __future__ import annotations

import typing
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Struct

from aim_operator.api import v1alpha1 as aim

CASES: list[Any] = [
    pytest.param(
        aim.AIMServiceTemplate,
        {"aimImageName": "model", "metric": "energy", "precision": "fp6", "unheardOf": {"a": [1]}},
        id="a precision, a metric and a field",
    ),
    pytest.param(
        aim.AIMService,
        {"model": "model", "overrides": {"precision": "fp6", "metric": "energy"}},
        id="overrides of a service",
    ),
    pytest.param(
        aim.AIMRuntimeConfig,
        {"storage": {"accessModes": ["ReadWriteOften"]}},
        id="an access mode",
    ),
    pytest.param(
        aim.AIMTemplateCache, {"templateRef": "fast", "templateScope": "Fleet"}, id="a scope of templates"
    ),
]


@pytest.mark.parametrize(("kind", "spec"), CASES)
def test_a_value_of_a_newer_version_is_read(kind: Any, spec: dict[str, Any]) -> None:
    """An object that can't be decoded would be neither served nor repaired."""
    body = msgspec.json.encode({"metadata": {"name": "a"}, "spec": spec})
    got = msgspec.json.decode(body, type=kind)
    known = msgspec.json.decode(msgspec.json.encode(got))["spec"]
    assert {n: known[n] for n in spec if n in known} == {n: spec[n] for n in spec if n != "unheardOf"}


def structs_of(annotation: Any, seen: set[Any]) -> None:
    """Collect every Struct that an annotation leads to."""
    if isinstance(annotation, type) and issubclass(annotation, Struct) and annotation not in seen:
        seen.add(annotation)
        for inner in get_type_hints(annotation, include_extras=True).values():
            structs_of(inner, seen)
    for argument in get_args(annotation):
        structs_of(argument, seen)


def literals(annotation: Any) -> bool:
    return get_origin(annotation) is Literal or any(map(literals, get_args(annotation)))


def test_no_field_of_our_kinds_is_a_literal() -> None:
    """Allowed values are the schema's: msgspec would refuse to read any other."""
    seen: set[Any] = set()
    for resource in aim.ALL_KINDS:
        structs_of(resource.type, seen)
    assert len(seen) > 30
    fields = {
        f"{each.__name__}.{name}": hint
        for each in seen
        for name, hint in typing.get_type_hints(each, include_extras=True).items()
    }
    assert [name for name, hint in fields.items() if literals(hint)] == []
