"""Which hosts routes of a namespace may name: routing.allowedHostnames of the cluster's configuration.

Gateways built on Envoy look for the host first: whoever names one takes it from all routes that do not.
"""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.core.routing import NAMESPACE


def of_namespace(allowed: Iterable[str], namespace: str) -> tuple[str, ...]:
    """Render allowedHostnames for a namespace, whose name has no dot: it is one label, or part of one."""
    return tuple(pattern.replace(NAMESPACE, namespace) for pattern in allowed)


def outside(hosts: Iterable[str], allowed: Iterable[str] | None) -> str:
    """Return the first of `hosts` that none of the rendered patterns allows, else ""; None allows all."""
    if allowed is None:
        return ""
    patterns = tuple(allowed)
    return next((host for host in hosts if not any(_covers(each, host.lower()) for each in patterns)), "")


def _covers(pattern: str, host: str) -> bool:
    """Whether a pattern is the host or, as a wildcard, takes in all that it stands for."""
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))
