"""The navigation in zensical.toml: which pages it names, and which stand where it says "folder/*"."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

_REST = re.compile(r'^(?P<indent> *)"(?P<folder>[^"*]+)/\*",$', re.MULTILINE)
_EMPTY = re.compile(r'^ *\{ "[^"]+" = \[\s*\] \},\n', re.MULTILINE)


def expanded(config: str, pages: Iterable[str]) -> str:
    """Return `config` with the pages that it does not name in the place of their folder's "folder/*".

    A section that has no page then is left out: it would lead nowhere.
    Raises ValueError for pages that have no place then, and for names of pages that are not there.
    """
    there = set(pages)
    named = set(_named(tomllib.loads(config)["project"]["nav"]))
    left = there - named

    def rest(match: re.Match[str]) -> str:
        inside = sorted(page for page in left if str(PurePosixPath(page).parent) == match["folder"])
        left.difference_update(inside)
        return "\n".join(f'{match["indent"]}"{page}",' for page in inside)

    out = _EMPTY.sub("", _REST.sub(rest, config))
    problems = [f"{page} is not in the navigation; name it there" for page in sorted(left)]
    problems += [f"{page} is in the navigation, and not there" for page in sorted(named - there)]
    if problems:
        raise ValueError("\n".join(f"zensical.toml: {problem}" for problem in problems))
    return out


def _named(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        if not entry.endswith("/*"):
            yield entry
        return
    for inner in entry.values() if isinstance(entry, dict) else entry:
        yield from _named(inner)
