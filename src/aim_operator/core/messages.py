"""Quoting of what others wrote in messages that people read: one printable line, never longer than asked.

Called wherever untrusted text goes into a condition or event.
"""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.external import Event
from aim_operator.api.meta import MOST_MESSAGE

LINE_LIMIT = 1024


def quote(text: str, limit: int = 80) -> str:
    """`text` between double quotes, cut to `limit` characters, with unprintable ones escaped.

    Line breaks, terminal escapes, bidirectional overrides and lone surrogates all count as unprintable.
    """
    printable = text[: limit + 1]
    if not printable.isprintable():
        printable = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
            for char in printable
        )
    return f'"{printable}"' if len(printable) <= limit else f'"{printable[: limit - 1]}…"'


def one_line(text: str | None, limit: int = LINE_LIMIT) -> str:
    """Fold untrusted text into one bounded, printable line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in (text or "")[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def cut(message: str) -> str:
    """Return a message as a status takes it."""
    return message if len(message) <= MOST_MESSAGE else message[: MOST_MESSAGE - 1] + "…"


def last_seen(event: Event) -> str:
    """Return when a recorder last saw it: it counts the same one up, and makes none anew."""
    return event.last_timestamp or event.metadata.creation_timestamp or ""


def last_message(events: Iterable[Event]) -> str:
    """Return what that of some events says which was seen last; "" where there is none."""
    last = max(events, key=last_seen, default=None)
    return (last.message or "") if last is not None else ""


def last_words(text: str | None, limit: int = 400) -> str:
    """Return the end of a log in one bounded, printable line: programs say last why they end."""
    # Enough for many blank lines among them; a log may be of any length.
    end = (text or "")[-16 * limit :]
    lines = [line for line in map(one_line, end.splitlines()) if line]
    words = " ".join(lines)
    return words if len(words) <= limit else "…" + words[len(words) - limit + 1 :]
