"""YAML as kubectl reads it, on the way to JSON, where PyYAML reads and writes it otherwise.

Source: sigs.k8s.io/yaml 1.4.0, `convertToJSONableObject` in yaml.go and goyaml.v2/resolve.go.
Called by what reads files and by what prints YAML.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Hashable
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_BOOL = "y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF"
_FLOAT = (
    r"[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9_]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_INT = r"[-+]?(?:0[bB][01_]+|0[oO]?[0-7_]+|0[xX][0-9a-fA-F_]+|[1-9][0-9_]*|0)"
_OCTAL = re.compile(r"[-+]?0[0-7]+")
_RESOLVED = (
    # The order matters: what is a whole number would be a float, too.
    (f"{_TAG}bool", re.compile(f"^(?:{_BOOL})$"), "yYnNtTfFoO"),
    (f"{_TAG}int", re.compile(f"^(?:{_INT})$"), "-+0123456789"),
    (f"{_TAG}float", re.compile(f"^(?:{_FLOAT})$"), "-+0123456789."),
)
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
"""Whole numbers beyond are floats in Go."""
_MOST_DIGITS = sys.float_info.max_10_exp


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # ten times faster, if there
    """Loads what JSON can say. Raises ConstructorError, with its place, for anything else."""

    yaml_implicit_resolvers: dict[str | None, Any] = {}  # noqa: RUF012 - PyYAML's own
    bool_values = yaml.SafeLoader.bool_values | {"y": True, "n": False}

    def construct_mapping(
        self,
        node: Any,
        deep: bool = False,  # noqa: FBT001 - PyYAML's
    ) -> dict[Hashable, Any]:
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        if all(type(key) is str for key in made):
            return made
        return {self._key(node, key): value for key, value in made.items()}

    def _key(self, node: Any, key: Hashable) -> str:
        if isinstance(key, bool):
            return str(key).lower()
        if isinstance(key, str | int | float):
            return str(key)
        raise _refused(node, "a key that is neither text nor a number")

    def construct_whole(self, node: Any) -> int | float:
        text = self.construct_scalar(node).replace("_", "")
        try:
            number = int(text, 8) if _OCTAL.fullmatch(text) else int(text, 0)
        except ValueError as error:
            raise _refused(node, f"{text!r} is no whole number") from error
        # What is too large for a float, too, is for the API server to refuse.
        beyond = not _SMALLEST <= number <= _LARGEST and len(text) <= _MOST_DIGITS
        return float(number) if beyond else number

    def construct_number(self, node: Any) -> int | float:
        text = self.construct_scalar(node).replace("_", "").lower()
        try:
            number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError as error:
            raise _refused(node, f"{text!r} is no number") from error
        if not math.isfinite(number):
            raise _refused(node, f"{text} is no number that JSON has")
        # Go writes 2.0 as `2`, and the server reads a whole number.
        return int(number) if number.is_integer() and abs(number) < 2**63 else number

    def construct_bytes(self, node: Any) -> str:
        try:
            return str(self.construct_yaml_binary(node).decode())
        except UnicodeDecodeError as error:
            raise _refused(node, "!!binary that is not UTF-8") from error


class Dumper(yaml.SafeDumper):
    """Quotes also what is text to PyYAML alone, such as `y` and `12e3`."""


def written(value: Any) -> str:
    """Return plain values as YAML, in their order."""
    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def _refused(node: Any, why: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, why, node.start_mark)


for _first, _resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
    for _name, _pattern in _resolvers:
        if _name in (f"{_TAG}null", f"{_TAG}merge"):
            Loader.yaml_implicit_resolvers.setdefault(_first, []).append((_name, _pattern))
for _name, _pattern, _firsts in _RESOLVED:
    Loader.add_implicit_resolver(_name, _pattern, list(_firsts))
    Dumper.add_implicit_resolver(_name, _pattern, list(_firsts))
Loader.add_constructor(f"{_TAG}int", Loader.construct_whole)
Loader.add_constructor(f"{_TAG}float", Loader.construct_number)
Loader.add_constructor(f"{_TAG}binary", Loader.construct_bytes)
Loader.add_constructor(f"{_TAG}timestamp", Loader.construct_yaml_str)
# Go's decoder minds no tag of a mapping or a list.
Loader.add_constructor(f"{_TAG}set", Loader.construct_yaml_map)
for _name in ("omap", "pairs"):
    Loader.add_constructor(f"{_TAG}{_name}", Loader.construct_yaml_seq)
