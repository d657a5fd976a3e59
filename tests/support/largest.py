"""The largest object that a CRD accepts, in bytes of JSON, as far as its schema says."""

from __future__ import annotations

import re
from typing import Any

from aim_operator.api.meta import Manifest

MOST_KEY = 317
"""Characters of a map's key, by the rule of every map."""
_NUMBER = 20
_TIME = 32
_TOTAL = re.compile(r"self\.map\(e, .*\)\.sum\(\) <= (\d+)")


def largest(schema: Manifest, free_form: dict[str, int], path: str = "") -> int:
    """Return the most bytes that a value takes whose texts are ASCII.

    `free_form` says it of what has no schema, by path; everything below such a path counts in its number.
    """
    if path in free_form:
        return free_form[path]
    if "maxLength" in schema:
        return int(schema["maxLength"]) + 2
    match schema["type"]:
        case "string":
            return max((len(word) + 2 for word in schema.get("enum", ())), default=_TIME)
        case "array":
            return _items(schema, largest(schema["items"], free_form, f"{path}[]"), int(schema["maxItems"]))
        case "object" if "additionalProperties" in schema:
            value = largest(schema["additionalProperties"], free_form, f"{path}{{}}")
            return _items(schema, MOST_KEY + 3 + value, int(schema["maxProperties"]))
        case "object":
            return _members(schema, free_form, path)
    return _NUMBER


def _items(schema: Manifest, each: int, most: int) -> int:
    """Return the size of a list or map; texts that are bounded together count once."""
    total = next((int(found[1]) for rule in _rules(schema) if (found := _TOTAL.fullmatch(rule))), None)
    if total is None:
        return 2 + most * (each + 1)
    item = schema.get("items") or schema["additionalProperties"]
    text = item["properties"]["value"] if "properties" in item else item
    return 2 + most * (each + 1 - int(text["maxLength"])) + total


def _members(schema: Manifest, free_form: dict[str, int], path: str) -> int:
    sizes = [
        len(name) + 4 + largest(child, free_form, f"{path}.{name}")
        for name, child in schema["properties"].items()
    ]
    one_of = any(".filter(x, x).size() == 1" in rule for rule in _rules(schema))
    return 2 + (max(sizes) if one_of else sum(sizes))


def _rules(schema: dict[str, Any]) -> list[str]:
    return [rule["rule"] for rule in schema.get("x-kubernetes-validations", ())]
