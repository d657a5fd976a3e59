"""Checks that relative links in Markdown files lead to files and headings that exist. `make check` calls it.

python -m hack.check_links    exit code 1 and a line for each link that leads nowhere
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from hack.markdown import ELSEWHERE, FENCE, LINK, without_code

ROOT = Path(__file__).resolve().parent.parent
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")


def broken(path: Path) -> Iterator[str]:
    """Yield each relative link of a Markdown file that leads nowhere, and why."""
    for match in LINK.finditer(without_code(path.read_text())):
        link = match["inline"] or match["labelled"]
        if ELSEWHERE.match(link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and target.suffix == ".md" and unquote(anchor) not in anchors(target):
            yield f"{link}: no such heading in {target.name}"


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return what a link to a Markdown file may have after its `#`, by GitHub's rules."""
    text = FENCE.sub("", path.read_text())
    found = set(_ANCHOR.findall(text))
    for heading in _HEADING.findall(text):
        slug = _slug(heading)
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return frozenset(found)


def _slug(heading: str) -> str:
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = [
        f"{name}: {problem}" for name in listed if (ROOT / name).exists() for problem in broken(ROOT / name)
    ]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
