"""The manifest of the plugin, as Krew's index has it. Called by __main__.py.

What Krew accepts: ValidatePlugin in its internal/index/validation, and cmd/validate-krew-manifest.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from hack.krew.tree import GLIBC, MACOS, PYTHONS, Platform

NAME = "aim"
HOMEPAGE = "https://github.com/silogen/aim-operator"
_DESCRIPTION = """\
Plans, shows and explains inference services of the aim-operator.

kubectl aim plan catalog/   what would come of these files; needs no cluster
kubectl aim status -A       what runs in your cluster, and what does not
kubectl aim why chat        why a service is not ready, and what to do
kubectl aim doctor          whether the cluster has what services need

It is the same program as aimctl.
"""
_CAVEATS = f"""\
It runs on a Python of yours: CPython {PYTHONS[0]} to {PYTHONS[-1]}, found in PATH as python3
or by its version. On Linux it needs glibc {GLIBC} or newer, on macOS {MACOS} or newer.
"""


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as people would."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def manifest(version: str, base: str, sums: Mapping[Platform, str], names: Mapping[Platform, str]) -> str:
    """Return aim.yaml: `sums` are the SHA-256 of archives, `names` their files below the address `base`."""
    platforms = [
        {
            "selector": {"matchLabels": {"os": platform.os, "arch": platform.arch}},
            "uri": f"{base.rstrip('/')}/{names[platform]}",
            "sha256": sums[platform],
            "bin": "kubectl-aim",
        }
        for platform in sums
    ]
    return yaml.dump(
        {
            "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
            "kind": "Plugin",
            "metadata": {"name": NAME},
            "spec": {
                "version": f"v{version}",
                "homepage": HOMEPAGE,
                "shortDescription": "Plan, watch and explain AI inference services",
                "description": _DESCRIPTION,
                "caveats": _CAVEATS,
                "platforms": platforms,
            },
        },
        Dumper=_Dumper,
        sort_keys=False,
    )
