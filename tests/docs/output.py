"""Whether a command's output is what the page shows.

Told apart by neither side: widths of columns, and what differs at every run: ages and durations, uids,
times, addresses, the random ends of Pods' names. Everything else must be equal, unless the page marks what
it leaves out by an ellipsis: `…` within a line is any text, a line of only `…` any lines.
"""

from __future__ import annotations

import difflib
import re

_VARIES = (
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UID"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b"), "ADDRESS"),
    (re.compile(r"\b\d+(\.\d+)? s\b"), "SECONDS"),
    (re.compile(r"(?<![\w.-])(\d+(\.\d+)?(ms|s|m|h|d)){1,3}(?![\w.-])"), "AGE"),
    (re.compile(r"-[0-9a-f]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b"), "-POD"),
    (re.compile(r"(?<=-[0-9a-f]{8})-[bcdfghjklmnpqrstvwxz2456789]{5}\b"), "-POD"),
    (re.compile(r"[ \t]+"), " "),
)


def plain(text: str) -> list[str]:
    """The lines of `text` without what differs at every run, and without empty lines at either end."""
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return [line.strip() for line in text.strip().splitlines()]


def difference(shown: str, got: str) -> str:
    """Return "" if `got` is what the page shows, else a diff."""
    want, have = plain(shown), plain(got)
    pattern = "".join("(?:.*\n)*?" if line == "…" else f"{_line(line)}\n" for line in want)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in have)):
        return ""
    return "\n".join(difflib.unified_diff(want, have, "shown on the page", "printed", lineterm="", n=99))


def _line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("…"))
