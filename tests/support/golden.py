"""Golden files: manifests as YAML on disk, so that a change of what is rendered is a diff to review.

`pytest --snapshot-update` writes them anew; the flag is the one that other snapshots have too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from aim_operator.api.meta import Manifest
from aim_operator.core.manifests import plain


def assert_golden(directory: Path, manifests: Mapping[str, Manifest], *, update: bool) -> None:
    """Compare manifests by name with the files of a directory: no more, no fewer, and the same text."""
    # As plain values: what two places share would be written as an anchor and its alias.
    got = {
        f"{name}.yaml": yaml.safe_dump(plain(manifest), sort_keys=True, allow_unicode=True)
        for name, manifest in manifests.items()
    }
    if update:
        directory.mkdir(parents=True, exist_ok=True)
        for stale in directory.glob("*.yaml"):
            stale.unlink()
        for name, text in got.items():
            (directory / name).write_text(text)
    want = {path.name: path.read_text() for path in directory.glob("*.yaml")}
    assert got == want, f"not as in {directory}; if the change is meant: pytest --snapshot-update"
