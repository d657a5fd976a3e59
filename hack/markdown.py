"""Where code and links are in a Markdown file, for the tools of this directory."""

from __future__ import annotations

import re

FENCE = re.compile(r"^[ \t]*(?P<fence>```+|~~~+).*?^[ \t]*(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
# [text](target "title"), and [label]: target on a line of its own.
LINK = re.compile(
    r"\]\(\s*<?(?P<inline>[^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s+(?P<labelled>\S+)", re.MULTILINE
)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
"""The start of a link to another site, or of a mail address."""


def without_code(text: str) -> str:
    """`text` without fenced blocks and code in lines, which have no links."""
    return CODE.sub("", FENCE.sub("", text))
