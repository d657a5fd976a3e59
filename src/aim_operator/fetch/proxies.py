"""Which proxy an address is asked through: one decision for hubs and buckets, for listings and files.

https_proxy or http_proxy by the scheme of the address, else all_proxy, unless no_proxy has the host. Lower
case wins over upper case, as in curl. What can't be used is an error that names the variable, and does not
quote its value, which may have a password in it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from aim_operator.errors import UserError

_PORTS = {"http": 80, "https": 443}
_SCHEMES = ("http", "https")
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Proxy(Struct, frozen=True):
    """`url` may have a user and a password in it; `address` is host:port, to be shown."""

    url: str
    address: str
    variable: str

    @property
    def credentials(self) -> str:
        """`user:password` as the proxy is to get them; "" for none."""
        return unquote(urlsplit(self.url).netloc.rpartition("@")[0])


def for_url(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy to ask `url` through, None to ask it directly. UserError if it can't be used."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    for kind in (f"{scheme}_proxy", "all_proxy"):
        variable = _spelt(kind, environment)
        if variable is not None and environment[variable].strip():
            if _excepted(host, parts.port or _PORTS.get(scheme, 0), _no_proxy(environment)):
                return None
            return _parsed(environment[variable].strip(), variable)
    return None


def _spelt(name: str, environment: Mapping[str, str]) -> str | None:
    """Return the name as it is spelt in the environment; an empty one in lower case hides the other."""
    return next((spelling for spelling in (name, name.upper()) if spelling in environment), None)


def _no_proxy(environment: Mapping[str, str]) -> list[str]:
    variable = _spelt("no_proxy", environment)
    return re.split(r"[,\s]+", environment[variable].strip().lower()) if variable else []


def _parsed(value: str, variable: str) -> Proxy:
    url = value if _HAS_SCHEME.match(value) else f"http://{value}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    scheme = url.partition("://")[0].lower()
    if scheme.startswith("socks"):
        raise UserError(
            f"{variable} names a SOCKS proxy, which downloads can't use; name one that speaks HTTP"
            " (http://host:port), or except the host by NO_PROXY"
        )
    if scheme not in _SCHEMES or not host:
        raise UserError(f"{variable} is no address of a proxy; write http://host:port, or https://host:port")
    shown = f"[{host}]" if ":" in host else host
    return Proxy(url=url, address=f"{shown}:{port or _PORTS[scheme]}", variable=variable)


def _excepted(host: str, port: int, entries: list[str]) -> bool:
    """Whether one of these is the host: `*`, a domain, an address or a network, each also with a port."""
    name = host.lower().rstrip(".")
    address = _address(name)
    return any(_fits(entry, name, port, address) for entry in entries if entry)


def _fits(
    entry: str, name: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
        return address is not None and address in network
    bare, entry_port = _split_port(entry)
    if entry_port is not None and entry_port != port:
        return False
    if address is not None:
        return _address(bare) == address
    # `example.com`, `.example.com` and `*.example.com` are the domain and what is below it.
    domain = bare.removeprefix("*").strip(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _split_port(entry: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,5}))?", entry) or re.fullmatch(
        r"([^:]*)(?::(\d{1,5}))?", entry
    )
    if match is None:
        # An IPv6 address without brackets.
        return entry, None
    return match[1], int(match[2]) if match[2] else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
