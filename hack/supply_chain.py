"""What is inside the operator besides our own code: a bill of materials and the licences, from uv.lock.

uv writes the bill (CycloneDX 1.5) from the lock; what differs between two runs of it is left out, so that
`make check` can compare. The licences are what the installed packages declare of themselves. A package whose
licence is not in ALLOWED fails `make generate` and `make check`: somebody has to read it first.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import Any

from hack.reference.text import HEADER

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"
EXPORT = (
    "export",
    "--frozen",
    "--no-default-groups",
    "--extra",
    "otel",
    "--format",
    "cyclonedx1.5",
    "--preview",
    "--quiet",
)

ALLOWED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "PSF-2.0"}
"""SPDX names of licences under which a package may be part of an image that is given away under MIT."""

SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
}
"""What packages with older metadata write, and what it means."""

INTRODUCTION = """\
The container image holds `aimctl` and these Python packages, in the versions and with the hashes of \
`uv.lock`. The same list as a software bill of materials in CycloneDX's format, with the files' hashes and \
what needs what: [sbom.cdx.json](sbom.cdx.json). `make check` fails when either is behind the lock, and when \
a package's licence is none of those that were read and accepted.

| package | version | licence |
|---|---|---|
"""


def files() -> dict[str, str]:
    """Return the files of docs/reference/ by name. Raises ValueError for a licence that nobody accepted."""
    bill = _bill()
    rows = [_row(component) for component in bill["components"] if not _elsewhere(component)]
    page = f"{HEADER}# Licences of what is inside\n\n{INTRODUCTION}" + "".join(rows)
    return {"sbom.cdx.json": json.dumps(bill, indent=1, sort_keys=True) + "\n", "licences.md": page}


def licence(metadata: PackageMetadata) -> str:
    """Return a package's licence as an SPDX expression, from its metadata.

    Raises ValueError if the package declares none, or one that is not in ALLOWED.
    """
    declared = str(*metadata.get_all("License-Expression", metadata.get_all("License", [""])))
    classifiers = [each for each in metadata.get_all("Classifier", []) if each.startswith("License")]
    classified = [each.rpartition(" :: ")[2] for each in classifiers]
    candidates = (declared, SPDX.get(declared, ""), " OR ".join(SPDX.get(each, each) for each in classified))
    for expression in candidates:
        parts = re.split(r" (?:AND|OR) ", expression)
        if all(part in ALLOWED for part in parts):
            return expression
    found = declared.partition("\n")[0] or ", ".join(classified) or "nothing"
    raise ValueError(
        f"hack/supply_chain.py: {metadata['Name']} says {found!r} of its licence, which is none of"
        f" {sorted(ALLOWED)}; read it, and add it there or take another package"
    )


def _bill() -> dict[str, Any]:
    answer = subprocess.run([str(UV), *EXPORT], cwd=ROOT, capture_output=True, text=True, check=True)
    bill: dict[str, Any] = json.loads(answer.stdout)
    # Differs from run to run, and with the version of uv.
    del bill["serialNumber"], bill["metadata"]["timestamp"], bill["metadata"]["tools"]
    return bill


def _elsewhere(component: dict[str, Any]) -> bool:
    """Whether only platforms without an image of ours need a package."""
    markers = [
        each["value"] for each in component.get("properties", ()) if each["name"] == "uv:package:marker"
    ]
    return any("sys_platform == 'win32'" in each or "== 'emscripten'" in each for each in markers)


def _row(component: dict[str, Any]) -> str:
    name = component["name"]
    return f"| {name} | {component['version']} | {licence(importlib.metadata.metadata(name))} |\n"
