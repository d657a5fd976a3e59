"""What a serving Pod may do: a safe default that AIM images run under, and what a configuration says over it.

The default leaves the user to the image, since many images start as root, and takes from it what no model
server needs: capabilities, more privileges than it starts with, system calls beyond the container runtime's
profile, and a token for the API. Whether more is allowed in a namespace is Pod Security's to say.
"""

from __future__ import annotations

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import ActiveWorkload

_DEFAULT: Manifest = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""With a user that is not root, all that Pod Security "restricted" asks for."""
_OF_PODS = ("runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile")


def container_security(active: ActiveWorkload) -> Manifest:
    """Return the container's security context: each field as configured, else the default's.

    A list of capabilities to drop that is empty drops none. Privileged containers have no default: the API
    server takes the first field of it with none of them, and the others mean nothing.
    """
    own = active.security_context or {}
    if own.get("privileged"):
        return own
    capabilities = {**_DEFAULT["capabilities"], **own.get("capabilities", {})}
    named = {side: names for side, names in capabilities.items() if names}
    merged = {**_DEFAULT, **own, "capabilities": named}
    return {field: value for field, value in merged.items() if value != {}}


def pod_security(active: ActiveWorkload) -> Manifest:
    """Return what the Pod says itself: what it has of the container's, and the configuration's groups."""
    container = container_security(active)
    shared = {field: container[field] for field in _OF_PODS if field in container}
    return shared | (active.pod_security_context or {})


def credentials(active: ActiveWorkload) -> Manifest:
    """Return the service account. Its token is mounted only where a configuration names the account.

    Then the account itself decides. A Pod that says nothing gets the token of the namespace's `default`.
    """
    if active.service_account_name is None:
        return {"automountServiceAccountToken": False}
    return {"serviceAccountName": active.service_account_name}
