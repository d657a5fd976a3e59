"""What a serving Pod may do: a safe default for AIM images, and what configuration and service say.

The service's fields are laid over the configuration's.

The default leaves the user to the image, since many images start as root, and takes from it what no model
server needs: capabilities, more privileges than it starts with, system calls beyond the container runtime's
profile, and a token for the API. Whether more is allowed in a namespace is Pod Security's to say.
"""

from __future__ import annotations

from collections.abc import Callable

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import ActiveWorkload, AIMService
from aim_operator.core import canonical
from aim_operator.core.manifests import plain

_DEFAULT: Manifest = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""With a user that is not root, all that Pod Security "restricted" asks for."""
_OF_PODS = ("runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile")


def container_security(
    service: AIMService, active: ActiveWorkload, form: Callable[[Manifest], Manifest] = canonical.fields
) -> Manifest:
    """Return the container's security context: each field as the nearest level says, else the default's.

    `form` is how fields are written.

    Capabilities are taken whole from one level. A list of those to drop that is empty drops none. Privileged
    containers have no default: the API server takes the first field of it with none of them, and the others
    mean nothing.
    """
    of_service: Manifest = plain(service.spec.security_context) or {}
    configured = dict(active.security_context or {})
    if of_service.get("privileged"):
        # With it the API server refuses it, and the service's word is the nearer one.
        configured.pop("allowPrivilegeEscalation", None)
    own = configured | of_service
    if not own:
        # As a rule nobody says anything, and this is rendered with each reconcile: it is in every form.
        return dict(_DEFAULT)
    if own.get("privileged"):
        return form(own)
    capabilities = {**_DEFAULT["capabilities"], **own.get("capabilities", {})}
    named = {side: names for side, names in capabilities.items() if names}
    return form({**_DEFAULT, **own, "capabilities": named})


def pod_security(
    service: AIMService, active: ActiveWorkload, form: Callable[[Manifest], Manifest] = canonical.fields
) -> Manifest:
    """Return what the Pod says itself: what it has of the container's, and the groups that are configured."""
    container = container_security(service, active, form)
    shared = {field: container[field] for field in _OF_PODS if field in container}
    groups: Manifest = plain(service.spec.pod_security_context) or {}
    chosen = (active.pod_security_context or {}) | groups
    return form(shared | chosen) if chosen else shared


def credentials(service: AIMService, active: ActiveWorkload) -> Manifest:
    """Return the service account. Its token is mounted only where service or configuration name the account.

    Then the account itself decides. A Pod that says nothing gets the token of the namespace's `default`.
    """
    own = service.spec.service_account_name
    name = active.service_account_name if own is None else own
    if name is None:
        return {"automountServiceAccountToken": False}
    return {"serviceAccountName": name}
