"""Decides about images of both scopes: whether what the catalog entry refers to exists."""

from __future__ import annotations

from datetime import datetime

from aim_operator.api.meta import Condition, ObjectRef
from aim_operator.api.plan import Plan, Report
from aim_operator.api.v1alpha1 import RUNTIME_CONFIGS, TEMPLATES, AIMImageStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import blocking, conditions
from aim_operator.core.catalog import (
    Catalog,
    Image,
    MissingRuntimeConfig,
    find_template,
    kind_of,
    resolve_runtime_config,
)


def decide(image: Image, catalog: Catalog, *, now: datetime) -> Plan[AIMImageStatus]:
    """Return the plan for one image: a status that says whether its references lead anywhere.

    A cluster image may refer to objects that only namespaces have, so nothing missing degrades it.
    No events: a catalog is often created images first, and what is missing then comes a moment later.
    """
    old = image.status or AIMImageStatus()
    reason, message, missing = _missing(image, catalog)
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
    moment, generation = conditions.timestamp(now), image.metadata.generation
    told = conditions.merge(old.conditions or (), [ready], now=moment, generation=generation)
    status = AIMImageStatus(
        observed_generation=generation,
        status=State.DEGRADED if degraded else State.READY,
        conditions=told,
        blocked_by=blocking.blocked_by(
            old.blocked_by, missing, told, namespace=image.metadata.namespace, now=moment
        ),
    )
    return Plan(report=lambda _: Report(status=status))


def _missing(image: Image, catalog: Catalog) -> tuple[str, str, ObjectRef | None]:
    """Return (reason, message, object) of the first reference that leads nowhere, or ("", "", None)."""
    namespace = image.metadata.namespace
    name = image.spec.default_service_template or ""
    template = find_template(catalog, namespace, name) if name else None
    if name and template is None:
        where = f"in namespace {namespace!r} or the cluster" if namespace else "in the cluster"
        return (
            Reason.TEMPLATE_NOT_FOUND,
            f"spec.defaultServiceTemplate: no template {name!r} {where}; create it, or name one in services",
            ObjectRef(TEMPLATES.kind, namespace, name),
        )
    if template is not None and template.spec.aim_image_name != image.metadata.name:
        return (
            Reason.TEMPLATE_IMAGE_MISMATCH,
            f"spec.defaultServiceTemplate: template {name!r} is for image {template.spec.aim_image_name!r}",
            ObjectRef(kind_of(template), template.metadata.namespace, name),
        )
    config = resolve_runtime_config(catalog, namespace, (image.spec.runtime_config_name,))
    if isinstance(config, MissingRuntimeConfig):
        return (
            Reason.RUNTIME_CONFIG_MISSING,
            f"spec.runtimeConfigName: no runtime configuration {config.name!r}; create it",
            ObjectRef(RUNTIME_CONFIGS.kind, namespace, config.name),
        )
    return "", "", None
