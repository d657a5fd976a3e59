"""Inputs of a discovery, their hash, and when a failed one is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import given
from aim_operator.api.v1alpha1 import Discovery, LocalObjectReference
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
from aim_operator.core.conditions import parse_time
from aim_operator.core.naming import short_hash
from aim_operator.core.plan import plain

FIRST_RETRY_SECONDS = 10
LONGEST_RETRY_SECONDS = 3600

FAILURES = frozenset(
    {
        Reason.JOB_FAILED,
        Reason.JOB_REFUSED,
        Reason.DISCOVERY_FAILED,
        Reason.DISCOVERY_PARSE_FAILED,
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


def succeeded(discovery: Discovery | UnsetType, wanted: str) -> bool:
    """Whether the recorded result is that of the inputs `wanted`."""
    return discovery is not UNSET and discovery.spec_hash == wanted and given(discovery.attempts, 0) == 0


def failed_attempts(discovery: Discovery | UnsetType, wanted: str) -> int:
    if discovery is UNSET or discovery.spec_hash != wanted:
        return 0
    return given(discovery.attempts, 0)


def recorded(discovery: Discovery | UnsetType, wanted: str, ended_at: str) -> bool:
    """Whether the attempt that ended at `ended_at` (RFC 3339) is already accounted for."""
    if discovery is UNSET or discovery.spec_hash != wanted:
        return False
    last = given(discovery.last_attempt_time, None)
    return last is not None and parse_time(last) >= parse_time(ended_at)


def retry_at(discovery: Discovery | UnsetType, wanted: str) -> datetime | None:
    """When the next attempt is due: 10 s after the first failure, doubling up to 1 h. None: now."""
    attempts = failed_attempts(discovery, wanted)
    if discovery is UNSET or attempts == 0:
        return None
    last = given(discovery.last_attempt_time, None)
    if last is None:
        return None
    # The exponent is bounded before the power is taken: attempts may be anything.
    delay = min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 20), LONGEST_RETRY_SECONDS)
    return parse_time(last) + timedelta(seconds=delay)
