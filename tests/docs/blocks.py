"""The fenced blocks of a page, and what the page says in HTML comments of how they are tested.

On the page, before its first block:
    <!-- tested on: a bare checkout -->   a shell in a copy of the checkout, no cluster
    <!-- tested on: start here -->   on from docs/start.md: its cluster, operator and quickstart
Before a block:
    <!-- test: saved as NAME -->     the block is written to this file for later commands; the text before it
                                     says so to readers
    <!-- test: eventually -->        commands are repeated until their output is as shown, or for a minute
    <!-- test: fails -->             the last command must fail
    <!-- test: in the background until TEXT -->  the last command goes on; what is next waits for TEXT from it
    <!-- test: at the end -->        run after all other pages
    <!-- test: part of KIND -->      a part of an object, held to the schema of a whole one; KIND may also be
                                     "the chart's values"
    <!-- test: run by PATH -->       a test elsewhere runs this; its file must name the page's folder or the
                                     commands, or take them from the page by `commands_for`
    <!-- test: not run, REASON -->   counted; there may be MOST_NOT_RUN of these
Before a block of text:
    <!-- test: printed by PATH -->   that test compares it with what is really printed, by `shown`
    <!-- test: columns of KIND -->   a table of `kubectl get`: its heads are held to the CRD
    <!-- test: not output, WHAT -->  nothing prints this: a picture in letters, calls to copy
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Literal, NamedTuple

from markdown_it import MarkdownIt

from hack import console

ROOT = Path(__file__).resolve().parents[2]
MOST_NOT_RUN = 2

Environment = Literal["a bare checkout", "start here"]
ENVIRONMENTS: tuple[Environment, ...] = ("a bare checkout", "start here")
COMMANDS = ("console", "bash")
LANGUAGES = (*COMMANDS, "yaml", "json", "python", "text")
WORDS = (
    "saved as",
    "eventually",
    "fails",
    "in the background until",
    "at the end",
    "part of",
    "run by",
    "not run,",
    "printed by",
    "columns of",
    "not output,",
)

_COMMENT = re.compile(r"<!--\s*(tested on|test):\s*(.*?)\s*-->", re.DOTALL)


class Block(NamedTuple):
    """One fenced block. `says` has what the comments before it say: first words → rest."""

    page: str
    line: int
    language: str
    text: str
    says: dict[str, str]
    introduction: str = ""
    """The last paragraph, heading or cell before the block."""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def run_elsewhere(self) -> bool:
        return "run by" in self.says or "not run," in self.says


class Page(NamedTuple):
    name: str
    environment: Environment | None
    blocks: list[Block]
    problems: list[str]
    """Comments that nobody understands."""

    @property
    def has_commands(self) -> bool:
        return any(block.language in COMMANDS and not block.run_elsewhere for block in self.blocks)


def pages(root: Path = ROOT) -> list[Page]:
    """Every Markdown file of the repository but test data, the site's first page first."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    names = [name for name in listed if not name.startswith("tests/") and (root / name).exists()]
    return [read_page(name, (root / name).read_text()) for name in sorted(names, key=_order)]


def _order(name: str) -> tuple[bool, str]:
    return name != "docs/start.md", name


def read_page(name: str, text: str) -> Page:
    """The blocks of one page, in order."""
    environment: Environment | None = None
    blocks: list[Block] = []
    problems: list[str] = []
    says: dict[str, str] = {}
    introduction = ""
    for token in MarkdownIt().parse(text):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block":
            for sort, told in _COMMENT.findall(token.content):
                if sort == "tested on":
                    known = [one for one in ENVIRONMENTS if one == told]
                    environment = known[0] if known else environment
                    problems += [] if known else [f"{name}:{line}: no such environment: {told}"]
                elif word := next((word for word in WORDS if told.startswith(word)), None):
                    says[word] = told.removeprefix(word).strip()
                else:
                    problems.append(f"{name}:{line}: no such words: {told}")
        elif token.type in ("fence", "code_block"):
            # Without a language it has none of our words; indented code is a block too.
            blocks.append(Block(name, line, token.info.strip(), token.content, says, introduction))
            says, introduction = {}, ""
        elif token.type == "inline":
            introduction = token.content
        elif says:
            problems.append(f"{name}:{line}: a comment about a block, but no block after it")
            says = {}
    return Page(name, environment, blocks, problems)


def commands_for(test: str, page: str) -> list[str]:
    """Return the commands of a page that say that `test` runs them, in order: it runs what readers run."""
    blocks = read_page(page, (ROOT / page).read_text()).blocks
    chosen = [block for block in blocks if block.says.get("run by") == test]
    return [one.text.strip() for block in chosen for one in commands(block)]


def shown(page: str, begins: str) -> str:
    """Return the block of text on a page that begins so, which a test compares with what is printed."""
    blocks = read_page(page, (ROOT / page).read_text()).blocks
    return next(block.text for block in blocks if block.text.startswith(begins))


class Command(NamedTuple):
    line: int
    """Of the page."""
    text: str
    output: str | None
    """What the page shows; None where it shows nothing of it, "" for silence is not told from that."""


def commands(block: Block) -> list[Command]:
    """What to run of a block: a console block's commands with their output, a bash block as a whole."""
    if block.language == "bash":
        return [Command(block.line + 1, block.text, None)]
    try:
        found = list(console.commands(block.text))
    except ValueError as error:
        raise AssertionError(f"{block.where}: {error}") from error
    return [Command(block.line + 1 + one.line, one.text, one.output or None) for one in found]
