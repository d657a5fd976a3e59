"""Inputs of a discovery, their hash, and the reasons for which one fails."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import structs

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, Discovery, LocalObjectReference
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import canonical, labels
from aim_operator.core.catalog import (
    Image,
    RuntimeConfig,
    Template,
    kind_of,
    template_env,
    template_pull_secrets,
    union_pull_secrets,
)
from aim_operator.core.environment import lay_over
from aim_operator.core.manifests import plain
from aim_operator.core.naming import discovery_job_name, short_hash

FAILURES = frozenset(
    {
        Reason.JOB_FAILED,
        Reason.JOB_REFUSED,
        Reason.DISCOVERY_FAILED,
        Reason.DISCOVERY_PARSE_FAILED,
        Reason.NO_MATCHING_PROFILE,
        Reason.IMAGE_PULL_AUTH_FAILED,
        Reason.IMAGE_PULL_FAILED,
        Reason.UNSCHEDULABLE,
        Reason.WAITING_FOR_SIDECAR,
    }
)
"""Reasons of a Discovered condition that say why an attempt failed, or is about to."""


def pull_secrets(template: Template, config: RuntimeConfig) -> tuple[LocalObjectReference, ...]:
    """Return the secrets that a discovery Pod pulls with: the configuration's and the template's own."""
    return union_pull_secrets(config.image_pull_secrets, template_pull_secrets(template))


def _selected(template: Template) -> Manifest | None:
    """Return what a discovery is asked for of the GPU selector: not by which resource Pods request them."""
    selector = template.spec.gpu_selector
    if selector is None:
        return None
    selected: Manifest = plain(structs.replace(selector, resource_name=None))
    return selected if selected or selector.resource_name is None else None


def digest(template: Template, image: Image, config: RuntimeConfig, jobs: Collection[str] = ()) -> str:
    """Hash what a discovery depends on, and nothing else: equal inputs never discover twice.

    However they are written. What an earlier version discovered, by their text, is kept by that. So is what
    its Job will find: `jobs` are the names of those that there are.
    """
    recorded = ((template.status or AIMServiceTemplateStatus()).discovery or Discovery()).spec_hash
    env = lay_over(config.env, template_env(template))
    secrets = pull_secrets(template, config)
    by_text = _digest(
        template,
        image,
        config,
        selected=_selected(template),
        env=plain(env),
        secrets=[secret.name for secret in secrets],
    )
    if recorded == by_text:
        return by_text
    uniform = _digest(
        template,
        image,
        config,
        selected=_selected(template) or None,
        env=canonical.pod_env(plain(env)),
        secrets=canonical.secret_names(secrets),
    )
    names = [discovery_job_name(template.metadata.name, each) for each in (uniform, by_text)]
    return by_text if names[0] not in jobs and names[1] in jobs else uniform


def _digest(
    template: Template,
    image: Image,
    config: RuntimeConfig,
    *,
    selected: Manifest | None,
    env: list[Manifest],
    secrets: list[str],
) -> str:
    return short_hash(
        {
            "kind": kind_of(template),
            "uid": template.metadata.uid,
            "image": image.spec.image,
            "metric": template.spec.metric,
            "precision": template.spec.precision,
            "gpuSelector": selected,
            "env": env,
            "serviceAccountName": config.service_account_name,
            "imagePullSecrets": secrets,
            "rediscover": template.metadata.annotation(labels.REDISCOVER),
            # Left out where unset: what was discovered before there were such fields stays.
            **_named(profileId=template.spec.profile_id, model=template.spec.model),
        }
    )


def _named(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
