"""What an API server's refusal of an object comes to, for somebody who has its file before them.

Pure. Called by demo_sandbox.py.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

from aim_operator.api.crd import all_crds
from aim_operator.cli.quickstart import Example
from aim_operator.errors import ApiError

_UNKNOWN = re.compile(r"\.(?P<path>[\w.\[\]-]+): field not declared in schema")
_INDEX = re.compile(r"\[\d+\]$")


def refusal(example: Example, error: ApiError) -> str:
    """Return one line: the file, the object, and what is wrong; for an unknown field, what may be meant."""
    what = f"{example.path}: {example.resource.kind} {example.ref.name}"
    unknown = _UNKNOWN.search(str(error))
    if unknown is None:
        return f"{what} is refused: {error}"
    *parents, name = unknown["path"].split(".")
    close = difflib.get_close_matches(name, _fields(example.resource.kind, parents), n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return f"{what} has no field {unknown['path']}{meant}"


def _fields(kind: str, path: list[str]) -> list[str]:
    """Return the fields that the kind's schema has at `path`; [] where it says nothing of them."""
    for crd in all_crds():
        if crd["spec"]["names"]["kind"] == kind:
            schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            for part in path:
                schema = schema.get("properties", {}).get(_INDEX.sub("", part), {})
                schema = schema.get("items", schema)
            return list(schema.get("properties", {}))
    return []
