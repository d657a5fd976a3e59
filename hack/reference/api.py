"""docs/reference/api/: every field of the nine kinds, read off the schemas that the API server gets too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aim_operator.api import crd
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1.kinds import ALL_KINDS, KINDS
from hack.reference.text import HEADER, code, prose, sentence

_OBJECT_LEVEL = 3
_DEEPEST = 4
OF_PODS = ("affinity", "tolerations", "topologySpreadConstraints")
"""Fields that Pods have, too: what is in them is explained once, by Kubernetes."""


def files() -> dict[str, str]:
    """Return the pages: name to text."""
    pages = {f"{resource.kind.lower()}.md": page(resource) for resource in ALL_KINDS}
    return {"index.md": _index(), **pages}


def page(resource: Resource[Any]) -> str:
    """Return the page of one kind."""
    kind = KINDS[resource.type]
    schema = crd.schema(resource)
    scope = "in a namespace" if kind.namespaced else "cluster-wide"
    short = kind.short_name
    called = f"Short name `{short}`: `kubectl get {short}`, `kubectl explain {short}.spec`."
    lines = [
        f"{HEADER}# {kind.kind}",
        kind.doc,
        f"`{resource.api_version}`, {scope}. {called}",
    ]
    if rules := list(_rules(schema)):
        lines += ["## metadata", *rules]
    for part in ("spec", "status"):
        field = schema["properties"][part]
        lines += [f"## {part}", prose(field.get("description", "")), *_rules(field)]
        lines += _fields(field, part, _OBJECT_LEVEL)
    lines += ["## Columns of `kubectl get`", "\n".join(_columns(resource))]
    return "\n\n".join(line for line in lines if line) + "\n"


def _index() -> str:
    rows = [
        f"| [{kind.kind}]({kind.kind.lower()}.md) | {'namespace' if kind.namespaced else 'cluster'} "
        f"| `{kind.short_name}` | {kind.doc} |"
        for kind in (KINDS[resource.type] for resource in ALL_KINDS)
    ]
    table = "\n".join(["| Kind | Scope | Short name | Is |", "|---|---|---|---|", *rows])
    return (
        f"{HEADER}# API\n\n"
        "The nine kinds of `aim.silogen.ai/v1alpha1`: every field, what it may hold, its default, and what "
        "the API server says when it refuses a value. `kubectl get aim -A` lists every object.\n\n"
        f"{table}\n\n"
        "A field that is not marked as required may be left out. A rule is shown as the message that the API "
        "server answers with, and under it the condition, in "
        "[CEL](https://kubernetes.io/docs/reference/using-api/cel/), that must hold.\n"
    )


def _fields(schema: Manifest, path: str, level: int) -> Iterator[str]:
    """Yield the fields of an object: a heading, its type, what it means and its rules; then what is in it."""
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        yield f"{'#' * level} `{where}`"
        marks = ["**required**"] if name in required else []
        yield ", ".join([_type(field), *_bounds(field), *marks])
        yield prose(sentence(field["description"])) if field.get("description") else ""
        yield from _rules(field)
        if name in OF_PODS:
            yield f"What is in it is as in Pods: `kubectl explain pod.spec.{name}`."
        else:
            yield from _inside(field, where, level)


def _inside(field: Manifest, where: str, level: int) -> Iterator[str]:
    inner = field.get("items") or field.get("additionalProperties")
    if inner is None:
        yield from _fields(field, where, min(level + 1, _DEEPEST))
        return
    each = "each entry" if "items" in field else "each value"
    if bounds := _bounds(inner):
        yield f"Of {each}: {', '.join(bounds)}."
    yield from _rules(inner, of=each)
    yield from _fields(inner, f"{where}[]" if "items" in field else f"{where}.*", min(level + 1, _DEEPEST))


def _type(field: Manifest) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if field.get("x-kubernetes-preserve-unknown-fields"):
        return "any object"
    if field["type"] == "array":
        return f"list of {_many(field['items'])}"
    if "additionalProperties" in field:
        return f"map of string to {_type(field['additionalProperties'])}"
    return str(field["type"])


def _many(field: Manifest) -> str:
    return _type(field) if field.get("x-kubernetes-int-or-string") else f"{_type(field)}s"


def _bounds(field: Manifest) -> list[str]:
    return list(_each_bound(field))


def _each_bound(field: Manifest) -> Iterator[str]:
    if "enum" in field:
        yield f"one of {', '.join(map(code, field['enum']))}"
    for low, high, what in (
        ("minLength", "maxLength", " characters"),
        ("minimum", "maximum", ""),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " entries"),
    ):
        if low in field and high in field:
            yield f"{field[low]} to {field[high]}{what}"
        elif low in field:
            yield f"at least {field[low]}{what}"
        elif high in field:
            yield f"at most {field[high]}{what}"
    if "format" in field and field["format"] not in ("int32", "int64"):
        yield f"as {field['format']}"
    if "pattern" in field:
        yield f"matching {code(field['pattern'])}"
    if keys := field.get("x-kubernetes-list-map-keys"):
        yield f"one entry per {', '.join(map(code, keys))}"
    if "default" in field:
        yield f"default {code(str(field['default']))}"


def _rules(field: Manifest, of: str = "") -> Iterator[str]:
    for rule in field.get("x-kubernetes-validations", ()):
        on = f" on `{rule['fieldPath'].removeprefix('.')}`" if "fieldPath" in rule else ""
        about = f" (of {of})" if of else ""
        yield f"- Refused{on}{about}: “{prose(rule['message'])}”<br>{code(' '.join(rule['rule'].split()))}"


def _columns(resource: Resource[Any]) -> Iterator[str]:
    for column in KINDS[resource.type].columns:
        wide = ", with `-o wide`" if column.priority else ""
        yield f"- {column.name}: {code(column.json_path.removeprefix('.'))}{wide}"
