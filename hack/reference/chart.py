"""docs/reference/chart.md and the README of the chart: each value, from the schema that helm checks."""

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


README = """\
# aim-operator

Turns a catalog of AI model images (AIMs) into running, routed inference services on Kubernetes, with KServe \
and the Gateway API. [Documentation](https://github.com/silogen/aim-operator/tree/main/docs).

No release is published yet: install it from a checkout, with an image that you built; \
[installing](https://github.com/silogen/aim-operator/blob/main/docs/operations/install.md) says how, and \
[upgrading](https://github.com/silogen/aim-operator/blob/main/docs/operations/upgrade.md) what to know \
before a new version.

The CRDs come with the release, and stay when it is uninstalled, and with them all objects of your users.

## Values

`helm install` refuses a value that does not fit, by its name; so it does names that are not here.
"""
_HEAD = "| value | type | default | what for |\n|---|---|---|---|"


def text() -> str:
    """Return the page."""
    return "\n".join([f"{HEADER}# Chart values\n", INTRODUCTION, *_sections()]) + "\n"


def readme() -> str:
    """Return the chart's README.md, which `helm show readme` prints."""
    return "\n".join([HEADER + README, *_sections("### ")]) + "\n"


def _sections(heading: str = "## ") -> Iterator[str]:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    top = schema["properties"]
    plain = [name for name, field in top.items() if "properties" not in field]
    yield _HEAD
    yield from (_value(name, top[name], values, schema) for name in plain)
    for name in (name for name in top if name not in plain):
        about = top[name].get("description", "")
        yield f"\n{heading}{name}\n"
        if about:
            yield sentence(prose(about)) + "\n"
        yield _HEAD
        yield from _inside(name, top[name], values.get(name, {}), schema)


def _inside(path: str, field: Any, values: Any, schema: Any) -> Iterator[str]:
    for name, inner in field["properties"].items():
        if "properties" in inner:
            yield from _inside(f"{path}.{name}", inner, (values or {}).get(name, {}), schema)
        else:
            yield _value(name, inner, values, schema, f"{path}.")


def _value(name: str, field: Any, values: Any, schema: Any, path: str = "") -> str:
    whole = {**_referred(field, schema), **field}
    default = code(json.dumps(values[name])) if name in (values or {}) else ""
    about = sentence(prose(whole["description"])) if "description" in whole else ""
    cells = (code(path + name), _type(whole, schema), default, about)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _type(field: Any, schema: Any) -> str:
    if "enum" in field:
        return f"one of {', '.join(code(str(one)) for one in field['enum'])}"
    if field.get("type") == "array":
        items = field.get("items", {})
        return f"list of {_type({**_referred(items, schema), **items}, schema) or 'anything'}s"
    if "anyOf" in field or "allOf" in field:
        parts = field.get("anyOf") or field["allOf"]
        found = (_type({**_referred(one, schema), **one}, schema) for one in parts)
        return " or ".join(dict.fromkeys(filter(None, found)))
    said = field.get("type", "")
    return " or ".join(said) if isinstance(said, list) else said


def _referred(field: Any, schema: Any) -> Any:
    reference = field.get("$ref", "").rpartition("/")[2]
    return schema["definitions"].get(reference, {}) if reference else {}
