"""Decides about images of both scopes: whether what the catalog entry refers to exists."""

from __future__ import annotations

from datetime import datetime

from aim_operator.api.meta import Condition
from aim_operator.api.plan import Plan, Report
from aim_operator.api.v1alpha1 import AIMImageStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.catalog import (
    Catalog,
    Image,
    MissingRuntimeConfig,
    find_template,
    resolve_runtime_config,
)


def decide(image: Image, catalog: Catalog, *, now: datetime) -> Plan[AIMImageStatus]:
    """Return the plan for one image: a status that says whether its references lead anywhere.

    A cluster image may refer to objects that only namespaces have, so nothing missing degrades it.
    No events: a catalog is often created images first, and what is missing then comes a moment later.
    """
    old = image.status or AIMImageStatus()
    reason, message = _missing(image, catalog)
    complete = not reason
    degraded = not complete and bool(image.metadata.namespace)
    if complete:
        message = "what it refers to exists"
    ready = Condition(
        type=c.READY,
        status="False" if degraded else "True",
        reason=reason if degraded else Reason.VALID,
        message=message,
    )
    status = AIMImageStatus(
        observed_generation=image.metadata.generation,
        status=State.DEGRADED if degraded else State.READY,
        conditions=conditions.merge(
            old.conditions or (),
            [ready],
            now=conditions.timestamp(now),
            generation=image.metadata.generation,
        ),
    )
    return Plan(report=lambda _: Report(status=status))


def _missing(image: Image, catalog: Catalog) -> tuple[str, str]:
    """Return (reason, message) of the first reference that leads nowhere, or ("", "")."""
    namespace = image.metadata.namespace
    name = image.spec.default_service_template or ""
    template = find_template(catalog, namespace, name) if name else None
    if name and template is None:
        where = f"in namespace {namespace!r} or the cluster" if namespace else "in the cluster"
        return (
            Reason.TEMPLATE_NOT_FOUND,
            f"spec.defaultServiceTemplate: no template {name!r} {where}; create it, or name one in services",
        )
    if template is not None and template.spec.aim_image_name != image.metadata.name:
        return (
            Reason.TEMPLATE_IMAGE_MISMATCH,
            f"spec.defaultServiceTemplate: template {name!r} is for image {template.spec.aim_image_name!r}",
        )
    config = resolve_runtime_config(catalog, namespace, (image.spec.runtime_config_name,))
    if isinstance(config, MissingRuntimeConfig):
        return (
            Reason.RUNTIME_CONFIG_MISSING,
            f"spec.runtimeConfigName: no runtime configuration {config.name!r}; create it",
        )
    return "", ""
