"""Where a download may connect to: a source must not lead it to this machine, this node or the cluster.

What counts is the address that is connected to, not how a name is written: names are resolved once for each
connection, each address is looked at, and that very address is connected to. So neither a name that resolves
to something else the second time, nor 0x7f.1, nor an IPv4 address inside an IPv6 one gets past.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

from aim_operator.errors import FetchError
from aim_operator.fetch.outcome import FetchReason

Resolver = Callable[..., list[Any]]
"""socket.getaddrinfo, or what stands for it."""

LOOPBACK = "this machine itself (loopback)"
LINK_LOCAL = "link-local addresses, where nodes have their metadata"
API_SERVER = "the Kubernetes API server"

_MOST_ADDRESSES = 8
_METADATA = tuple(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
"""Metadata of clouds that is not link-local: Alibaba, Oracle, Azure, and AWS and Google over IPv6."""
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
"""0.0.0.0 connects to this machine."""
_NAT64 = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")))
"""The well-known prefix, the one for local use (RFC 8215), and that of stateless translation (RFC 7915)."""
_API_SERVER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")


class Boundary:
    """For one process: what is out of bounds, unless the endpoint that the user names is there itself."""

    def __init__(self, environment: Mapping[str, str], resolve: Resolver = socket.getaddrinfo) -> None:
        self._resolve = resolve
        self._api_server_host = environment.get("KUBERNETES_SERVICE_HOST", "").strip("[] ")
        self._api_server: frozenset[str] | None = None
        self._homes: dict[str, str | None] = {}

    def home(self, url: str) -> str | None:
        """Where the endpoint is itself: one of the places above, None for anywhere else.

        Decided once for each host, by all of its addresses, so that its name can't move there later.
        """
        host = urlsplit(url).hostname or ""
        if host not in self._homes:
            try:
                places = {self._place(address) for address in self._addresses(host, 0)}
            except OSError:
                # It can't be reached now, or only a proxy can resolve it: decided when it is known.
                return self.written_place(host)
            self._homes[host] = places.pop() if len(places) == 1 else None
        return self._homes[host]

    def addresses(self, host: str, port: int, home: str | None) -> list[str]:
        """Resolve for a connection that may go anywhere out of the places above, or to `home`.

        Raises OSError as getaddrinfo(3), and FetchError if every address is out of bounds.
        """
        addresses = self._addresses(host, port)
        allowed = [address for address in addresses if self._place(address) in (None, home)]
        if not allowed:
            raise out_of_bounds(host, self._place(addresses[0]) if addresses else None)
        return allowed[:_MOST_ADDRESSES]

    def any_addresses(self, host: str, port: int) -> list[str]:
        """Resolve what may be anywhere, such as a proxy that the user names."""
        return self._addresses(host, port)[:_MOST_ADDRESSES]

    def check_written(self, host: str, home: str | None) -> None:
        """For a host that a proxy resolves: FetchError if by its name alone it is out of bounds."""
        place = self.written_place(host)
        if place not in (None, home):
            raise out_of_bounds(host, place)

    def written_place(self, host: str) -> str | None:
        """Where a host is as far as can be told without resolving it."""
        name = host.lower().rstrip(".")
        if name == "localhost" or name.endswith(".localhost"):
            return LOOPBACK
        if name in _API_SERVER_NAMES or name.startswith("kubernetes.default.svc."):
            return API_SERVER
        if name == self._api_server_host.lower():
            return API_SERVER
        try:
            # As resolvers do: 2130706433, 0x7f.1 and 0177.0.0.1 are addresses too.
            return self._place(socket.inet_ntoa(socket.inet_aton(name)))
        except OSError:
            pass
        try:
            return self._place(name)
        except ValueError:
            return None

    def _addresses(self, host: str, port: int) -> list[str]:
        found = self._resolve(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _place(self, text: str) -> str | None:
        address = _innermost(ipaddress.ip_address(text.partition("%")[0]))
        if str(address) in self._of_api_server():
            return API_SERVER
        if address.is_loopback or address.is_unspecified:
            return LOOPBACK
        if isinstance(address, IPv4Address) and address in _THIS_NETWORK:
            return LOOPBACK
        return LINK_LOCAL if address.is_link_local or address in _METADATA else None

    def _of_api_server(self) -> frozenset[str]:
        if self._api_server is None:
            found: list[str] = []
            if self._api_server_host:
                try:
                    found = self._addresses(self._api_server_host, 0)
                except OSError:
                    # Asked again the next time: a name server may be away for a moment only.
                    return frozenset({_innermost_of(self._api_server_host)})
            self._api_server = frozenset(_innermost_of(text) for text in found)
        return self._api_server


def out_of_bounds(host: str, place: str | None) -> FetchError:
    """Say that a connection is not made."""
    return FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"{host} is at {place or 'no address'}, where a source must not lead to; not followed. If it is"
        " your own mirror, name it there by HF_ENDPOINT or AWS_ENDPOINT_URL",
    )


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for: mapped, 6to4, NAT64, or merely written as one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    value = int(address)
    if any(address in network for network in _NAT64) or 1 < value < 1 << 32:
        return IPv4Address(value & 0xFFFFFFFF)
    return address


def _innermost_of(text: str) -> str:
    try:
        return str(_innermost(ipaddress.ip_address(text.partition("%")[0])))
    except ValueError:
        return text
