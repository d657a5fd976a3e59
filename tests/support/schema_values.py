"""Hypothesis strategies for objects of a CRD: mostly what its schema takes, at times what it must not."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

from tests.support.loose_json import json_values

_LONGEST = 300
"""Of generated texts: what is longer tests the generator."""


def _nested(depth: int) -> Any:
    value: Any = "x"
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


WORDS = (
    *("", "a", "A b", "a.b-c", "-a", "é", "a\n", "x" * 64, "x" * 254, "1", "1Gi", "-1", "1.5", "0", "10%"),
    *("hf://org/model", "s3://bucket/key", "pvc://c/d", "https://x", "ghcr.io/a/b:1", "/path"),
    *("{.metadata.name}", "latency", "fp8", "MI300X", "default", "TRUE", "null", "{{ .Name }}"),
    *("*.json", "a/b", "a=b"),
)
words = st.sampled_from(WORDS)
HOSTILE_TEXTS = (
    *("\0", "a\0b", "\ud7ff", "\U0001f4a9", "\U0001f4a9" * 63, "é" * 63, "e\u0301", "\u202eabc", "a\u200bb"),
    # Which letters are the same without case, and which characters are digits or spaces, is told differently.
    *(
        "\u212a",
        "\u0131",
        "\u017f",
        "İ",
        "ß",
        "ﬀ",
        "\U0001d7d9",
        "\u0661",
        "\u00a0",
        "\u2028",
        "\ufeff",
        "a\r\n",
        "\n",
    ),
    *(
        "x" * 63 + "é",
        "a" * 1024,
        "{" * 300,
        "-",
        "--",
        "..",
        "../..",
        "/",
        "/a/../b",
        "%00",
        "${x}",
        "$(x)",
        "`x`",
    ),
    *(
        "'",
        '"',
        "\\",
        "{{",
        "{{ .",
        "{.",
        "{.a[",
        "{.a[?(@.b==1)]}",
        "*",
        "[",
        "[a-",
        "(?i)a",
        "::",
        "10.0.0.1",
    ),
    *("hf://", "hf://a/b\n", "s3://", "pvc://", "https://[::1]", "https://user:pw@x", "http://x:99999"),
    *("ghcr.io/a/b:", "ghcr.io/a/b@sha256:" + "0" * 64, "GHCR.io/a", "true", "~", "0x1", "1e3", "NaN", "-0"),
)
HOSTILE_NUMBERS = (
    *(2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**300),
    *(0.0, -0.0, 1.0, 1.5, 1e22, 1e308, -1e-320, 5e-324),
)
HOSTILE_OBJECTS: tuple[Any, ...] = (
    *(
        {},
        [],
        [[]],
        None,
        [None],
        {"a": None},
        True,
        [1, "a", None],
        ["a", "a"],
        {"": ""},
        {"a b": 1},
        {"é": 1},
    ),
    *({"\0": 1}, {"a/b/c": "x"}, {"$ref": "#"}, {"__proto__": {}}, {"x" * 300: "1"}),
    *(_nested(depth) for depth in (5, 40, 900)),
    *([_nested(depth)] for depth in (5, 40, 900)),
)
# NaN and infinity are no JSON.
_json_values = json_values.filter(lambda value: not re.search("NaN|Infinity", json.dumps(value)))
hostile = (
    st.sampled_from(HOSTILE_TEXTS)
    | st.sampled_from(HOSTILE_NUMBERS)
    | st.sampled_from(HOSTILE_OBJECTS)
    | st.text(max_size=20)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)
NUMBERS = (
    *("0", "1", "0.5", ".5", "5.", "1024", "1000", "007", "1.0000000001", "9223372036854775807", "9" * 18),
)
SUFFIXES = (
    *(
        "",
        "",
        "m",
        "u",
        "n",
        "k",
        "K",
        "Ki",
        "Mi",
        "Gi",
        "Ti",
        "Ei",
        "M",
        "G",
        "E",
        "e3",
        "E-2",
        "e",
        "i",
        " ",
    ),
)
quantities = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", "", "+", "-"]),
    st.sampled_from(NUMBERS),
    st.sampled_from(SUFFIXES),
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """A value for a schema: of twenty-five one is nearly right, and one what nobody would think of."""
    fitting, unfitting = _fitting(schema), {0: _others(schema), 1: hostile}
    return st.integers(0, 24).flatmap(lambda chance: unfitting.get(chance, fitting))


def _others(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    edges = []
    for name, step in (("minimum", -1), ("maximum", 1)):
        if name in schema:
            edges += [schema[name], schema[name] + step]
    sizes = [schema[name] + step for name, step in (("minLength", -1), ("maxLength", 1)) if name in schema]
    edges += ["x" * size for size in sizes if 0 <= size <= 5000]
    return st.one_of(st.sampled_from(edges) if edges else words, words, _json_values, quantities)


def _fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return quantities | st.integers(-2, 10)
    match schema.get("type"):
        case "object":
            return _object(schema)
        case "array":
            return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case "string":
            return _text(schema)
        case "integer":
            low, high = schema.get("minimum", -5), schema.get("maximum", 2**31)
            return st.integers(low, min(high, low + 20)) | st.just(high)
        case "number":
            return st.integers(-1, 100) | st.sampled_from([0.5, -0.5])
        case "boolean":
            return st.booleans()
    return _json_values


def _object(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    properties = {name: values(each) for name, each in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return st.dictionaries(words.filter(bool), values(schema["additionalProperties"]), max_size=3)
    if not properties:
        return st.dictionaries(st.text(max_size=3), _json_values, max_size=3)
    needed = {name: each for name, each in properties.items() if name in required}
    optional = sorted(properties.keys() - required)
    chosen = st.lists(st.sampled_from(optional), max_size=4, unique=True) if optional else st.just([])
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries(needed | {name: properties[name] for name in names})
    )


def _text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern")
    low, high = schema.get("minLength", 0), min(schema.get("maxLength", _LONGEST), _LONGEST)
    if pattern is None:
        return words.filter(lambda word: low <= len(word) <= high)
    compiled = re.compile(pattern)
    fitting = [word for word in WORDS if compiled.search(word) and low <= len(word) <= high]
    return st.sampled_from(fitting) if fitting else st.from_regex(compiled).filter(lambda t: len(t) <= high)
