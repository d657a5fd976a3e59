"""docs/reference/chart.md: every value of the Helm chart, from the schema that helm checks them against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from hack.reference.text import HEADER, code, prose, sentence

CHART = Path(__file__).resolve().parents[2] / "charts" / "aim-operator"
INTRODUCTION = """\
Values of `charts/aim-operator`. `helm install` refuses a value that does not fit, by its name; so it does \
names that are not here.
"""


def text() -> str:
    """Return the page."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    parts = [f"{HEADER}# Chart values\n", INTRODUCTION]
    top = schema["properties"]
    plain = [name for name, field in top.items() if "properties" not in field]
    parts += [_value(name, top[name], values, schema) for name in plain]
    for name in (name for name in top if name not in plain):
        about = top[name].get("description", "")
        parts += [f"\n## {name}\n", *([sentence(prose(about)) + "\n"] if about else [])]
        parts += _inside(name, top[name], values.get(name, {}), schema)
    return "\n".join(parts) + "\n"


def _inside(path: str, field: Any, values: Any, schema: Any) -> Iterator[str]:
    for name, inner in field["properties"].items():
        if "properties" in inner:
            yield from _inside(f"{path}.{name}", inner, (values or {}).get(name, {}), schema)
        else:
            yield _value(name, inner, values, schema, f"{path}.")


def _value(name: str, field: Any, values: Any, schema: Any, path: str = "") -> str:
    whole = {**_referred(field, schema), **field}
    marks = [_type(whole, schema)]
    if name in (values or {}):
        marks.append(f"default {code(json.dumps(values[name]))}")
    about = sentence(prose(whole["description"])) if "description" in whole else ""
    return (
        f"- {code(path + name)} ({', '.join(mark for mark in marks if mark)}){': ' if about else ''}{about}"
    )


def _type(field: Any, schema: Any) -> str:
    if "enum" in field:
        return f"one of {', '.join(code(str(one)) for one in field['enum'])}"
    if field.get("type") == "array":
        items = field.get("items", {})
        return f"list of {_type({**_referred(items, schema), **items}, schema) or 'anything'}s"
    said = field.get("type", "")
    return " or ".join(said) if isinstance(said, list) else said


def _referred(field: Any, schema: Any) -> Any:
    reference = field.get("$ref", "").rpartition("/")[2]
    return schema["definitions"].get(reference, {}) if reference else {}
