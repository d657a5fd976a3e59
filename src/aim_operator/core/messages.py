"""Quoting of what others wrote in messages that people read: one printable line, never longer than asked.

Called wherever untrusted text goes into a condition or event.
"""

from __future__ import annotations


def quote(text: str, limit: int = 80) -> str:
    """`text` between double quotes, cut to `limit` characters, with unprintable ones escaped.

    Line breaks, terminal escapes, bidirectional overrides and lone surrogates all count as unprintable.
    """
    printable = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text[: limit + 1]
    )
    return f'"{printable}"' if len(printable) <= limit else f'"{printable[: limit - 1]}…"'
