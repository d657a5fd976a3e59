"""Tables of objects in YAML, in which `!repeat [text, times]` stands for a long text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    pass


def _repeated(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    assert isinstance(node, yaml.SequenceNode)
    text, times = loader.construct_sequence(node)
    return str(text) * int(times)


_Loader.add_constructor("!repeat", _repeated)


def load(path: Path) -> list[dict[str, Any]]:
    """Read a table: one row for each object."""
    rows: list[dict[str, Any]] = yaml.load(path.read_text(), _Loader)
    return rows
