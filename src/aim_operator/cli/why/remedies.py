"""What to do about a reason: the last column of docs/reference/reasons.md, which is part of the package."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from aim_operator.cli.quickstart import SOURCE_TREE, in_source_tree

_SHIPPED = Path(__file__).with_name("reasons.md")
_ROW = re.compile(r"^\| <a id=\"[^\"]*\"></a>`(\w+)` \|.*\| ([^|]*) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def remedy(reason: str) -> str:
    """Return what to do about a reason; "" for one that nobody knows, and where nothing is to be done."""
    words = _rows().get(reason, "")
    return "" if words.startswith("Nothing to do") else words


@lru_cache
def _rows() -> dict[str, str]:
    """The last column by reason, as plain words."""
    page = SOURCE_TREE / "docs" / "reference" / "reasons.md" if in_source_tree() else _SHIPPED
    return {
        reason: _LINK.sub(r"\1", words).replace("`", "") for reason, words in _ROW.findall(page.read_text())
    }
