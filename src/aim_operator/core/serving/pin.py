"""What a service runs on: everything of image, template and configuration that its children are made of.

Recorded in `status.active`, and rendered from there. So a service can still be scaled, changed and repaired
while what its names resolve to now is missing, being discovered, or has failed.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from aim_operator.api.v1alpha1 import (
    ActiveMount,
    ActiveWorkload,
    AIMServiceTemplateStatus,
    Discovery,
    EnvVar,
    GpuSelector,
)
from aim_operator.core import hardware, scheduling
from aim_operator.core.catalog import (
    Image,
    RuntimeConfig,
    Template,
    reference_to,
    template_pull_secrets,
    union_pull_secrets,
)
from aim_operator.core.manifests import plain
from aim_operator.core.serving import settings
from aim_operator.core.template.desired import discovered, gpu_count, gpu_model, server_env
from aim_operator.core.versions import once


def workload(
    image: Image, template: Template, config: RuntimeConfig, mounts: tuple[ActiveMount, ...] = ()
) -> ActiveWorkload:
    """Return what a service runs on, once its template is available and its caches are warm.

    Raises SpecError(EngineArgsInvalid), which an available template of this generation does not.
    """
    shared = _workload(image, template, config)
    return structs.replace(shared, mounts=mounts) if mounts else shared


@once
def _workload(image: Image, template: Template, config: RuntimeConfig) -> ActiveWorkload:
    """Return all of it but what is mounted, which is each namespace's own."""
    status = template.status or AIMServiceTemplateStatus()
    metadata = discovered(status)
    model = gpu_model(template, status)
    resource = (template.spec.gpu_selector or GpuSelector()).resource_name or ""
    secrets = union_pull_secrets(config.image_pull_secrets, template_pull_secrets(template))
    return ActiveWorkload(
        # The image that was discovered: a newer one of the catalog has yet to be.
        image=(status.discovery or Discovery()).image or image.spec.image,
        resolved_image=reference_to(image),
        resolved_template=reference_to(template),
        resolved_runtime_config=config.reference or None,
        metric=_text(metadata, "metric", template.spec.metric),
        precision=_text(metadata, "precision", template.spec.precision),
        gpu_model=model or None,
        gpu_count=gpu_count(template, status) or 0,
        gpu_resource=resource or hardware.gpu_resource(model or ""),
        env=msgspec.convert(server_env(template, status, config), tuple[EnvVar, ...]),
        serving=settings.layered(template.spec.serving, config.serving),
        scheduling=scheduling.recorded(scheduling.layered(template.spec.scheduling, config.scheduling)),
        pods=scheduling.recorded(scheduling.layered_pods(template.spec.pods, config.pods)),
        propagate=config.propagate,
        template_resources=template.spec.resources,
        image_resources=image.spec.resources,
        image_pull_secrets=tuple(secret.name for secret in secrets) or None,
        service_account_name=config.service_account_name or None,
        security_context=None if config.security_context is None else plain(config.security_context),
        pod_security_context=(
            None if config.pod_security_context is None else plain(config.pod_security_context)
        ),
        prometheus_address=config.prometheus_address,
        rollout=config.rollout,
        routing=config.routing,
    )


def pinned_config(active: ActiveWorkload) -> RuntimeConfig:
    """Return the part of the configuration that routes are made of, as it was when it was last found."""
    return RuntimeConfig(reference=active.resolved_runtime_config, routing=active.routing)


def _text(metadata: dict[str, Any], key: str, fallback: object) -> str | None:
    value = metadata.get(key) or fallback
    return value if isinstance(value, str) else None
