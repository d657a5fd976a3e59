"""What a service's HTTPRoute is called, beside a KServe that makes one of the same name (docs/adr/0021)."""

from __future__ import annotations

from aim_operator.api.external import HTTPRoute, InferenceService
from aim_operator.api.v1alpha1 import AIMService
from aim_operator.core.manifests import controlled_by

ASIDE = ".aim"
"""KServe takes no InferenceService with a dot in its name: no other service that runs has such a route."""


def beside(service: str) -> str:
    """Return the name of a service's HTTPRoute where KServe has taken the service's own name."""
    return f"{service}{ASIDE}"


def service_of(route: HTTPRoute) -> str:
    """Return the name of the service that a route is of, by its own name: anybody may write an owner."""
    name, controller = route.metadata.name, route.metadata.controller()
    if controller is not None and controller.name == name:
        return name
    return name.removesuffix(ASIDE)


def name_of_route(
    service: AIMService,
    named: HTTPRoute | None,
    aside: HTTPRoute | None,
    inference_service: InferenceService | None,
) -> str:
    """Return the name of the service's HTTPRoute.

    `named` and `aside` are the live routes of either name, whoever made them. One that is there keeps its
    name, also when KServe's is gone: a route that moves is away for a moment.
    """
    if aside is not None and controlled_by(aside, service.metadata):
        return aside.metadata.name
    if named is None or inference_service is None:
        return service.metadata.name
    if controlled_by(named, inference_service.metadata):
        return beside(service.metadata.name)
    return service.metadata.name
