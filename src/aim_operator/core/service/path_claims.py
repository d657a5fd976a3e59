"""Claims on paths, and which of them get into each other's way: by Gateway API's rules, not as equal text.

A PathPrefix takes every request below it, and of two that match the longer one gets it. So a route takes
from all that lie above it, segment by segment. Pure data; controllers/route_owners.py fills it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from aim_operator.api.v1alpha1 import SERVICES
from aim_operator.core.routing import covers
from aim_operator.core.service.route import GatewayKey, ListenerPath


class Contender(NamedTuple):
    """A service, in the order in which services get paths: by age, then by name."""

    created: str
    namespace: str
    name: str


class Claim(NamedTuple):
    """A path that somebody wants or has; in the order of their owners."""

    owner: Contender
    at: ListenerPath
    kind: str = SERVICES.kind
    """Of the owner: a service, or an HTTPRoute that the operator did not make."""


def meet(one: GatewayKey, other: GatewayKey) -> bool:
    """Whether two parentRefs may select one listener: of the same Gateway, unless section or port differ."""
    return (
        one.gateway == other.gateway
        and (one.section == other.section or not one.section or not other.section)
        and (one.port == other.port or not one.port or not other.port)
    )


def hosts_meet(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether a request's host may be among both, as Gateway API has it; none are all.

    `*.example.com` is every host below, at any depth, and not `example.com` itself.
    """
    return not some or not others or any(_same_host(one, other) for one in some for other in others)


def _same_host(one: str, other: str) -> bool:
    if one == other:
        return True
    if one.startswith("*."):
        # Of two such, one lies in the other or they have nothing in common.
        return other.endswith(one[1:]) or (other.startswith("*.") and one.endswith(other[1:]))
    return other.startswith("*.") and one.endswith(other[1:])


def conflict(one: Claim, other: Claim) -> bool:
    """Whether only one of two may be served.

    Inside a namespace: only if they are equal, for one host at least, and it would be chance who answers. A
    path below another, or the same on a single listener, is how a part is put under a path. Between
    namespaces, whose users need not trust each other: wherever a request could match both.

    A root ("") is somebody's who has hosts of their own. It takes what no other route wants, but for those
    who ask for its very hosts.
    """
    if one.owner[1:] == other.owner[1:]:
        return False
    if one.owner.namespace == other.owner.namespace:
        return one.at[:2] == other.at[:2] and (
            one.at.hosts == other.at.hosts or not set(one.at.hosts).isdisjoint(other.at.hosts)
        )
    if "" in (one.at.path, other.at.path) and not (one.at.hosts and other.at.hosts):
        return False
    if not hosts_meet(one.at.hosts, other.at.hosts):
        return False
    return meet(one.at.gateway, other.at.gateway) and (
        covers(one.at.path, other.at.path) or covers(other.at.path, one.at.path)
    )


def _anything(_: Claim) -> bool:
    return True


class PathClaims:
    """A set of claims that finds the conflicting ones by path segments: above by name, below as one range.

    Looking up costs the segments of a path and what lies below it, whatever else there is. Adding one that
    is there already, and discarding one that is not, change nothing.
    """

    def __init__(self) -> None:
        self._at: dict[tuple[Any, str], list[Claim]] = {}
        self._paths: dict[Any, list[str]] = {}
        """By Gateway, each path with a slash at its end: what is below one stands right behind it."""

    def __contains__(self, claim: Claim) -> bool:
        claims = self._at.get((claim.at.gateway.gateway, claim.at.path))
        return claims is not None and _holds(claims, claim)

    def add(self, claim: Claim) -> None:
        gateway, path = claim.at.gateway.gateway, claim.at.path
        claims = self._at.get((gateway, path))
        if claims is None:
            self._at[gateway, path] = [claim]
            insort(self._paths.setdefault(gateway, []), path + "/")
        elif not _holds(claims, claim):
            insort(claims, claim)

    def discard(self, claim: Claim) -> None:
        gateway, path = claim.at.gateway.gateway, claim.at.path
        claims = self._at.get((gateway, path))
        if claims is None or not _holds(claims, claim):
            return
        del claims[bisect_left(claims, claim)]
        if claims:
            return
        paths = self._paths[gateway]
        del self._at[gateway, path], paths[bisect_left(paths, path + "/")]
        if not paths:
            del self._paths[gateway]

    def conflicting(self, claim: Claim) -> Iterator[Claim]:
        """Return every claim that conflicts with this one."""
        return self._conflicting(claim) if self._at else iter(())

    def _conflicting(self, claim: Claim) -> Iterator[Claim]:
        for claims in self._overlapping(claim.at):
            for other in claims:
                if conflict(claim, other):
                    yield other

    def above(self, claim: Claim) -> Iterator[Claim]:
        """Return those of other namespaces that this one takes requests from: on its path, or above it."""
        for claims in self._above(claim.at):
            for other in claims:
                if claim.owner.namespace != other.owner.namespace and conflict(claim, other):
                    yield other

    def taken_from(self, claim: Claim) -> Iterator[Claim]:
        """Return those of other namespaces that would lose requests to this one.

        They lie on its path or above it; and, since a host goes before a path, anywhere below it, where this
        one has hosts of its own and they have none, or wildcards.
        """
        yield from self.above(claim)
        if claim.at.hosts:
            for claims in self._below(claim.at):
                for other in claims:
                    if (
                        claim.owner.namespace != other.owner.namespace
                        and _is_vague(other.at.hosts)
                        and conflict(claim, other)
                    ):
                        yield other

    def oldest_before(self, claim: Claim, accept: Callable[[Claim], bool] = _anything) -> Claim | None:
        """Return the oldest of the conflicting claims that are older than this one, and accepted."""
        found: Claim | None = None
        for claims in self._overlapping(claim.at):
            for other in claims:
                if other.owner >= claim.owner or (found is not None and other >= found):
                    break
                if conflict(claim, other) and accept(other):
                    found = other
                    break
        return found

    def _overlapping(self, at: ListenerPath) -> Iterator[list[Claim]]:
        """Return the claims path by path: those above, those on it, those below."""
        yield from self._above(at)
        yield from self._below(at)

    def _below(self, at: ListenerPath) -> Iterator[list[Claim]]:
        gateway, prefix = at.gateway.gateway, at.path + "/"
        paths = self._paths.get(gateway, ())
        for place in range(bisect_right(paths, prefix), len(paths)):
            if not paths[place].startswith(prefix):
                return
            yield self._at[gateway, paths[place][:-1]]

    def _above(self, at: ListenerPath) -> Iterator[list[Claim]]:
        """Return those above, from the top, and those on it."""
        gateway, path = at.gateway.gateway, at.path
        if path and (claims := self._at.get((gateway, ""))) is not None:
            yield claims
        end = path.find("/", 1)
        while end != -1:
            if (claims := self._at.get((gateway, path[:end]))) is not None:
                yield claims
            end = path.find("/", end + 1)
        if (claims := self._at.get((gateway, path))) is not None:
            yield claims


def _is_vague(hosts: tuple[str, ...]) -> bool:
    """Whether a host that is written out goes before these."""
    return not hosts or any(host.startswith("*.") for host in hosts)


def _holds(claims: list[Claim], claim: Claim) -> bool:
    place = bisect_left(claims, claim)
    return place < len(claims) and claims[place] == claim
