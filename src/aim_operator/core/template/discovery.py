"""Inputs of a discovery, their hash, and the reasons for which one fails."""

from __future__ import annotations

from aim_operator.api.meta import given
from aim_operator.api.v1alpha1 import LocalObjectReference
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import labels
from aim_operator.core.catalog import (
    Image,
    RuntimeConfig,
    Template,
    kind_of,
    template_env,
    template_pull_secrets,
    union_pull_secrets,
)
from aim_operator.core.manifests import plain
from aim_operator.core.naming import short_hash

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
    }
)
"""Reasons of a Discovered condition that say why an attempt failed, or is about to."""


def pull_secrets(template: Template, config: RuntimeConfig) -> tuple[LocalObjectReference, ...]:
    """Return the secrets that a discovery Pod pulls with: the configuration's and the template's own."""
    return union_pull_secrets(config.image_pull_secrets, template_pull_secrets(template))


def digest(template: Template, image: Image, config: RuntimeConfig) -> str:
    """Hash what a discovery depends on, and nothing else: equal inputs never discover twice."""
    return short_hash(
        {
            "kind": kind_of(template),
            "uid": template.metadata.uid,
            "image": image.spec.image,
            "metric": given(template.spec.metric, None),
            "precision": given(template.spec.precision, None),
            "gpuSelector": plain(given(template.spec.gpu_selector, None)),
            "env": plain(template_env(template)),
            "serviceAccountName": config.service_account_name,
            "imagePullSecrets": [secret.name for secret in pull_secrets(template, config)],
            "rediscover": template.metadata.annotation(labels.REDISCOVER),
        }
    )
