"""The house style of user pages: phrases that stopped readers, and what to write instead.

`make check` runs it, beside codespell for spelling. docs/concepts/glossary.md explains the words that we use.
Code, quoted rules of the API and pages for contributors are left out. The same holds for what the program
says itself: help, messages, conditions (texts in src/), and comments of the examples.

python -m hack.prose    name each phrase by file and line; exit 1 if there is one
"""

from __future__ import annotations

import ast
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
    r"\b(is|are|was|were|be|been) told\b": "is shown, is reported",
    r"\btells\b": "shows, says, reports",
    r"\bof (its|their|your) own(?! [a-z`])": "its own …, your own …",
    r"\banyway\b": "leave it out",
    r"\b(has|have) not[.,;:]": "does not have",
    r"\bso long[;:,]": "for this long",
    r"\b(nobody|somebody) says\b": "is not set, is set",
    r"\b(is|are) (the|a) matter of\b": "is up to",
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
INTERNAL = re.compile(r"`(tests(?!\.enabled`)|hack|bench)[/.][^`]*`")
"""Of this repository: a user of the program has none of it. `tests.enabled` is a value of the chart."""
NAMES_ITS_TESTS = ("docs/operations/security.md",)
"""The threat model says by which test each line is held."""
SAID = ("api", "cli", "core", "fetch", "kube", "runtime")
"""Packages with texts for users. The sandbox quotes Kubernetes."""
COMMENTED = (
    "examples/*/*.yaml",
    "charts/aim-operator/values.yaml",
    "charts/aim-operator/templates/NOTES.txt",
)
_LINK = re.compile(r"\]\([^)]*\)")
_CODE = re.compile(r"(`+).+?\1")
_QUOTED = re.compile(r"“[^”]*”")


SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
"""Of a version in the changelog, in the order of Keep a Changelog."""
SAME = 40
"""Characters by which two lines of the changelog are one that was merged twice."""


def main() -> int:
    found = [line for path in pages() for line in complaints(path.relative_to(ROOT), path.read_text())]
    found += [line for path, number, text in spoken() for line in phrases(f"{path}:{number}", text)]
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
        if str(path) not in NAMES_ITS_TESTS:
            for match in INTERNAL.finditer(line):
                yield f"{path}:{number}: {match.group()}: of no use to users; say what it shows"
        yield from phrases(f"{path}:{number}", _LINK.sub("]", _CODE.sub("", _QUOTED.sub("", line))))


def phrases(where: str, text: str) -> Iterator[str]:
    """Yield one line for each phrase of a text without code."""
    for pattern, better in RULES.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield f"{where}: {match.group()!r}: {better}"


def spoken() -> Iterator[tuple[Path, int, str]]:
    """Yield what the program says to users, by file and line: texts in code, comments of examples, notes."""
    for path in sorted(path for name in SAID for path in (ROOT / "src/aim_operator" / name).rglob("*.py")):
        for number, text in texts(path.read_text()):
            yield path.relative_to(ROOT), number, text
    for path in sorted(path for pattern in COMMENTED for path in ROOT.glob(pattern)):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            remark = line if path.suffix == ".txt" else line.partition("# ")[2]
            yield path.relative_to(ROOT), number, _CODE.sub("", remark)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the texts in a module that are sentences, by their lines; docstrings are for whoever reads code.

    The help of commands is their docstring, and comes into docs/reference/cli.md.
    """
    nodes = list(ast.walk(ast.parse(source)))
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value if " " in node.value else ""


def changelog(text: str) -> Iterator[str]:
    """Yield what merges do to a changelog: sections twice or in another order, lines twice."""
    for version in text.split("\n## [")[1:]:
        found = re.findall(r"^### (.+)$", version, re.MULTILINE)
        if found != [name for name in SECTIONS if name in found]:
            yield f"CHANGELOG.md: have each section once, in the order {', '.join(SECTIONS)}; not {found}"
    begins = Counter(line[:SAME] for line in text.splitlines() if line.startswith("- "))
    yield from (f"CHANGELOG.md: twice: {begin}…" for begin, number in begins.items() if number > 1)


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines by their number, without blocks of code and comments."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and (not fence or line.strip() == fence):
            fence = "" if fence else mark.group(1)
        elif not fence and not line.startswith("<!--"):
            yield number, line


if __name__ == "__main__":
    sys.exit(main())
