"""docs/reference/api/: every field of the nine kinds, read off the schemas that the API server gets too.

A page begins with an object of examples/, which tests play and hold to a real API server. A field is told by
what it means, then by its type, and by what is refused last, folded away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from aim_operator.api import crd
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1.kinds import ALL_KINDS, KINDS
from hack.reference.text import HEADER, code, prose, sentence

_OBJECT_LEVEL = 3
_DEEPEST = 4
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {
    "AIMImage": "team-overrides/02-team-red.yaml",
    "AIMClusterImage": "quickstart/02-images.yaml",
    "AIMServiceTemplate": "quickstart/03-templates.yaml",
    "AIMClusterServiceTemplate": "quickstart/03-templates.yaml",
    "AIMRuntimeConfig": "team-overrides/02-team-red.yaml",
    "AIMClusterRuntimeConfig": "gated-model/02-platform.yaml",
    "AIMTemplateCache": "cached-model/02-caches.yaml",
    "AIMModelCache": "cached-model/02-caches.yaml",
    "AIMService": "quickstart/04-service.yaml",
}
"""The file of examples/ whose first object of a kind its page begins with."""
_DOCUMENTS = re.compile(r"^---\n", re.MULTILINE)
_FIRST_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
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
        *_example(kind.kind),
    ]
    if rules := list(_rules(schema)):
        lines += ["## metadata", "Name, labels and annotations, as of every object.", _folded(rules)]
    for part in ("spec", "status"):
        field = schema["properties"][part]
        lines += [f"## {part}", prose(field.get("description", "")), "\n".join(_overview(field, part))]
        lines += [_folded(list(_rules(field))), *_fields(field, part, _OBJECT_LEVEL)]
    lines += ["## Columns of `kubectl get`", "\n".join(_columns(resource))]
    return "\n\n".join(line for line in lines if line) + "\n"


def _example(kind: str) -> Iterator[str]:
    """Yield the page's example, as its file has it. Raises StopIteration if the file has no such object."""
    name = EXAMPLES[kind]
    documents = _DOCUMENTS.split((ROOT / "examples" / name).read_text())
    text = next(one for one in documents if (yaml.safe_load(one) or {}).get("kind") == kind)
    yield "## Example"
    yield f"From [`examples/{name}`](../../../examples/{name}), which `aimctl demo` plays:"
    yield f"```yaml\n{text[text.index('apiVersion:') :].rstrip()}\n```"


def _overview(schema: Manifest, path: str) -> Iterator[str]:
    """Yield a table of the fields of an object, the required ones first."""
    required = set(schema.get("required", ()))
    fields: Manifest = schema.get("properties", {})
    yield "| Field | Type | Meaning |"
    yield "|---|---|---|"
    for name in sorted(fields, key=lambda name: name not in required):
        field = fields[name]
        anchor = re.sub(r"[^\w-]", "", f"{path}.{name}".lower())
        meaning = prose(sentence(_FIRST_SENTENCE.split(field.get("description", ""))[0]))
        mark = "**required** " if name in required else ""
        yield f"| [`{name}`](#{anchor}) | {mark}{_type(field)} | {meaning.replace('|', '&#124;')} |"


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
        "Each page begins with an example and a table of the fields, required ones first; all others may be "
        "left out. What is refused is folded under “Validation”: the message that the API server answers "
        "with, and under it the condition, in [CEL](https://kubernetes.io/docs/reference/using-api/cel/), "
        "that must hold.\n"
    )


def _fields(schema: Manifest, path: str, level: int) -> Iterator[str]:
    """Yield the fields of an object: a heading, its type, what it means and its rules; then what is in it."""
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        yield f"{'#' * level} `{where}`"
        yield prose(sentence(field["description"])) if field.get("description") else ""
        marks = ["**required**"] if name in required else []
        yield ", ".join([_type(field), *_bounds(field), *marks])
        listed = field.get("items") or field.get("additionalProperties") or {}
        inner = {} if name in OF_PODS else listed
        each = "each entry" if "items" in field else "each value"
        if bounds := _bounds(inner):
            yield f"Of {each}: {', '.join(bounds)}."
        yield _folded([*_rules(field), *_rules(inner, of=each)])
        if name in OF_PODS:
            yield f"What is in it is as in Pods: `kubectl explain pod.spec.{name}`."
        else:
            suffix = "[]" if "items" in field else ".*" if inner else ""
            yield from _fields(inner or field, f"{where}{suffix}", min(level + 1, _DEEPEST))


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
    if keys := field.get("x-kubernetes-list-map-keys"):
        yield f"one entry per {', '.join(map(code, keys))}"
    if "default" in field:
        yield f"default {code(str(field['default']))}"


def _rules(field: Manifest, of: str = "") -> Iterator[str]:
    about = f" (of {of})" if of else ""
    if "pattern" in field:
        yield f"- Matches{about} {code(field['pattern'])}"
    for rule in field.get("x-kubernetes-validations", ()):
        on = f" on `{rule['fieldPath'].removeprefix('.')}`" if "fieldPath" in rule else ""
        yield f"- Refused{on}{about}: “{prose(rule['message'])}”<br>{code(' '.join(rule['rule'].split()))}"


def _folded(rules: list[str]) -> str:
    """Rules as what a reader unfolds: most look for what a field means."""
    if not rules:
        return ""
    many = f"{len(rules)} rules" if len(rules) > 1 else "1 rule"
    listed = "\n".join(rules)
    return f"<details markdown>\n<summary>Validation: {many}</summary>\n\n{listed}\n\n</details>"


def _columns(resource: Resource[Any]) -> Iterator[str]:
    for column in KINDS[resource.type].columns:
        wide = ", with `-o wide`" if column.priority else ""
        yield f"- {column.name}: {code(column.json_path.removeprefix('.'))}{wide}"
