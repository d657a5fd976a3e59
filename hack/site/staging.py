"""What a page gets on its way to the site generator, besides links that hold: names of files, a description.

In the repository a page says in words what to save a block as; on the site the block carries the name too.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

_SAVED = re.compile(
    r"^(?P<says><!-- test: saved as (?P<name>\S+) -->\n(?:<!--.*-->\n)*)(?P<fence>```\w+)$", re.MULTILINE
)
_TITLED = r'\g<says>\g<fence> title="\g<name>"'
_LONGEST_DESCRIPTION = 160
ALONE = ("index.md", "start.md")
"""Pages that are all of their section: a navigation beside them would be empty."""


def staged(text: str, place: str) -> str:
    """Return the page with a title on each block that is saved, and with a description for search engines.

    `place` is where the page goes on the site.
    """
    about = {"description": description(text)} | ({"hide": ["navigation"]} if place in ALONE else {})
    front = "".join(
        f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in about.items() if value
    )
    return f"---\n{front}---\n{_SAVED.sub(_TITLED, text)}"


def description(text: str) -> str:
    """Return the sentences that the page's first paragraph begins with, as plain text; "" if it has none."""
    tokens = MarkdownIt().parse(text)
    for token, inline in pairwise(tokens):
        if token.type != "paragraph_open" or token.level or inline.content.startswith("Date: "):
            continue
        shown = (_plain(one) for one in inline.children or [])
        sentences = re.split(r"(?<=[.!?]) +", re.sub(r"\s+", " ", "".join(shown)).strip())
        while len(sentences) > 1 and len(" ".join(sentences)) > _LONGEST_DESCRIPTION:
            sentences.pop()
        return " ".join(sentences)
    return ""


def _plain(part: Token) -> str:
    return {"softbreak": " ", "html_inline": ""}.get(part.type, part.content)
