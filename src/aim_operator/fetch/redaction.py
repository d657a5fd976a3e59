"""Text that leaves the process: one printable line, bounded, with no secret in it.

Everything that is printed, logged or written as a termination message passes here. What is a secret is
decided by where a value comes from, not by the name of its variable: all that was put into the environment,
but for values that say where and how to download (secret_values.py). The work is proportional to the length
of the result, whatever the text: errors quote what a hostile server sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from aim_operator.fetch import secret_values

_LEAST_LOOKED_AT = 4096
_PREFIX = 12
"""So much of the beginning of a long secret is hidden too: whoever quoted it may have cut it."""
_MASK = "…"

_MACHINE = re.compile(
    r"progress downloadedBytes=\d{1,20} totalBytes=\d{1,20} percentage=\d{1,3}"
    r" rate=[\d.]{1,12}[KMGT]?i?B/s remaining=[\dhms]{1,16}"
)
"""Numbers alone; it is read by the operator, and must stay what it is."""
_BARE_QUERY = re.compile(
    r"\b((?:X-Amz-[A-Za-z-]{1,40}|AWSAccessKeyId|Signature|Key-Pair-Id|Policy|Expires|sig|token)=)[^&\s'\"<>]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(Bearer|Basic|AWS4-HMAC-SHA256) [^\s'\"]+", re.IGNORECASE)
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")
_APART = re.compile(r"([\s'\"<>]+)")


class Redactor:
    """Hides what came from the environment, in any encoding, queries and users in addresses, and tokens."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = secret_values.values_of(environment)
        forms = {form for value in values.anywhere for form in secret_values.forms(value)}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._long = tuple(value for value in values.anywhere if len(value) > _PREFIX and "://" not in value)
        self._words = tuple(re.compile(rf"(?<!\w){re.escape(word)}(?!\w)") for word in sorted(values.words))
        self._longest = max(map(len, self._forms), default=0)

    def one_line(self, text: str, limit: int) -> str:
        """`text` on one line of at most `limit` printable characters, without secrets."""
        if _MACHINE.fullmatch(text) and len(text) <= limit:
            return text
        text = self._without_secrets(text, max(8 * limit, _LEAST_LOOKED_AT))
        text = "".join(map(_without_credentials, _APART.split(text)))
        text = " ".join(text.split())
        text = _BARE_QUERY.sub(rf"\1{_MASK}", text)
        text = _SCHEME.sub(rf"\1 {_MASK}", text)
        text = _HUB_TOKEN.sub(f"hf_{_MASK}", text)
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
        )
        return text if len(text) <= limit else text[: limit - 1] + _MASK

    def _without_secrets(self, text: str, most: int) -> str:
        """The beginning of the text. More is looked at: a secret may begin before its end and end behind."""
        looked_at = text[: most + self._longest]
        kept, position = [], 0
        for start, stop in sorted(self._spans(looked_at)):
            if start >= most:
                break
            if start > position:
                kept.append(looked_at[position:start])
            if stop > position:
                kept.append(_MASK)
            position = max(position, stop)
        kept.append(looked_at[position:most])
        return "".join(kept)

    def _spans(self, text: str) -> Iterable[tuple[int, int]]:
        for form in self._forms:
            start = text.find(form)
            while start >= 0:
                yield start, start + len(form)
                start = text.find(form, start + len(form))
        for value in self._long:
            start = text.find(value[:_PREFIX])
            while start >= 0:
                stop = start + _PREFIX
                while stop - start < len(value) and text[stop : stop + 1] == value[stop - start]:
                    stop += 1
                yield start, stop
                start = text.find(value[:_PREFIX], stop)
        for word in self._words:
            yield from (match.span() for match in word.finditer(text))


def _without_credentials(token: str) -> str:
    """Hide users in the addresses of a text without white space and quotes, and the query of an http one."""
    if "://" not in token:
        return token
    is_http = re.search("https?://", token, re.IGNORECASE)
    if is_http and (question := token.find("?", is_http.start())) >= 0:
        token = token[: question + 1] + _MASK
    first, *rest = token.split("://")
    shown = [first]
    for part in rest:
        authority = re.split(r"[/?#\\]", part, maxsplit=1)[0]
        at = authority.rfind("@")
        shown.append(f"{_MASK}{part[at:]}" if at >= 0 else part)
    return "://".join(shown)
