"""Text that leaves the process: one printable line, bounded, with no secret in it.

Everything that is printed or written as a termination message passes here: errors of libraries quote
addresses, and those of CDNs and of S3 carry signatures in their query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|ACCESS_KEY|CREDENTIAL|API_KEY", re.IGNORECASE)
_SHORTEST_SECRET = 6
"""Shorter values of such variables are words such as "true"; hiding them would garble messages."""

_USER_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]+@")
_QUERY = re.compile(r"(https?://[^\s?'\"<>]*)\?[^\s'\"<>]*")
_BARE_QUERY = re.compile(
    r"\b((?:X-Amz-[A-Za-z-]+|AWSAccessKeyId|Signature|Key-Pair-Id|Policy|Expires|sig|token)=)[^&\s'\"<>]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic|AWS4-HMAC-SHA256)\s+[^\s'\"]+", re.IGNORECASE)
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")


class Redactor:
    """Hides the values of secret variables, queries of URLs, user names in URLs, and tokens."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = {
            value.strip()
            for name, value in environment.items()
            if _SECRET_NAME.search(name) and len(value.strip()) >= _SHORTEST_SECRET
        }
        # The longest first: one secret may hold another.
        self._secrets = sorted(values, key=len, reverse=True)

    def one_line(self, text: str, limit: int) -> str:
        """`text` on one line of at most `limit` printable characters, without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        text = _USER_IN_URL.sub("…@", text)
        text = _QUERY.sub(r"\1?…", text)
        text = _BARE_QUERY.sub(r"\1…", text)
        text = _BEARER.sub(r"\1 …", text)
        text = _HUB_TOKEN.sub("hf_…", text)
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
            for char in " ".join(text.split())
        )
        return text if len(text) <= limit else text[: limit - 1] + "…"
