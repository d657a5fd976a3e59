"""Which files are on the site, where they go, and how their links lead from there.

Pages are written to be read in the repository; nothing is copied by hand to be on the site too.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from hack.markdown import CODE, ELSEWHERE, FENCE

DOCS = "docs"
REPOSITORY = "https://github.com/silogen/aim-operator"
"""The same as repo_url in zensical.toml."""
BRANCH = "main"
OUTSIDE_DOCS = {
    "ARCHITECTURE.md": "contributing/architecture.md",
    "CONTRIBUTING.md": "contributing/index.md",
    "CHANGELOG.md": "contributing/changelog.md",
    "hack/cluster/README.md": "contributing/cluster.md",
}
"""Pages that live outside docs/, and their place on the site."""
SHIPPED = ("examples",)
"""Folders of files that can be read on the site where a page links to them."""

_TEXT = rf"(?P<text>(?:[^\[\]`]|{CODE.pattern})*)"
_LINK = rf"\[{_TEXT}\]\((?P<target>[^()\s]+)(?P<title>\s+\"[^\"]*\")?\)"
_CODE_OR_LINK = re.compile(f"{FENCE.pattern}|{_LINK}|{CODE.pattern}", FENCE.flags)


def places(root: Path) -> dict[str, str]:
    """Every file of the site: its path in the repository → its path on the site."""
    found = {f"{DOCS}/{name}": name for name in _files(root / DOCS)} | OUTSIDE_DOCS
    for folder in SHIPPED:
        names = (f"{folder}/{name}" for name in _files(root / folder) if not name.endswith(".md"))
        found |= {name: name for name in names}
    return found


def relinked(text: str, source: str, where: dict[str, str]) -> str:
    """Return the page at `source` with links that hold at its place on the site.

    A link to a folder leads to its first page. One to something that is not on the site, such as a module,
    leads to the repository.
    """

    def change(match: re.Match[str]) -> str:
        target = match["target"]
        if not target or ELSEWHERE.match(target) or target.startswith("#"):
            return match[0]
        name, hash_, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(name)))
        page = where.get(path) or _first_page(path, where)
        if page is None:
            there = f"{REPOSITORY}/{'tree' if name.endswith('/') else 'blob'}/{BRANCH}/{path}"
            return f"[{match['text']}]({there}{match['title'] or ''})"
        there = posixpath.relpath(page, posixpath.dirname(where[source]) or ".")
        return f"[{match['text']}]({there}{hash_}{anchor}{match['title'] or ''})"

    return _CODE_OR_LINK.sub(change, text)


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def _first_page(folder: str, where: dict[str, str]) -> str | None:
    pages = (page for path, page in where.items() if path.startswith(f"{folder}/") and page.endswith(".md"))
    return min(pages, default=None)
