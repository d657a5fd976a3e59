"""Which values of an environment are secrets, and in which forms they turn up in texts. Pure.

All of them are, unless the variable is one whose value says where and how to download, and the value is such
a thing: a token in AWS_REGION by mistake is no region, and is hidden.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from msgspec import Struct

_SHORTEST = 6
"""From here on, a value is hidden wherever it is, also within a word."""
_SHORTEST_WORD = 4
"""From here on, only where it stands alone: hiding `1` or `eu` everywhere would garble every message, and is
no secret to keep."""
_SHORTEST_BASE64 = 8
_MOST_LINES = 512

_ADDRESSES = re.compile(
    r"(HF_ENDPOINT|AWS_ENDPOINT_URL(_[A-Z0-9]+)?|(HTTPS?|ALL)_PROXY|AWS_CONTAINER_CREDENTIALS_FULL_URI)",
    re.IGNORECASE,
)
_SHOWN = (
    (re.compile(r"AWS_(DEFAULT_)?REGION"), re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,12}){0,4}")),
    (
        re.compile(r"SSL_CERT_(FILE|DIR)|(REQUESTS|AWS|CURL)_CA_BUNDLE|AWS_(.*_FILE|CONFIG_FILE)"),
        re.compile(r"[/.~][^\s:@?&=]{0,4096}"),
    ),
    (re.compile(r"AWS_ROLE_ARN"), re.compile(r"arn:[\w:/+=,.@-]{1,2048}")),
    (re.compile(r"NO_PROXY", re.IGNORECASE), re.compile(r"[\w.,:*/\[\]\s-]{0,32768}")),
    (
        re.compile(
            r"AIM_(LIST|INCLUDE|EXCLUDE|CAPACITY|STALL_SECONDS|CONNECTIONS|ATTEMPTS|RETRY_SECONDS|TERMINATION_LOG"
            r"|ALLOW_PLAIN_HTTP|ALLOW_INSTANCE_ROLE|CHECK)"
        ),
        re.compile(r".{0,4096}"),
    ),
    (
        # Of systems, shells, and of every Pod: what nobody puts a secret into, and what every path has in it.
        re.compile(
            r"PATH|HOME|PWD|OLDPWD|SHELL|TERM|COLORTERM|USER|USERNAME|LOGNAME|MAIL|LANG|LANGUAGE|LC_\w+|TZ"
            r"|HOSTNAME|SHLVL|_|TMPDIR|XDG_\w+|DISPLAY|EDITOR|PAGER|COLUMNS|LINES|VIRTUAL_ENV|PYTHON\w*"
            r"|(KUBERNETES|[A-Z0-9_]+)_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*)"
        ),
        re.compile(r".{0,32768}", re.DOTALL),
    ),
)
_COMMON = frozenset(
    {
        *("true", "false", "none", "null", "enabled", "disabled", "enable", "disable", "always", "never"),
        *("info", "debug", "warning", "error", "critical", "default", "regional", "legacy"),
    }
)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


class Values(Struct, frozen=True):
    """`anywhere` are hidden wherever they are, `words` where they stand alone."""

    anywhere: frozenset[str]
    words: frozenset[str]


def values_of(environment: Mapping[str, str]) -> Values:
    """Return what is to be hidden."""
    found = {part.strip() for name, value in environment.items() for part in _secret_parts(name, value)}
    found = {value for value in found if value.lower() not in _COMMON and not _NUMBER.fullmatch(value)}
    return Values(
        anywhere=frozenset(value for value in found if len(value) >= _SHORTEST),
        words=frozenset(value for value in found if _SHORTEST_WORD <= len(value) < _SHORTEST),
    )


def forms(value: str) -> Iterator[str]:
    """Yield the value as it may be written: in addresses, JSON, Python and XML, and as a part of Base64."""
    yield value
    for encoded in (quote(value, safe=""), quote(value), quote_plus(value), quote(value, safe="/:@+=,")):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    yield value.encode("unicode_escape").decode("ascii")
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    yield html.escape(value)
    yield from _in_base64(value.encode(errors="surrogateescape"))


def _secret_parts(name: str, value: str) -> Iterator[str]:
    text = value.strip()
    if _ADDRESSES.fullmatch(name):
        yield from _parts_of_address(text)
        return
    if any(names.fullmatch(name) and values.fullmatch(text) for names, values in _SHOWN):
        return
    yield text
    yield " ".join(text.split())
    lines = text.splitlines()
    if len(lines) > 1:
        yield from lines[:_MOST_LINES]
    if text.startswith("{"):
        yield from _strings_of(text)


def _parts_of_address(text: str) -> Iterator[str]:
    """User, password and query of an address. All of what is none."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host = parts.hostname
    except ValueError:
        host = None
    if (
        not host
        or not re.fullmatch(r"[\w.:%-]+", host)
        or ("://" not in text and not re.search("[.:]", text))
    ):
        yield text
        return
    user = parts.netloc.rpartition("@")[0]
    pairs = [value for _, value in parse_qsl(parts.query)]
    for part in (user, *user.split(":", 1), parts.query, *pairs, parts.fragment):
        yield part
        yield unquote(part)


def _strings_of(text: str) -> Iterator[str]:
    """The strings of a JSON object, as keys of accounts are written."""
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    for _ in range(_MOST_LINES):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, str):
            yield value
            yield from value.splitlines()[:_MOST_LINES]
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def _in_base64(content: bytes) -> Iterator[str]:
    """What Base64 of any text with the value in it has in it, as `Basic` has of user and password."""
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(bytes(before) + content).decode()
            # Characters whose six bits are all of the value.
            part = encoded[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
            if len(part) >= _SHORTEST_BASE64:
                yield part
