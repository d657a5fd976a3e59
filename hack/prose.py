"""The house style of user pages: phrases that stopped readers, and what to write instead.

`make check` runs it, beside codespell for spelling. docs/concepts/glossary.md explains the words that we use.
Code, quoted rules of the API and pages for contributors are left out.

python -m hack.prose    name each phrase by file and line; exit 1 if there is one
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "charts/aim-operator/README.md",
    "docs/index.md",
    "docs/start.md",
    "docs/guides/*.md",
    "docs/concepts/*.md",
    "docs/operations/*.md",
    "docs/reference/*.md",
    "docs/reference/api/*.md",
)
LEFT_OUT = ("docs/concepts/glossary.md", "docs/reference/licences.md")
"""The glossary names the words that it replaces."""
RULES: dict[str, str] = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\b(go|goes|went|going) before\b": "overrides, comes before",
    r"\b(go|goes|went|going) on\b": "continues, keeps …ing",
    r"\bof yours\b": "your …",
    r"\bcomes? to the same\b": "is the same",
    r"\band why not\b": "say what is asked",
    r"\bthat (it|they) ha(s|ve) anyway\b": "leave it out",
    r"\b(nobody|somebody) says\b": "is not set, is set",
    r"\bis the matter of\b": "is up to",
    r"\bshall\b": "must, will",
    r"\b(simply|just|easily|obviously|of course)\b": "leave it out",
    r"\bin order to\b": "to",
    r"\b(e\.g\.|i\.e\.|etc\.)": "for example, that is, and so on",
    r"\bvia\b": "through, by",
    r"\butili[sz]e": "use",
    r"\bleverag": "use",
    r"\bseamless": "leave it out",
    r"\bplease\b": "leave it out",
}
_LINK = re.compile(r"\]\([^)]*\)")
_CODE = re.compile(r"(`+).+?\1")
_QUOTED = re.compile(r"“[^”]*”")


SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
"""Of a version in the changelog, in the order of Keep a Changelog."""
SAME = 40
"""Characters by which two lines of the changelog are one that was merged twice."""


def main() -> int:
    found = [line for path in pages() for line in complaints(path.relative_to(ROOT), path.read_text())]
    found += changelog((ROOT / "CHANGELOG.md").read_text())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


def pages() -> list[Path]:
    """Return the pages that users read."""
    every = {path for pattern in PAGES for path in ROOT.glob(pattern)}
    return sorted(every - {ROOT / name for name in LEFT_OUT})


def complaints(path: Path, text: str) -> Iterator[str]:
    """Yield one line for each phrase, with what to write instead."""
    for number, line in _prose(text):
        for pattern, better in RULES.items():
            for match in re.finditer(pattern, line, re.IGNORECASE):
                yield f"{path}:{number}: {match.group()!r}: {better}"


def changelog(text: str) -> Iterator[str]:
    """Yield what merges do to a changelog: sections twice or in another order, lines twice."""
    for version in text.split("\n## [")[1:]:
        found = re.findall(r"^### (.+)$", version, re.MULTILINE)
        if found != [name for name in SECTIONS if name in found]:
            yield f"CHANGELOG.md: have each section once, in the order {', '.join(SECTIONS)}; not {found}"
    begins = Counter(line[:SAME] for line in text.splitlines() if line.startswith("- "))
    yield from (f"CHANGELOG.md: twice: {begin}…" for begin, number in begins.items() if number > 1)


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines by their number, without code, link targets and quotations."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and (not fence or line.strip() == fence):
            fence = "" if fence else mark.group(1)
        elif not fence and not line.startswith("<!--"):
            plain = _CODE.sub("", _QUOTED.sub("", line))
            yield number, _LINK.sub("]", plain)


if __name__ == "__main__":
    sys.exit(main())
